"""Networks as one callable: `compile`, `TensorSpec`, `Network`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from tenon import _core, te
from tenon._numerics import CheckedNetwork, compile_graph
from tenon.errors import ExpressionError
from tenon.nn._module import Module
from tenon.nn._tracing import tracing
from tenon.nn._value import Value, as_value

__all__ = ["Network", "TensorSpec", "compile"]


class TensorSpec:
    """Shape and dtype of an input.

    Parameters
    ----------
    shape
        Integers; symbols made by `te.symbol`; or names, which stand for symbols: equal names of one
        `compile` are one symbol.
    dtype
        A name such as ``"float32"``, or anything that ``numpy.dtype`` takes.
    name
        For messages and for calls by name; by default the name of the function's parameter.
    """

    def __init__(
        self, shape: Sequence[Any], dtype: object = "float32", name: str | None = None
    ) -> None:
        self.shape = tuple(shape)
        self.dtype = dtype
        self.name = name


class Network:
    """A compiled network, valid for every value of its symbols; made by `compile`."""

    num_kernels: int
    """Kernel calls of one call of the network."""
    compile_seconds: float
    """How long compilation took."""

    def __init__(self, core: _core.CompiledNetwork | CheckedNetwork, names: Sequence[str]) -> None:
        self._core = core
        self._names = list(names)
        self.num_kernels = len(core.calls)
        self.num_compiled: int = core.num_compiled
        self.compile_seconds = core.compile_seconds

    def __call__(self, *arrays: Any, out: Any = None, **named: Any) -> Any:
        """Run on arrays, by position or by name; return a `Tensor`, or a tuple of them."""
        if named:
            arrays = self._by_position(arrays, named)
        return self._core(*arrays, out=out)

    def _by_position(self, arrays: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...]:
        rest = self._names[len(arrays) :]
        if set(named) != set(rest):
            raise ExpressionError(
                "E0155",
                f"the network takes {', '.join(self._names)}; got"
                f" {len(arrays)} by position and {', '.join(named)}",
            )
        return arrays + tuple(named[name] for name in rest)

    @property
    def input_names(self) -> list[str]:
        """The names of the inputs, in order."""
        return list(self._names)

    def report(self) -> str:
        """Return which kernels run, what they compute, and how long compilation took."""
        return self._core.report()

    def kernels(self) -> list[tuple[str, list[str], str, int]]:
        """Return name, operators, type of the result and number of the code of each kernel call."""
        return self._core.calls

    def workspace_bytes(self, *shapes: Sequence[int]) -> int:
        """Return how much memory temporaries take for inputs of these shapes."""
        return self._core.workspace_bytes([list(shape) for shape in shapes])


def compile(
    network: Module | Callable[..., Any],
    inputs: Sequence[Any],
    target: str | _core.Target = "cpu",
    name: str | None = None,
) -> Network:
    """Compile a module or a function of symbolic values.

    Parameters
    ----------
    network
        Called once with one `nn.Value` for each input; returns one, or a tuple of them.
    inputs
        One `TensorSpec` for each parameter; an array stands for its shape and dtype.
    target
        A text such as ``"cpu"``, or a `Target`.
    name
        Of the network, for messages.

    Raises
    ------
    ShapeError, DTypeError
        Operators do not fit their operands; the message names both.
    ExpressionError
        A symbol is not a whole dimension of any input [E0152].
    """
    function = network.forward if isinstance(network, Module) else network
    names = _input_names(function, inputs)
    symbols: dict[str, Any] = {}
    values = []
    for spec, spec_name in zip(inputs, names, strict=True):
        shape, dtype = (spec.shape, spec.dtype) if isinstance(spec, TensorSpec) else _type_of(spec)
        sizes = [_size(size, symbols) for size in shape]
        values.append(Value(_core.graph_input(sizes, dtype, spec_name)))
    with tracing():
        result = network(*values)
        results = list(result) if isinstance(result, (tuple, list)) else [result]
        outputs = [as_value(r)._core for r in results]
    chosen = target if isinstance(target, _core.Target) else _core.Target(target)
    owner = type(network) if isinstance(network, Module) else network
    title = name or str(getattr(owner, "__name__", "network"))
    core = compile_graph([v._core for v in values], outputs, title, chosen)
    return Network(core, names)


def _type_of(array: Any) -> tuple[tuple[int, ...], str]:
    tensor = _core.asarray(array)
    return tensor.shape, tensor.dtype


def _size(size: Any, symbols: dict[str, Any]) -> Any:
    if isinstance(size, str):
        return symbols.setdefault(size, te.symbol(size))
    return size


def _input_names(function: Callable[..., Any], inputs: Sequence[Any]) -> list[str]:
    try:
        parameters = [
            p.name
            for p in inspect.signature(function).parameters.values()
            if p.kind is not p.VAR_POSITIONAL
        ]
    except (TypeError, ValueError):
        parameters = []
    names = []
    for i, spec in enumerate(inputs):
        given = spec.name if isinstance(spec, TensorSpec) else None
        names.append(given or (parameters[i] if i < len(parameters) else f"input{i}"))
    return names
