"""Operators that are tensor expressions, in one Python function: `op`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from tenon import _core, te
from tenon._build import functions_made
from tenon._custom_vjp import attach_rule
from tenon._jit import Jitted, is_array, leaf_names
from tenon._tree import LEAF, Structure, flatten, unflatten
from tenon.errors import ExpressionError
from tenon.nn._value import Value, as_value

__all__ = ["Operator", "op"]


class Operator:
    """An operator made by `op`."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._name = getattr(function, "__name__", "operator")
        self._rule: Callable[..., Any] | None = None
        self._jitted = Jitted(self._apply, like=function, static_floats=True)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Apply it to arrays, to values of a network, or to tensors of another expression."""
        leaves, _ = flatten((args, kwargs))
        if any(isinstance(leaf, te.Tensor) for leaf in leaves):
            return self._function(*args, **kwargs)
        return self._jitted(*args, **kwargs)

    def def_vjp(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Give the operator a derivative better than the one that follows from its expression.

        Parameters
        ----------
        rule
            Called as ``rule(cotangent, result, *args, **kwargs)`` with values of a network: the
            tree of cotangents of the results, the results, and what the operator was applied to.
            Returns a tuple with the cotangents of each positional argument, or None. Linear in the
            cotangent.

        Returns
        -------
        Callable
            The rule, so that this is a decorator.
        """
        self._rule = rule
        return rule

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
        with functions_made() as functions:
            outputs, form = flatten(self._function(*given, **named))
        cores = [v._core for v in values]
        if form == LEAF and isinstance(outputs[0], _core.Schedule):
            results = [self._scheduled(outputs[0], functions, cores, placeholders)]
        else:
            results = self._expressed(outputs, cores, placeholders)
        made = [Value(result) for result in results]
        if self._rule is None:
            return unflatten(form, made)
        return self._with_rule(self._rule, made, form, args, kwargs)

    def _scheduled(
        self,
        schedule: _core.Schedule,
        functions: Sequence[tuple[list[te.Tensor], list[te.Tensor]]],
        values: list[_core.GraphValue],
        placeholders: list[te.Tensor],
    ) -> _core.GraphValue:
        if len(functions) != 1 or len(functions[0][1]) != 1:
            raise ExpressionError(
                "E0184",
                f"operator '{self._name}' returned a schedule, but made {len(functions)} functions"
                " with tn.function, expected one with one output",
            )
        inputs, outputs = functions[0]
        return _core.graph_scheduled(
            self._name, values, placeholders, outputs[0], schedule.function, inputs
        )

    def _expressed(
        self, outputs: list[Any], values: list[_core.GraphValue], placeholders: list[te.Tensor]
    ) -> list[_core.GraphValue]:
        for output in outputs:
            if not isinstance(output, te.Tensor):
                raise ExpressionError(
                    "E0184",
                    f"operator '{self._name}' returned a {type(output).__name__}, expected tensors"
                    "\n  hint: te.compute(shape, function) makes one",
                )
        return _core.graph_expression(self._name, values, placeholders, outputs)

    def _with_rule(
        self,
        given_rule: Callable[..., Any],
        results: list[Value],
        form: Structure,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        leaves, structure = flatten((args, kwargs))
        places = [i for i, x in enumerate(leaves) if isinstance(x, Value) or is_array(x)]

        def rule(residuals: list[Value], cotangent: Any) -> Any:
            arguments = list(leaves)
            for i, value in zip(places, residuals, strict=False):
                arguments[i] = value
            given, named = unflatten(structure, arguments)
            result = unflatten(form, residuals[len(places) :])
            return given_rule(cotangent, result, *given, **named)

        residuals = [as_value(leaves[i]) for i in places] + results
        return attach_rule(results, form, args, residuals, rule, self._name)


def op(function: Callable[..., Any]) -> Operator:
    """Make an operator of a function of tensors.

    Parameters
    ----------
    function
        Takes `te.Tensor` objects, in trees if wanted, and constants (numbers, texts); returns a
        tensor of them, a tree of several, or a `Schedule` of a function of one tensor. It is called
        whenever the operator is applied, with placeholders of the operands' shapes and dtypes,
        which may hold symbols.

    Returns
    -------
    Operator
        Called with values inside modules and functions that `compile`, `jit` or a gradient traces;
        with arrays it is compiled for their shapes and run at once; with tensors it is the function
        itself. Its schedule, its place in fused kernels and its derivatives follow from the
        expression; with a schedule of its own it is a kernel of its own, as that says.

    Raises
    ------
    ExpressionError
        `function` returns something that is no tensor or schedule [E0184], or its tensors read
        placeholders that are no arguments [E0181].

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
