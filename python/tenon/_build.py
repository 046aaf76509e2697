"""From tensor expressions to kernels: `function`, `parse`, `interpret`, `build`."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tenon import _core, te
from tenon._config import config
from tenon._variants import VariantSchedule
from tenon.errors import ExpressionError

__all__ = [
    "build",
    "function",
    "functions_made",
    "interpret",
    "lower",
    "mirror_schedule",
    "parse",
]


def function(
    inputs: te.Tensor | Sequence[te.Tensor],
    outputs: te.Tensor | Sequence[te.Tensor],
    name: str | None = None,
) -> _core.Function:
    """Make the loops that compute `outputs` from `inputs`: one block for each computed tensor.

    Parameters
    ----------
    inputs
        The placeholders, in the order of the kernel's arguments.
    outputs
        The computed tensors that a call returns.
    name
        Of the function; the first output's by default.

    Raises
    ------
    ExpressionError
        A placeholder is missing from the inputs [E0104], an output is not computed or an input is
        [E0105], or a symbol is no whole dimension of an input [E0106].
    """
    ins = [inputs] if isinstance(inputs, te.Tensor) else list(inputs)
    outs = [outputs] if isinstance(outputs, te.Tensor) else list(outputs)
    made = _core.function(ins, outs, name or (outs[0].name if outs else "function"))
    for record in _made.records:
        record.append((ins, outs))
    return made


class _Made(threading.local):
    def __init__(self) -> None:
        self.records: list[list[tuple[list[te.Tensor], list[te.Tensor]]]] = []


_made = _Made()


@contextmanager
def functions_made() -> Iterator[list[tuple[list[te.Tensor], list[te.Tensor]]]]:
    """Collect inputs and outputs of the functions that are made meanwhile, on this thread."""
    record: list[tuple[list[te.Tensor], list[te.Tensor]]] = []
    _made.records.append(record)
    try:
        yield record
    finally:
        _made.records.pop()


def parse(text: str) -> _core.Function:
    """Read a function from the text that ``print(function)`` writes.

    Raises
    ------
    ExpressionError
        The text is no program; line, column and what was expected are named [E0120 to E0124].
    """
    return _core.parse(text)


def interpret(
    function: _core.Function, *arrays: object, sizes: dict[str, int] | None = None
) -> _core.Tensor | tuple[_core.Tensor, ...]:
    """Run a function slowly and strictly, without compiling it: what kernels are compared with.

    Parameters
    ----------
    function
        Any function, scheduled or not.
    arrays
        One for each input; results are returned as by a kernel.
    sizes
        Values of symbolic sizes by name, where no input has them as a dimension: those of a
        function at loop level, whose inputs are flat.

    Raises
    ------
    ShapeError
        The arrays do not fit the inputs [E0470, E0471, E0481 to E0485]; a symbolic size is not
        known, or there is none of that name [E0474].
    DTypeError
        An array has another dtype than its input [E0581].
    IndexError
        An index that depends on data is out of range [E0681].
    InternalError
        The program reads or writes out of bounds, reads what nothing wrote, or races; threads of
        a GPU kernel do not all reach a barrier, or use a copy that they did not wait for.
    """
    return _core.interpret(function, *arrays, sizes=sizes or {})


def lower(program: _core.Function | _core.Schedule | VariantSchedule) -> _core.Function:
    """Bring a function or a schedule to loop level, as it is: what code generation gets.

    Parameters
    ----------
    program
        A function at block level, or schedules; a function at loop level comes back unchanged.

    Raises
    ------
    ScheduleError
        A GPU schedule is no kernel: memory of one block or thread is used by another, or has no
        constant size [E1242, E1243]; a tensor instruction is no longer one [E1275, E1276], or
        its warp is incomplete [E0280, E0281].
    """
    if isinstance(program, VariantSchedule):
        return program.lower()
    return _core.lower(program.function if isinstance(program, _core.Schedule) else program)


def build(
    program: _core.Function | _core.Schedule | VariantSchedule, target: str | _core.Target = "cpu"
) -> Any:
    """Compile a function, a schedule, or several that sizes choose from.

    Parameters
    ----------
    program
        A schedule is compiled as it is, a `VariantSchedule` to one kernel for a CPU; a function
        gets the default schedule.
    target
        A text such as ``"cpu"``, ``"cpu -mcpu=x86-64-v3"`` or ``"cuda -arch=sm_90a"``, or a
        `Target`.

    Returns
    -------
    Kernel or DeviceKernel
        Called with one array for each input: of NumPy, a `Tensor`, or anything with
        ``__dlpack__``. Row-major arrays are read in place, others copied once. It returns a
        `Tensor`, or a tuple of them, or fills the arrays given as ``out=``. For a GPU a
        `DeviceKernel`, which NVRTC makes with no GPU there: ``cuda_source()`` and ``ptx()`` show
        its code, ``report()`` what each kernel takes of a multiprocessor; arrays lie on the GPU.

    Raises
    ------
    TargetError
        The target is unknown [E0901 to E0904, E1280], this machine cannot run its code [E0915], or
        NVRTC does not know the architecture [E1101].
    ScheduleError
        The schedule promises what the target does not have, such as a tile in registers; for a GPU:
        loops that are not bound, scopes that do not fit, limits of a block [E1281 to E1289].
    ResourceError
        There is no NVRTC [E1100]; when a `DeviceKernel` is called: no driver [E1120 to E1122].
    """
    chosen = target if isinstance(target, _core.Target) else _core.Target(target)
    verify = config.verify
    if isinstance(program, VariantSchedule):
        return program.build(chosen, verify != "off", verify == "interpret")
    if not isinstance(program, (_core.Function, _core.Schedule)):
        raise ExpressionError(
            "E0137",
            f"build takes a function or a schedule, got {type(program).__name__}\n"
            "  hint: tn.function(inputs, outputs) makes a function of tensors",
        )
    is_schedule = isinstance(program, _core.Schedule)
    function = program.function if isinstance(program, _core.Schedule) else program
    if chosen.kind == "cuda":
        return _core.build_device_kernel(function, chosen, not is_schedule, verify != "off")
    return _core.build(function, chosen, not is_schedule, verify != "off", verify == "interpret")


def mirror_schedule(
    forward: _core.Schedule, derivative: _core.Function, target: str | _core.Target = "cpu"
) -> tuple[_core.Schedule, str]:
    """Schedule a function of derivatives as the forward function was scheduled.

    Each block that `te.vjp` made knows the axes of the forward tensor that its own come from. It
    gets the forward block's loops: factors, order, kinds, copy in registers and place of the init,
    each axis by its own; where a spatial axis became one of the reduction (or the other way round),
    those left over take their places in order. Operands that would be read across the lanes are
    copied first. All other blocks, and those that refuse a step, get the default rule.

    Parameters
    ----------
    forward
        The schedule of the function that was differentiated.
    derivative
        A function of what `te.vjp` or `te.grad` returned.
    target
        For the default rules.

    Returns
    -------
    schedule, report
        A schedule of `derivative`, and a text with one line for each of its blocks: what was
        mirrored, or why it got the default rule.

    Examples
    --------
    >>> import tenon as tn
    >>> from tenon import te
    >>> x = te.placeholder((64, 64), "float32", name="x")
    >>> y = te.compute((64, 64), lambda i, j: te.tanh(x[i, j]), name="y")
    >>> s = tn.Schedule(tn.function([x], [y]))
    >>> i, j = s.loops("y")
    >>> jo, ji = s.split(j, [None, 16])
    >>> s.vectorize(ji)
    >>> g = te.placeholder((64, 64), "float32", name="g")
    >>> gradient = tn.function([x, g], te.vjp(y, x, g))
    >>> print(tn.mirror_schedule(s, gradient)[1], end="")
    y: mirrors y (j: 16 vectorized; order i j j) as j: 16 vectorized; order i j j
    x_grad: mirrors y (j: 16 vectorized; order i j j) as j: 16 vectorized; order i j j
    """
    chosen = target if isinstance(target, _core.Target) else _core.Target(target)
    return _core.mirror_schedule(forward, derivative, chosen)
