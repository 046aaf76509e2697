"""Operators that are tensor expressions, in one Python function: `op`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from tenon import _core, te
from tenon._jit import Jitted, is_array, leaf_names
from tenon._tree import flatten, unflatten
from tenon.errors import ExpressionError
from tenon.nn._value import Value, as_value

__all__ = ["Operator", "op"]


class Operator:
    """An operator made by `op`."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._name = getattr(function, "__name__", "operator")
        self._jitted = Jitted(self._apply, static_floats=True)
        functools.update_wrapper(self._jitted, function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Apply it to arrays, to values of a network, or to tensors of another expression."""
        leaves, _ = flatten((args, kwargs))
        if any(isinstance(leaf, te.Tensor) for leaf in leaves):
            return self._function(*args, **kwargs)
        return self._jitted(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<tenon operator {self._name}>"

    def _apply(self, *args: Any, **kwargs: Any) -> Any:
        leaves, structure = flatten((args, kwargs))
        names = leaf_names(self._function, structure)
        values: list[Value] = []
        placeholders: list[te.Tensor] = []
        arguments: list[Any] = []
        for leaf, name in zip(leaves, names, strict=True):
            if not isinstance(leaf, Value) and not is_array(leaf):
                arguments.append(leaf)
                continue
            value = as_value(leaf)
            values.append(value)
            placeholders.append(te.placeholder(value.shape, value.dtype, name))
            arguments.append(placeholders[-1])
        given, named = unflatten(structure, arguments)
        outputs, form = flatten(self._function(*given, **named))
        for output in outputs:
            if not isinstance(output, te.Tensor):
                raise ExpressionError(
                    "E0184",
                    f"operator '{self._name}' returned a {type(output).__name__}, expected tensors"
                    "\n  hint: te.compute(shape, function) makes one",
                )
        results = _core.graph_expression(
            self._name, [v._core for v in values], placeholders, outputs
        )
        return unflatten(form, [Value(result) for result in results])


def op(function: Callable[..., Any]) -> Operator:
    """Make an operator of a function of tensors.

    Parameters
    ----------
    function
        Takes `te.Tensor` objects, in trees if wanted, and constants (numbers, texts); returns a
        tensor of them, or a tree of several. It is called whenever the operator is applied, with
        placeholders of the operands' shapes and dtypes, which may hold symbols.

    Returns
    -------
    Operator
        Called with values inside modules and functions that `compile`, `jit` or a gradient traces;
        with arrays it is compiled for their shapes and run at once; with tensors it is the function
        itself. Its schedule, its place in fused kernels and its derivatives follow from the
        expression.

    Raises
    ------
    ExpressionError
        `function` returns something that is no tensor [E0184], or its tensors read placeholders
        that are no arguments [E0181].

    Examples
    --------
    >>> import numpy as np
    >>> import tenon as tn
    >>> from tenon import te
    >>> @tn.op
    ... def scaled_sum(x, factor):
    ...     k = te.reduce_axis(x.shape[1])
    ...     return te.compute(x.shape[:1], lambda i: te.sum(x[i, k] * factor, axis=k))
    >>> scaled_sum(np.ones((2, 3), np.float32), 2.0).numpy()
    array([6., 6.], dtype=float32)
    """
    return Operator(function)
