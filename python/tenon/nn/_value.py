"""Symbolic values of networks: what ``forward`` computes with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tenon import _core
from tenon._core import Expr
from tenon.errors import ExpressionError, ShapeError

__all__ = ["Operand", "Value", "along", "apply", "as_value", "reduce"]


class Value:
    """An array of a network that is not computed yet: operators on it make further values.

    Operands are broadcast as NumPy's. Numbers take the dtype of the other operand. Its truth cannot
    be asked for.
    """

    __slots__ = ("_core",)
    __array_ufunc__ = None

    def __init__(self, core: _core.GraphValue) -> None:
        self._core = core

    @property
    def shape(self) -> tuple[Any, ...]:
        """The sizes: integers, and expressions of symbols."""
        return self._core.shape

    @property
    def dtype(self) -> str:
        """The name of the dtype."""
        return self._core.dtype

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    def __repr__(self) -> str:
        return f"<tenon.nn.Value {self._core}>"

    def __bool__(self) -> bool:
        raise ExpressionError(
            "E0153",
            f"{self!r} has no value yet, so that `if`, `and`, `or`, `not` cannot decide by it\n"
            "  hint: use functional.where",
        )

    __hash__ = object.__hash__

    def __add__(self, other: Operand) -> Value:
        return _binary("add", self, other)

    def __radd__(self, other: Operand) -> Value:
        return _binary("add", other, self)

    def __sub__(self, other: Operand) -> Value:
        return _binary("sub", self, other)

    def __rsub__(self, other: Operand) -> Value:
        return _binary("sub", other, self)

    def __mul__(self, other: Operand) -> Value:
        return _binary("mul", self, other)

    def __rmul__(self, other: Operand) -> Value:
        return _binary("mul", other, self)

    def __truediv__(self, other: Operand) -> Value:
        return _binary("div", self, other)

    def __rtruediv__(self, other: Operand) -> Value:
        return _binary("div", other, self)

    def __pow__(self, other: Operand) -> Value:
        return _binary("pow", self, other)

    def __rpow__(self, other: Operand) -> Value:
        return _binary("pow", other, self)

    def __matmul__(self, other: Value | np.ndarray[Any, Any]) -> Value:
        return apply("matmul", [self, as_value(other)])

    def __rmatmul__(self, other: np.ndarray[Any, Any]) -> Value:
        return apply("matmul", [as_value(other), self])

    def __neg__(self) -> Value:
        return apply("neg", [self])

    def __abs__(self) -> Value:
        return apply("abs", [self])

    def __invert__(self) -> Value:
        return apply("logical_not", [self])

    def __and__(self, other: Operand) -> Value:
        return _binary("logical_and", self, other)

    def __or__(self, other: Operand) -> Value:
        return _binary("logical_or", self, other)

    def __eq__(self, other: Operand) -> Value:  # type: ignore[override]
        return _binary("equal", self, other)

    def __ne__(self, other: Operand) -> Value:  # type: ignore[override]
        return _binary("not_equal", self, other)

    def __lt__(self, other: Operand) -> Value:
        return _binary("less", self, other)

    def __le__(self, other: Operand) -> Value:
        return _binary("less_equal", self, other)

    def __gt__(self, other: Operand) -> Value:
        return _binary("greater", self, other)

    def __ge__(self, other: Operand) -> Value:
        return _binary("greater_equal", self, other)

    def cast(self, dtype: object) -> Value:
        """Convert the elements."""
        return apply("cast", [self], dtype=dtype)

    def reshape(self, *shape: Any) -> Value:
        """Give the elements another shape; one size may be -1."""
        return apply("reshape", [self], shape=_sizes(shape))

    def transpose(self, *axes: Any) -> Value:
        """Reorder the axes; without arguments, reverse them."""
        order = list(_sizes(axes)) or list(reversed(range(self.ndim)))
        return apply("transpose", [self], axes=order)

    def broadcast_to(self, *shape: Any) -> Value:
        """Repeat along new axes, and along those of size 1."""
        return apply("broadcast_to", [self], shape=_sizes(shape))

    def sum(self, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Value:
        """Add up along the axes (all by default)."""
        return reduce("sum", self, axis, keepdims)

    def mean(self, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Value:
        """Take the mean along the axes (all by default)."""
        return reduce("mean", self, axis, keepdims)

    def max(self, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Value:
        """Take the largest along the axes (all by default)."""
        return reduce("max", self, axis, keepdims)

    def min(self, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Value:
        """Take the least along the axes (all by default)."""
        return reduce("min", self, axis, keepdims)

    def __getitem__(self, key: Any) -> Value:
        """Slice with integers, slices, ``...`` and None (a new axis), as NumPy does.

        Steps other than 1 need sizes without symbols.
        """
        items = list(key) if isinstance(key, tuple) else [key]
        used = sum(item is not None and item is not Ellipsis for item in items)
        if used > self.ndim:
            raise ShapeError("E0422", f"{self!r} is indexed with {used} indices")
        if not any(item is Ellipsis for item in items):
            items.append(Ellipsis)
        at = next(i for i, item in enumerate(items) if item is Ellipsis)
        items[at : at + 1] = [slice(None)] * (self.ndim - used)
        begins: list[Any] = []
        extents: list[Any] = []
        steps: list[int] = []
        shape: list[Any] = []
        for item in items:
            if item is None:
                shape.append(1)
                continue
            begin, extent, step = self._range(item, self.shape[len(begins)])
            begins.append(begin)
            extents.append(extent)
            steps.append(step)
            if isinstance(item, slice):
                shape.append(extent)
        result = self
        has_steps = any(step != 1 for step in steps)
        if has_steps or any(not _is_int(b, 0) for b in begins) or not _same(extents, self.shape):
            attributes: dict[str, Any] = {"steps": steps} if has_steps else {}
            result = apply(
                "slice", [self], begins=tuple(begins), extents=tuple(extents), **attributes
            )
        return (
            result
            if len(shape) == len(extents) == self.ndim and _same(shape, extents)
            else result.reshape(shape)
        )

    def _range(self, item: Any, size: Any) -> tuple[Any, Any, int]:
        if isinstance(item, slice):
            step = 1 if item.step is None else item.step
            if not isinstance(step, int) or step == 0:
                raise ShapeError("E0422", f"{self!r}: a slice has the step {item.step!r}")
            limits = (item.start, item.stop)
            if isinstance(size, int) and all(x is None or isinstance(x, int) for x in limits):
                chosen = range(*item.indices(size))
                return (chosen.start if chosen else 0), len(chosen), step
            if step != 1:
                raise ShapeError("E0422", f"{self!r}: a slice of a symbolic size has step 1")
            begin = 0 if item.start is None else item.start
            end = size if item.stop is None else item.stop
            begin = begin + size if isinstance(begin, int) and begin < 0 else begin
            end = end + size if isinstance(end, int) and end < 0 else end
            return begin, end - begin, 1
        if not isinstance(item, (int, np.integer, Expr)):
            raise ShapeError(
                "E0422",
                f"{self!r} is indexed with {item!r}\n  hint: functional.embedding gathers rows",
            )
        index = int(item) if not isinstance(item, Expr) else item
        return (index + size if isinstance(index, int) and index < 0 else index), 1, 1


Operand = Value | np.ndarray[Any, Any] | _core.Tensor | float | int | bool
"""What operators take besides values: arrays, which become constants, and numbers."""


def _is_int(size: Any, value: int) -> bool:
    return isinstance(size, int) and size == value


def _same(a: Sequence[Any], b: Sequence[Any]) -> bool:
    return len(a) == len(b) and all(_core.same_extent(x, y) for x, y in zip(a, b, strict=True))


def _sizes(values: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(values[0]) if len(values) == 1 and isinstance(values[0], (tuple, list)) else values


def as_value(operand: Operand, dtype: str | None = None) -> Value:
    """Return a value: of an array a constant, of a number a scalar constant of ``dtype``."""
    if isinstance(operand, Value):
        return operand
    constant = getattr(operand, "value", None)  # a parameter
    if callable(constant):
        result = constant()
        assert isinstance(result, Value)
        return result
    if isinstance(operand, (bool, int, float, np.number, np.bool_)):
        wanted = _core.numpy_dtype(dtype) if dtype is not None else None
        if isinstance(operand, float) and wanted is not None and wanted.kind in "iub":
            raise ExpressionError(
                "E0154", f"the number {operand} meets {dtype}\n  hint: cast first"
            )
        if wanted is None and isinstance(operand, float) and not isinstance(operand, np.number):
            wanted = np.dtype(np.float32)
        return Value(_core.graph_constant(np.asarray(operand, wanted), ""))
    return Value(_core.graph_constant(operand, ""))


def apply(op: str, operands: Sequence[Operand], **attributes: Any) -> Value:
    """Return the result of an operator."""
    values = [as_value(operand)._core for operand in operands]
    return Value(_core.graph_op(op, values, attributes))


def _binary(op: str, a: Operand, b: Operand) -> Value:
    x = as_value(a, b.dtype if isinstance(b, Value) else None)
    y = as_value(b, a.dtype if isinstance(a, Value) else None)
    return apply(op, [x, y])


def along(op: str, x: Value, axis: int) -> Value:
    """Return the result of an operator of the last axis on another one."""
    last = x.ndim - 1
    if axis % x.ndim == last:
        return apply(op, [x])
    order = list(range(x.ndim))
    order[axis], order[last] = order[last], order[axis]
    return apply(op, [x.transpose(order)]).transpose(order)


def reduce(op: str, x: Value, axis: int | Sequence[int] | None, keepdims: bool) -> Value:
    """Reduce along axes; a scalar along all of its axes is itself."""
    if axis is None and x.ndim == 0:
        return x
    every = range(x.ndim) if axis is None else axis
    axes = [every] if isinstance(every, int) else list(every)
    result = apply(op, [x], axes=axes)
    if not keepdims:
        return result
    reduced = {a % x.ndim for a in axes}
    return result.reshape([1 if d in reduced else size for d, size in enumerate(x.shape)])
