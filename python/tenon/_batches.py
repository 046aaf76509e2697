"""Functions of one element on whole batches: `vmap`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tenon import _core
from tenon._gradients import outputs_of
from tenon._jit import Jitted, leaf_names
from tenon._tree import Structure, bind, flatten, num_leaves, unflatten
from tenon.errors import ExpressionError, ShapeError
from tenon.nn._value import Value, as_value

__all__ = ["vmap"]


def vmap(function: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0) -> Jitted:
    """Make a function that applies `function` to every element of a batch at once.

    Parameters
    ----------
    function
        Takes and returns trees of arrays without the batch.
    in_axes
        Which axis of each argument is the batch: an integer, or None for an argument that all
        elements share; a tuple with one of these, or a tree of them, for each positional argument.
        Arguments by name have it at axis 0.
    out_axes
        Where the batch is in each result, likewise; None for a result without it.

    Returns
    -------
    Jitted
        Takes arrays or values with the batch. With arrays it is compiled at the first call. It may
        be differentiated, batched and compiled again.

    Raises
    ------
    ShapeError
        An argument has no such axis, or batches have different sizes [E0489].
    ExpressionError
        `in_axes` or `out_axes` do not have the form of arguments or results, nothing is mapped, or
        a result that depends on the batch should have no axis for it [E0188].

    Examples
    --------
    >>> import numpy as np
    >>> import tenon as tn
    >>> dot = tn.vmap(lambda a, b: (a * b).sum(), in_axes=(0, None))
    >>> dot(np.eye(3, dtype=np.float32), np.array([1.0, 2.0, 3.0], np.float32)).numpy()
    array([1., 2., 3.], dtype=float32)
    """

    def core(*args: Any, **kwargs: Any) -> Any:
        leaves, structure = flatten((args, kwargs))
        arguments, _ = structure[2]
        axes = _axes_of(in_axes, arguments, "in_axes") + [0] * len(flatten(kwargs)[0])
        names = leaf_names(function, structure)
        extent: Any = None
        fresh: list[Any] = []  # what the function sees
        inputs: list[Value] = []
        batches: list[Value] = []
        for leaf, axis, name in zip(leaves, axes, names, strict=True):
            if axis is None:
                fresh.append(leaf)
                continue
            batch, extent = _leading(as_value(leaf), axis, extent, name)
            inputs.append(Value(_core.graph_input(batch.shape[1:], batch.dtype, name)))
            batches.append(batch)
            fresh.append(inputs[-1])
        if not inputs:
            raise ExpressionError("E0188", f"vmap with in_axes={in_axes!r} maps no argument")
        with bind(structure, fresh) as (given, by_name):
            outputs, form = outputs_of(function(*given, **by_name))
        made, is_batched = _core.graph_vmap(
            [v._core for v in outputs],
            [v._core for v in inputs],
            [v._core for v in batches],
            [True] * len(inputs),
            extent,
        )
        places = _axes_of(out_axes, form, "out_axes")
        results = [
            _placed(Value(value), batched, axis, extent)
            for value, batched, axis in zip(made, is_batched, places, strict=True)
        ]
        return unflatten(form, results)

    return Jitted(core, like=function)


def _axes_of(axes: Any, structure: Structure, what: str) -> list[int | None]:
    """Return the axis of each leaf: `axes` is a tree that may end above the leaves."""
    if axes is None or isinstance(axes, int):
        return [axes] * num_leaves(structure)
    children = structure[2] if structure[0] not in ("leaf", "none") else ()
    if isinstance(axes, dict):
        items = [axes[key] for key in sorted(axes, key=str)]
    else:
        items = list(axes) if isinstance(axes, (tuple, list)) else []
    if not items or len(items) != len(children):
        raise ExpressionError(
            "E0188",
            f"{what}={axes!r} should have an axis or None for each of {len(children)} parts",
        )
    found: list[int | None] = []
    for item, child in zip(items, children, strict=True):
        found += _axes_of(item, child, what)
    return found


def _leading(value: Value, axis: int, extent: Any, name: str) -> tuple[Value, Any]:
    """Return the value with its batch in front, and the size of the batch."""
    if not -value.ndim <= axis < value.ndim:
        raise ShapeError(
            "E0489", f"argument '{name}' of vmap has {value.ndim} dimensions, so no axis {axis}"
        )
    size = value.shape[axis]
    if extent is not None and not _core.same_extent(size, extent):
        raise ShapeError(
            "E0489",
            f"argument '{name}' of vmap has a batch of {size} at axis {axis}, others of {extent}",
        )
    order = list(range(value.ndim))
    order.insert(0, order.pop(axis))
    return (value if axis % value.ndim == 0 else value.transpose(order)), size


def _placed(value: Value, is_batched: bool, axis: int | None, extent: Any) -> Value:
    if axis is None:
        if is_batched:
            raise ExpressionError(
                "E0188",
                f"a result of type {value._core} depends on the batch: its axis is not None",
            )
        return value
    batch = value if is_batched else value.broadcast_to(extent, *value.shape)
    if not -batch.ndim <= axis < batch.ndim:
        raise ShapeError("E0489", f"out_axes={axis} for a result of {batch.ndim} dimensions")
    order = list(range(1, batch.ndim))
    order.insert(axis % batch.ndim, 0)
    return batch if axis % batch.ndim == 0 else batch.transpose(order)
