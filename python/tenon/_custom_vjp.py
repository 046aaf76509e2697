"""Functions that bring their own derivative: `custom_vjp`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from tenon import _core
from tenon._gradients import outputs_of, zeros_like
from tenon._jit import Jitted, is_array
from tenon._tree import Structure, flatten, unflatten
from tenon.errors import ExpressionError
from tenon.nn._value import Value, as_value

__all__ = ["attach_rule", "custom_vjp"]

Rule = Callable[[list[Value], Any], Any]
"""From residuals and a tree of cotangents of the results to one tree for each argument."""


def attach_rule(
    results: Sequence[Value],
    form: Structure,
    arguments: Sequence[Any],
    residuals: Sequence[Value],
    rule: Rule,
    name: str,
) -> Any:
    """Return the tree of results, whose derivative with respect to the arguments is the rule's."""
    leaves = [flatten(argument)[0] for argument in arguments]
    values = [as_value(x) for part in leaves for x in part if _is_data(x)]

    def rule_of(k: int) -> Callable[..., list[_core.GraphValue | None]]:
        def apply(
            given: list[_core.GraphValue], cotangent: _core.GraphValue
        ) -> list[_core.GraphValue | None]:
            # The rule is linear, so that each result may come alone.
            cotangents = [zeros_like(result) for result in results]
            cotangents[k] = Value(cotangent)
            found = rule([Value(v) for v in given], unflatten(form, cotangents))
            if not isinstance(found, (tuple, list)) or len(found) != len(arguments):
                raise ExpressionError(
                    "E0189",
                    f"the rule of '{name}' should return a tuple with the cotangents of each of its"
                    f" {len(arguments)} arguments, or None",
                )
            return [
                None if g is None else as_value(g)._core
                for part, cotangent_tree in zip(leaves, found, strict=True)
                for g in _matched(part, cotangent_tree, name)
            ]

        return apply

    marked = [
        Value(
            _core.graph_custom_vjp(
                result._core, [v._core for v in values], [v._core for v in residuals], rule_of(k)
            )
        )
        for k, result in enumerate(results)
    ]
    return unflatten(form, marked)


def _is_data(leaf: Any) -> bool:
    return isinstance(leaf, (Value, float)) or is_array(leaf)


def _matched(leaves: Sequence[Any], cotangents: Any, name: str) -> list[Any]:
    """Return a cotangent or None for each leaf of an argument that is data."""
    count = sum(_is_data(leaf) for leaf in leaves)
    if cotangents is None:
        return [None] * count
    found, _ = flatten(cotangents)
    if len(found) != count:
        raise ExpressionError(
            "E0189",
            f"the rule of '{name}' returned {len(found)} cotangents for an argument of {count}"
            " arrays",
        )
    return found


class custom_vjp:
    """A function of arrays whose reverse-mode derivative is given, not derived.

    Parameters
    ----------
    function
        Takes trees of arrays, and constants; returns a tree of arrays. `defvjp` gives the rule.

    Notes
    -----
    The rule is a pair, as in JAX: ``forward(*args)`` returns the result and residuals, a tree of
    what the backward function needs; ``backward(residuals, cotangent)`` returns a tuple with a tree
    of cotangents for each positional argument, or None. It has to be linear in the cotangent;
    forward mode is its transpose. Nothing is differentiated with respect to values that the
    functions use without taking them.

    Examples
    --------
    >>> import numpy as np
    >>> import tenon as tn
    >>> @tn.custom_vjp
    ... def clipped(x):
    ...     return x
    >>> clipped.defvjp(lambda x: (x, None), lambda _, g: (tn.nn.functional.minimum(g, 1.0),))
    >>> tn.grad(lambda x: (clipped(x) * 3.0).sum())(np.zeros(2, np.float32)).numpy()
    array([1., 1.], dtype=float32)
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._name = getattr(function, "__name__", "function")
        self._rule: tuple[Callable[..., Any], Callable[..., Any]] | None = None
        self._jitted = Jitted(self._apply, like=function)

    def defvjp(self, forward: Callable[..., Any], backward: Callable[..., Any]) -> None:
        """Give the rule: ``forward(*args)`` and ``backward(residuals, cotangent)``."""
        self._rule = forward, backward

    def __call__(self, *args: Any) -> Any:
        """Apply the function.

        Raises
        ------
        ExpressionError
            There is no rule, or it returns something else than it should [E0189].
        """
        return self._jitted(*args)

    def _apply(self, *args: Any) -> Any:
        if self._rule is None:
            raise ExpressionError(
                "E0189",
                f"'{self._name}' has no rule\n  hint: {self._name}.defvjp(forward, backward)",
            )
        forward, backward = self._rule
        pair = forward(*args)
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise ExpressionError(
                "E0189", f"the forward rule of '{self._name}' should return (result, residuals)"
            )
        results, form = outputs_of(pair[0])
        kept, residual_form = flatten(pair[1])
        places = [i for i, leaf in enumerate(kept) if _is_data(leaf)]

        def rule(residuals: list[Value], cotangent: Any) -> Any:
            leaves = list(kept)
            for i, value in zip(places, residuals, strict=True):
                leaves[i] = value
            return backward(unflatten(residual_form, leaves), cotangent)

        residuals = [as_value(kept[i]) for i in places]
        return attach_rule(results, form, args, residuals, rule, self._name)
