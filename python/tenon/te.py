"""Tensor expressions: tensors as functions of their indices.

Scalars inside a tensor expression are `Expr`: indices, elements of tensors, and what operators and
the functions of this module make of them. They have no value until a kernel runs, so Python's
``if``, ``and``, ``or`` and ``not`` cannot decide by them; `select`, `all`, `any` and `not_` can.

Two dtypes meet by the array-API promotion rules; integers and floats meet only through `cast`.
Python's and NumPy's numbers are weak: they take the dtype of the other operand. Indices are int64.

Examples
--------
>>> from tenon import te
>>> A = te.placeholder((4, 8), "float32", name="A")
>>> k = te.reduce_axis(8, name="k")
>>> B = te.compute((4,), lambda i: te.sum(A[i, k], axis=k), name="B")
>>> B.shape, B.dtype
((4,), 'float32')
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from typing import Any, Literal

from tenon import _core
from tenon._core import Expr, ReduceAxis
from tenon._core import TensorExpr as Tensor
from tenon._derivatives import custom_vjp, grad, jvp, stop_gradient, vjp, vmap
from tenon.errors import DTypeError, ExpressionError

__all__ = [
    "Expr",
    "ReduceAxis",
    "Tensor",
    "abs",
    "all",
    "all_of",
    "any",
    "any_of",
    "argmax",
    "argmin",
    "cast",
    "ceil",
    "compute",
    "const",
    "cos",
    "cumsum",
    "custom_vjp",
    "erf",
    "exp",
    "floor",
    "gelu",
    "grad",
    "jvp",
    "log",
    "max",
    "maximum",
    "min",
    "minimum",
    "not_",
    "placeholder",
    "pow",
    "prod",
    "reduce_axis",
    "round",
    "rsqrt",
    "scan",
    "scatter",
    "select",
    "sigmoid",
    "sin",
    "softplus",
    "sqrt",
    "stop_gradient",
    "sum",
    "symbol",
    "tanh",
    "trunc",
    "vjp",
    "vmap",
]

Operand = Expr | builtins.bool | int | float
"""What element functions take: an expression, or a number of Python or NumPy."""
Size = Expr | int
"""What shapes are made of: integers, symbols, and integer arithmetic on symbols."""


def symbol(name: str, min: int = 0, max: int | None = None, multiple_of: int = 1) -> Expr:
    """Make a symbolic size, for the shapes of placeholders.

    A kernel is compiled once and valid for every value in [`min`, `max`] that is a multiple of
    `multiple_of`; the arguments of a call decide the value, and are checked.

    Raises
    ------
    ExpressionError
        The range is empty [E0110].
    """
    return _core.symbol(name, min, max, multiple_of)


def placeholder(
    shape: Sequence[Size] | Size,
    dtype: object,
    name: str = "placeholder",
    strides: Sequence[Size] | None = None,
) -> Tensor:
    """Declare an input.

    Parameters
    ----------
    shape
        One size for each dimension; ``()`` for a scalar.
    dtype
        A name such as ``"float32"``, or anything that ``numpy.dtype`` takes.
    name
        For printing and for messages.
    strides
        In elements, one for each dimension. Row-major unless given.

    Raises
    ------
    ShapeError
        A size is negative [E0401], or the strides have another rank [E0402].
    DTypeError
        There is no such dtype [E0501].
    """
    return _core.placeholder(shape, dtype, name, strides)


def compute(shape: Sequence[Size] | Size, fn: Callable[..., Any], name: str = "compute") -> Tensor:
    """Define a tensor by its elements.

    Parameters
    ----------
    shape
        The sizes; ``()`` for a scalar.
    fn
        Called once, with one int64 index for each dimension; returns the element there. Its
        parameters name the loops.
    name
        Names the buffer, and the block of loops that computes it.

    Raises
    ------
    ExpressionError
        `fn` takes another number of indices than there are dimensions [E0135], or uses a reduction
        axis outside a reduction [E0103].
    """
    rank = len(shape) if isinstance(shape, Sequence) else 1
    return _core.compute(shape, fn, name, _axis_names(fn, rank, name))


def _axis_names(fn: Callable[..., Any], rank: int, name: str) -> list[str]:
    """Return the names of the parameters, or none for a function that does not name them."""
    code = getattr(fn, "__code__", None)
    if code is None or code.co_flags & 0x04:  # *args takes any number
        return []
    names = list(code.co_varnames[: code.co_argcount])
    if getattr(fn, "__self__", None) is not None:
        names = names[1:]
    required = len(names) - len(getattr(fn, "__defaults__", None) or ())
    if not required <= rank <= len(names):
        raise ExpressionError(
            "E0135",
            f"compute '{name}': the function takes {len(names)} indices, but the shape has {rank} "
            f"dimensions\n  hint: write lambda {', '.join('ijklmn'[:rank])}: ...",
        )
    return names[:rank]


def scan(
    steps: Size,
    init: Tensor | Sequence[Tensor],
    fn: Callable[..., Any],
    name: str = "scan",
    last: builtins.bool = False,
) -> Tensor | tuple[Tensor, ...]:
    """Define a recurrence: the states at a step as a function of those at the step before.

    The steps run one after the other; what a step computes is vectorised and runs in parallel.
    Tensors made before the scan are computed once: a projection of all inputs belongs there.
    Both modes of differentiation and `te.vmap` go through it; nothing that it stores is computed
    again, and cotangents of what all steps use are one sum over the steps.

    Parameters
    ----------
    steps
        How many, an integer or a symbol; 0 is allowed.
    init
        The state before the first step, or several.
    fn
        Called once with the step, an int64 index, and the states before it as tensors; returns the
        states after it, tensors of the shapes and dtypes of `init`. It may read any tensors.
    name
        Names the buffers of the states.
    last
        Return the states after the last step only, of the shapes of `init`; `init` for no step.

    Returns
    -------
    Tensor or tuple of Tensor
        For each state a tensor of shape ``(steps, *init.shape)``, its value after each step. A
        tuple when `init` is a sequence.

    Raises
    ------
    ExpressionError
        `fn` returns another number of tensors than there are states, or there is none [E0116], or
        something else than tensors [E0118]; a tensor of a step is used outside of it [E0117, raised
        by `tn.function`].
    ShapeError
        `steps` is no size [E0401, E0403, E0404], or a state changes its shape [E0408].
    DTypeError
        A state changes its dtype [E0509].

    Examples
    --------
    >>> from tenon import te
    >>> x = te.placeholder((100, 8), "float32", name="x")
    >>> start = te.placeholder((8,), "float32", name="start")
    >>> def decay(t, y):
    ...     return te.compute((8,), lambda i: y[i] * 0.5 + x[t, i], name="next")
    >>> te.scan(100, start, decay, name="y").shape
    (100, 8)
    """
    results = _core.scan(steps, init, fn, name)
    if last:
        results = [_core.last_state(r) for r in results]
    return results[0] if isinstance(init, Tensor) else tuple(results)


def cumsum(x: Tensor, axis: int = 0, name: str = "cumsum") -> Tensor:
    """Add up a tensor along an axis: element i of the result is the sum of elements 0 to i.

    The order is that of the axis. bfloat16 and float16 accumulate in float32, 8- and 16-bit
    integers in int32; each result is rounded once to the dtype of `x`.

    Parameters
    ----------
    x
        Of any dtype but bool.
    axis
        Counted from 0, or from -1 at the end.
    name
        Names the buffer of the result.

    Raises
    ------
    ShapeError
        There is no such axis [E0409].
    DTypeError
        `x` holds bools [E0504].
    """
    return _core.cumsum(x, axis, name)


def scatter(
    init: Tensor,
    indices: Tensor | Sequence[Tensor] | Callable[..., Any],
    updates: Tensor,
    mode: Literal["set", "add", "mul", "min", "max"] = "set",
    name: str = "scatter",
) -> Tensor:
    """Apply updates to a copy of a tensor, at places that data decide.

    The result equals applying the updates one after the other in row-major order of their
    positions, whatever the number of threads. An update whose index is out of range is dropped,
    and the call raises the index error that names it.

    Parameters
    ----------
    init
        What the updates meet; the result has its shape and dtype.
    indices
        One integer tensor, or one for each of the leading dimensions of `init`, all of one shape.
        Or a function that takes the position of an update, one int64 index for each dimension of
        `updates`, and returns the indices in `init`, one for each dimension.
    updates
        Of shape ``indices.shape + init.shape[number of index tensors:]``, of any shape with a
        function; of the dtype of `init`.
    mode
        What an update does to the element that it meets: take its place, be added, be multiplied,
        or leave the smaller or larger of both. Float additions and products are rounded one by
        one.
    name
        Names the buffer, and the block of loops that applies the updates.

    Raises
    ------
    ShapeError
        The updates have another shape [E0405], there is no index tensor or there are too many
        [E0406], or the index tensors have different shapes [E0407].
    DTypeError
        An index is no integer [E0503], the updates have another dtype than `init` [E0507], or a
        mode other than "set" meets bools [E0508].
    IndexError
        A constant index is out of range [E0602].
    ExpressionError
        The function returns another number of indices than `init` has dimensions [E0111], or an
        index with a reduction [E0112]; there is no such mode [E0113]; `indices` are neither tensors
        nor a function [E0114].

    Examples
    --------
    The gradient of an embedding: row ``ids[n]`` of the result gathers row ``n`` of the updates.

    >>> from tenon import te
    >>> zeros = te.compute((10, 4), lambda i, j: te.const(0.0, "float32"), name="zeros")
    >>> ids = te.placeholder((3,), "int32", name="ids")
    >>> dy = te.placeholder((3, 4), "float32", name="dy")
    >>> te.scatter(zeros, ids, dy, mode="add", name="dw").shape
    (10, 4)
    """
    return _core.scatter(init, indices, updates, mode, name)


def reduce_axis(domain: Size | tuple[Size, Size], name: str = "k") -> ReduceAxis:
    """Make an axis for reductions: over [0, extent), or [min, min + extent) for a pair."""
    return _core.reduce_axis(domain, name)


Axes = ReduceAxis | Sequence[ReduceAxis]


def sum(source: Operand, axis: Axes, where: Operand | None = None, dtype: object = None) -> Expr:
    """Add up `source` over the axes.

    Parameters
    ----------
    source
        The term, an expression of the axes.
    axis
        One or several axes made by `reduce_axis`.
    where
        Terms whose condition is false are not part of the sum.
    dtype
        Of the result. bfloat16 and float16 accumulate in float32, 8- and 16-bit integers in int32;
        the sum is rounded once to the result's dtype.

    Raises
    ------
    ExpressionError
        There is no axis [E0107], or it is none of `reduce_axis` [E0108, E0133].
    """
    return _core.reduce("sum", source, axis, where, dtype)


def prod(source: Operand, axis: Axes, where: Operand | None = None, dtype: object = None) -> Expr:
    """Multiply `source` over the axes; parameters and errors are those of `sum`."""
    return _core.reduce("prod", source, axis, where, dtype)


def min(source: Operand, axis: Axes, where: Operand | None = None) -> Expr:
    """Take the least `source` over the axes; +inf (the largest integer) where there is none."""
    return _core.reduce("min", source, axis, where, None)


def max(source: Operand, axis: Axes, where: Operand | None = None) -> Expr:
    """Take the largest `source` over the axes; -inf (the least integer) where there is none."""
    return _core.reduce("max", source, axis, where, None)


def argmax(source: Operand, axis: Axes, where: Operand | None = None) -> Expr:
    """Return the least value of an axis at which `source` is largest.

    The conventions are NumPy's: the lowest index wins among equal values, zeros of either sign are
    equal, and the first NaN, where there is one, counts as the largest. The value itself is `max`
    of the same source.

    Parameters
    ----------
    source
        An expression of the axis, of any dtype but bool.
    axis
        One axis made by `reduce_axis`.
    where
        Terms whose condition is false are not part of the reduction.

    Returns
    -------
    Expr
        An int64; -1 where no term is part of the reduction.

    Raises
    ------
    ExpressionError
        There is not exactly one axis [E0115], or it is none of `reduce_axis` [E0108, E0133].
    DTypeError
        `source` is a bool [E0504].

    Examples
    --------
    >>> from tenon import te
    >>> A = te.placeholder((4, 8), "float32", name="A")
    >>> k = te.reduce_axis(8, name="k")
    >>> B = te.compute((4,), lambda i: te.argmax(A[i, k], axis=k), name="B")
    >>> B.dtype
    'int64'
    """
    return _core.arg_reduce("argmax", source, axis, where)


def argmin(source: Operand, axis: Axes, where: Operand | None = None) -> Expr:
    """Return the least value of an axis at which `source` is smallest.

    Parameters, errors and conventions are those of `argmax`; the first NaN counts as the smallest.
    """
    return _core.arg_reduce("argmin", source, axis, where)


def any_of(condition: Operand, axis: Axes, where: Operand | None = None) -> Expr:
    """Return whether a condition holds somewhere over the axes; false where there is no term.

    Raises
    ------
    DTypeError
        The condition is no bool [E0504].
    """
    return _core.reduce("any_of", condition, axis, where, None)


def all_of(condition: Operand, axis: Axes, where: Operand | None = None) -> Expr:
    """Return whether a condition holds everywhere over the axes; true where there is no term.

    Raises
    ------
    DTypeError
        The condition is no bool [E0504].
    """
    return _core.reduce("all_of", condition, axis, where, None)


def exp(x: Operand) -> Expr:
    """Return e to the power of a float, within 1 ULP."""
    return _core.math("exp", x)


def log(x: Operand) -> Expr:
    """Return the natural logarithm of a float, within 1 ULP; NaN below 0, -inf at 0."""
    return _core.math("log", x)


def sqrt(x: Operand) -> Expr:
    """Return the square root of a float, correctly rounded; NaN below 0."""
    return _core.sqrt(x)


def rsqrt(x: Operand) -> Expr:
    """Return 1 / sqrt(x) of a float, within 1 ULP."""
    return _core.math("rsqrt", x)


def tanh(x: Operand) -> Expr:
    """Return the hyperbolic tangent of a float, within 1 ULP."""
    return _core.math("tanh", x)


def erf(x: Operand) -> Expr:
    """Return the error function of a float, within 1 ULP."""
    return _core.math("erf", x)


def sigmoid(x: Operand) -> Expr:
    """Return 1 / (1 + exp(-x)) of a float, within 2.5 ULP, also far below 0."""
    return _core.math("sigmoid", x)


def sin(x: Operand) -> Expr:
    """Return the sine of a float in radians, within 1 ULP for every argument."""
    return _core.math("sin", x)


def cos(x: Operand) -> Expr:
    """Return the cosine of a float in radians, within 1 ULP for every argument."""
    return _core.math("cos", x)


def pow(x: Operand, y: Operand) -> Expr:
    """Return x to the power of y, both floats, within 2.5 ULP."""
    return _core.math("pow", x, y)


def gelu(x: Operand, approximate: Literal["tanh"] | None = None) -> Expr:
    """Return x * (1 + erf(x / sqrt(2))) / 2 of a float, or its form with tanh, within 2.5 ULP.

    Raises
    ------
    ExpressionError
        `approximate` is neither None nor ``"tanh"`` [E0136].
    """
    if approximate not in (None, "tanh"):
        raise ExpressionError(
            "E0136", f"gelu: approximate should be None or 'tanh', got {approximate!r}"
        )
    return _core.math("gelu" if approximate is None else "gelu_tanh", x)


def softplus(x: Operand) -> Expr:
    """Return log(1 + exp(x)) of a float, within 2.5 ULP."""
    return _core.math("softplus", x)


def abs(x: Operand) -> Expr:
    """Return the magnitude of a number; the least integer stays itself."""
    return _core.abs(x)


def floor(x: Operand) -> Expr:
    """Return the largest whole float that is at most x."""
    return _core.floor(x)


def ceil(x: Operand) -> Expr:
    """Return the least whole float that is at least x."""
    return _core.ceil(x)


def round(x: Operand) -> Expr:
    """Return the nearest whole float, halves to even."""
    return _core.round(x)


def trunc(x: Operand) -> Expr:
    """Return the whole part of a float."""
    return _core.trunc(x)


def minimum(x: Operand, y: Operand) -> Expr:
    """Return the smaller of two numbers; NaN if one is."""
    return _core.minimum(x, y)


def maximum(x: Operand, y: Operand) -> Expr:
    """Return the larger of two numbers; NaN if one is."""
    return _core.maximum(x, y)


def cast(x: Operand, dtype: object) -> Expr:
    """Convert x. Floats to integers truncate and saturate, NaN gives 0; integers wrap."""
    return _core.cast(x, dtype)


def const(value: builtins.bool | int | float, dtype: object) -> Expr:
    """Make a constant of a given dtype.

    Raises
    ------
    DTypeError
        The dtype cannot hold the value [E0511].
    """
    return _core.const(value, dtype)


def select(condition: Operand, true_value: Operand, false_value: Operand) -> Expr:
    """Return one of two values; the other one is not evaluated, so it may read out of bounds."""
    return _core.select(condition, true_value, false_value)


def all(*conditions: Operand) -> Expr:
    """Return whether all conditions hold; later ones are evaluated only if the earlier ones do."""
    if not conditions:
        return _core.const(True, "bool")
    result, *rest = conditions
    for condition in rest:
        result = _core.logical_and(result, condition)
    return _condition(result)


def any(*conditions: Operand) -> Expr:
    """Return whether one condition holds; later ones are evaluated only if no earlier one does."""
    if not conditions:
        return _core.const(False, "bool")
    result, *rest = conditions
    for condition in rest:
        result = _core.logical_or(result, condition)
    return _condition(result)


def _condition(x: Operand) -> Expr:
    """Check that a single condition is a bool."""
    if isinstance(x, builtins.bool):
        return _core.const(x, "bool")
    if isinstance(x, Expr) and x.dtype == "bool":
        return x
    raise DTypeError("E0514", f"a condition should be a bool, got {x!r}\n  hint: compare first")


def not_(condition: Operand) -> Expr:
    """Return whether the condition does not hold."""
    return _core.logical_not(condition)
