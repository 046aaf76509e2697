"""Branches and loops inside networks: `cond`, `fori_loop`, `scan`, `while_loop`.

They take JAX's names and argument orders. State, operands, inputs and results may be trees (dicts,
lists, tuples) of values; arrays become constants; Python's floats are float32 and integers int64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tenon import _core
from tenon._jit import Jitted, is_array
from tenon._tree import Structure, flatten, paths, unflatten
from tenon.errors import ExpressionError
from tenon.nn._tracing import is_tracing
from tenon.nn._value import Value, apply, as_value

__all__ = ["cond", "fori_loop", "scan", "while_loop"]

_UNBOUNDED = 2**63 - 1


def cond(
    pred: Any, true_fun: Callable[..., Any], false_fun: Callable[..., Any], *operands: Any
) -> Any:
    """Compute ``true_fun(*operands)`` where ``pred`` holds, ``false_fun(*operands)`` where not.

    Only the branch that is chosen runs. Values that the functions use without taking them are
    computed before.

    Parameters
    ----------
    pred
        A scalar bool: a value, or a Python bool, which chooses while the network is made.
    true_fun, false_fun
        Return trees of one form, with equal shapes and dtypes.
    operands
        What the functions take.

    Raises
    ------
    ExpressionError
        The results have different forms [E0170].
    ShapeError, DTypeError
        The predicate is no scalar bool [E0425, E0523], or a result has another shape or dtype in
        the other branch [E0426, E0524].
    """
    if isinstance(pred, (bool, np.bool_)):
        return true_fun(*operands) if pred else false_fun(*operands)
    if _is_eager((pred, operands)):
        return Jitted(lambda p, xs: cond(p, true_fun, false_fun, *xs))(pred, operands)
    leaves, structure = _values(operands)
    serial = _core.graph_serial()
    inputs: list[list[_core.GraphValue]] = []
    outputs: list[list[_core.GraphValue]] = []
    forms: list[Structure] = []
    for branch in (true_fun, false_fun):
        own = _inputs_like(leaves)
        results, form = _values(branch(*unflatten(structure, own)))
        inputs.append(_cores(own))
        outputs.append(_cores(results))
        forms.append(form)
    _check_form("cond", "the result if the predicate does not hold", forms[1], forms[0])
    cores = _core.graph_if(as_value(pred)._core, _cores(leaves), inputs, outputs, serial)
    return unflatten(forms[0], [Value(r) for r in cores])


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: Any = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """Carry a state along the first axis of arrays, and stack what each step gives.

    ``carry, y = f(carry, x)`` for each slice ``x = xs[0], xs[1], ...``. The steps run one after the
    other, compiled, reading slices and writing results in place; what `f` computes without its
    arguments is computed once.

    Parameters
    ----------
    f
        Takes the state and a slice, returns the next state and a result (None for none).
    init
        The first state. It keeps its form, shapes and dtypes.
    xs
        Arrays of one length, which may be a symbol; None: the slices are None and `length` counts.
    length
        The number of steps, where `xs` does not say.
    reverse
        Begin with the last slice; the result of slice t is still row t.

    Returns
    -------
    tuple
        The last state, and the results stacked along a new first axis.

    Raises
    ------
    ExpressionError
        `f` returns no pair [E0171], the state changes its form [E0170], there is neither `xs` nor
        `length` [E0172].
    ShapeError, DTypeError
        The state changes its shape [E0423] or dtype [E0522]; arrays of different lengths [E0424].

    Examples
    --------
    >>> import numpy as np
    >>> import tenon as tn
    >>> total, sums = tn.scan(lambda s, x: (s + x, s + x), 0.0, np.arange(5, dtype=np.float32))
    >>> sums.numpy()
    array([ 0.,  1.,  3.,  6., 10.], dtype=float32)
    """
    if _is_eager((init, xs)):
        return Jitted(lambda i, x: scan(f, i, x, length, reverse))(init, xs)  # type: ignore[no-any-return]
    stacked, form = _values(xs)
    if stacked and length is None and stacked[0].ndim > 0:
        length = stacked[0].shape[0]
    if length is None:
        raise ExpressionError("E0172", "scan: there is neither an array to scan nor a length")
    _check_count("scan", "length", length)
    first, structure = _values(init)
    states = _inputs_like(first)
    slices = [Value(_core.graph_input(x.shape[1:], x.dtype, "x")) for x in stacked]
    result = f(unflatten(structure, states), unflatten(form, slices))
    if not isinstance(result, tuple) or len(result) != 2:
        raise ExpressionError(
            "E0171",
            f"scan: the function returned a {type(result).__name__}, expected a pair of the next"
            " state and a result\n  hint: return state, None where there is no result",
        )
    following, next_form = _values(result[0])
    _check_form("scan", "the next state", next_form, structure)
    ys, ys_form = _values(result[1])
    results = _core.graph_loop(
        "scan",
        length,
        None,
        reverse,
        paths(structure, "carry"),
        [_cores(first), _cores(stacked)],
        _core.graph_input((), "int64", "t"),
        [_cores(states), _cores(slices)],
        None,
        [_cores(following), _cores(ys)],
    )
    values = [Value(r) for r in results]
    return unflatten(structure, values[: len(first)]), unflatten(ys_form, values[len(first) :])


def fori_loop(lower: Any, upper: Any, body_fun: Callable[[Any, Any], Any], init_val: Any) -> Any:
    """Apply ``val = body_fun(i, val)`` for i = lower, ..., upper - 1.

    Parameters
    ----------
    lower, upper
        Integers, or scalar integer values, so that the number of steps may be data. `upper` may be
        a size with symbols where `lower` is an integer.
    body_fun
        Takes i, a scalar int64, and the state; returns the next state.
    init_val
        The first state. It keeps its form, shapes and dtypes.

    Raises
    ------
    ExpressionError
        The state changes its form [E0170], `lower` is a symbol or the bounds are a symbol and a
        value [E0173].
    ShapeError, DTypeError
        The state changes its shape [E0423] or dtype [E0522]; a bound is no scalar integer [E0425,
        E0523].
    """
    if _is_eager((lower, upper, init_val)):
        return Jitted(lambda a, b, v: fori_loop(a, b, body_fun, v))(lower, upper, init_val)
    lower, upper = (x if _is_size(x) else _bound(x) for x in (lower, upper))
    if isinstance(lower, _core.Expr) or (isinstance(upper, _core.Expr) and not _is_size(lower)):
        raise ExpressionError(
            "E0173",
            f"fori_loop: the bounds are {lower} and {upper}; a size with symbols can be the upper"
            " one, after an integer\n  hint: count from 0 and add where the number is used",
        )
    limit = None
    count = upper - lower
    if isinstance(count, Value):
        limit, count = count._core, _UNBOUNDED
    elif isinstance(count, int):
        count = max(count, 0)
    index = Value(_core.graph_input((), "int64", "i"))
    shifted = index if isinstance(lower, int) and lower == 0 else index + _as_scalar(lower)
    return _loop("fori_loop", count, limit, init_val, lambda v: body_fun(shifted, v), index)


def while_loop(
    cond_fun: Callable[[Any], Any],
    body_fun: Callable[[Any], Any],
    init_val: Any,
    max_iterations: int | None = None,
) -> Any:
    """Apply ``val = body_fun(val)`` while ``cond_fun(val)`` holds.

    Parameters
    ----------
    cond_fun
        Returns a scalar bool for the state; it is looked at before each step.
    body_fun
        Returns the next state.
    init_val
        The first state. It keeps its form, shapes and dtypes.
    max_iterations
        Stop after so many steps in any case; None: never.

    Raises
    ------
    ExpressionError
        The state changes its form [E0170], `max_iterations` is negative [E0172].
    ShapeError, DTypeError
        The state changes its shape [E0423] or dtype [E0522]; the condition is no scalar bool
        [E0425, E0523].

    Notes
    -----
    A loop whose condition always holds runs until it is interrupted (Ctrl-C). Its gradient cannot
    be taken backwards, as the number of steps is not known; bound it with `scan` or `fori_loop`.
    """
    if _is_eager(init_val):
        return Jitted(lambda v: while_loop(cond_fun, body_fun, v, max_iterations))(init_val)
    count = _UNBOUNDED if max_iterations is None else max_iterations
    _check_count("while_loop", "max_iterations", count)
    index = Value(_core.graph_input((), "int64", "i"))
    return _loop("while_loop", count, None, init_val, body_fun, index, cond_fun)


def _loop(
    op: str,
    count: Any,
    limit: _core.GraphValue | None,
    init: Any,
    body: Callable[[Any], Any],
    index: Value,
    condition: Callable[[Any], Any] | None = None,
) -> Any:
    first, structure = _values(init)
    states = _inputs_like(first)
    tree = unflatten(structure, states)
    holds = None if condition is None else as_value(condition(tree))._core
    following, form = _values(body(tree))
    _check_form(op, "the next state", form, structure)
    results = _core.graph_loop(
        op,
        count,
        limit,
        False,
        paths(structure, "val"),
        [_cores(first), []],
        index._core,
        [_cores(states), []],
        holds,
        [_cores(following), []],
    )
    return unflatten(structure, [Value(r) for r in results])


def _is_eager(tree: Any) -> bool:
    """Whether there is no network to be part of: nothing is symbolic and no trace runs."""
    leaves, _ = flatten(tree)
    return (
        not is_tracing()
        and not any(isinstance(leaf, Value) for leaf in leaves)
        and any(is_array(leaf) for leaf in leaves)
    )


def _values(tree: Any) -> tuple[list[Value], Structure]:
    leaves, structure = flatten(tree)
    return [_as_scalar(leaf) for leaf in leaves], structure


def _as_scalar(leaf: Any) -> Value:
    """Return a value; of Python's numbers the usual dtype of networks."""
    if isinstance(leaf, float):
        return as_value(leaf, "float32")
    if isinstance(leaf, int) and not isinstance(leaf, bool):
        return as_value(leaf, "int64")
    return as_value(leaf)


def _inputs_like(values: Sequence[Value]) -> list[Value]:
    return [Value(_core.graph_input(v.shape, v.dtype, v._core.name)) for v in values]


def _cores(values: Sequence[Value]) -> list[_core.GraphValue]:
    return [v._core for v in values]


def _is_size(x: Any) -> bool:
    return isinstance(x, (int, _core.Expr)) and not isinstance(x, bool)


def _bound(x: Any) -> Value:
    value = as_value(x)
    return value if value.dtype == "int64" else apply("cast", [value], dtype="int64")


def _check_count(op: str, what: str, count: Any) -> None:
    is_integer = isinstance(count, (int, np.integer)) and not isinstance(count, bool)
    if isinstance(count, _core.Expr) or (is_integer and count >= 0):
        return
    raise ExpressionError("E0172", f"{op}: {what} is {count!r}, expected an integer from 0 up")


def _check_form(op: str, what: str, got: Structure, expected: Structure) -> None:
    if got != expected:
        raise ExpressionError(
            "E0170",
            f"{op}: {what} is {_describe(got)}, expected {_describe(expected)}"
            "\n  hint: return the same dicts, lists and tuples",
        )


def _describe(structure: Structure) -> str:
    """Return the form with * for each leaf."""
    kind = structure[0]
    if kind in ("leaf", "none"):
        return "*" if kind == "leaf" else "None"
    children = [_describe(child) for child in structure[2]]
    if kind == "dict":
        items = zip(structure[1], children, strict=True)
        return "{" + ", ".join(f"{key!r}: {child}" for key, child in items) + "}"
    if kind == "list":
        return "[" + ", ".join(children) + "]"
    return "(" + ", ".join(children) + ("," if len(children) == 1 else "") + ")"
