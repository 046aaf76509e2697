"""Trees of arrays: dicts, lists, tuples, and the parameters of modules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tenon.nn._module import Module

__all__ = ["LEAF", "Structure", "bind", "flatten", "num_leaves", "paths", "same_form", "unflatten"]

Structure = tuple[Any, ...]
"""The form of a tree without its leaves; hashable."""
LEAF: Structure = ("leaf",)


def flatten(tree: Any) -> tuple[list[Any], Structure]:
    """Return the leaves in order, and the tree's form. Keys of dicts are sorted by their text.

    A module is a tree of its parameters; None has no leaves.
    """
    leaves: list[Any] = []
    return leaves, _walk(tree, leaves)


def _walk(tree: Any, leaves: list[Any]) -> Structure:
    if tree is None:
        return ("none",)
    if isinstance(tree, dict):
        keys = sorted(tree, key=str)
        return ("dict", tuple(keys), tuple(_walk(tree[key], leaves) for key in keys))
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return ("namedtuple", type(tree), tuple(_walk(item, leaves) for item in tree))
    if isinstance(tree, (tuple, list)):
        kind = "list" if isinstance(tree, list) else "tuple"
        return (kind, None, tuple(_walk(item, leaves) for item in tree))
    if isinstance(tree, Module):
        parameters = dict(sorted(tree.named_parameters()))
        leaves.extend(parameters.values())
        return ("module", (tree, tuple(parameters)), (LEAF,) * len(parameters))
    leaves.append(tree)
    return LEAF


def num_leaves(structure: Structure) -> int:
    """Return how many leaves a tree of that form has."""
    if structure[0] == "leaf":
        return 1
    return 0 if structure[0] == "none" else sum(num_leaves(child) for child in structure[2])


def same_form(a: Structure, b: Structure) -> bool:
    """Return whether leaves correspond; a module stands for the dict of its parameters."""
    kinds = {"module": "dict", "list": "tuple"}
    if kinds.get(a[0], a[0]) != kinds.get(b[0], b[0]):
        return False
    if a[0] in ("leaf", "none"):
        return True
    return len(a[2]) == len(b[2]) and all(same_form(x, y) for x, y in zip(a[2], b[2], strict=True))


def unflatten(structure: Structure, leaves: Sequence[Any], *, keep_modules: bool = False) -> Any:
    """Return the tree of that form with these leaves.

    A module becomes a dict by the names of its parameters, or stays itself.
    """
    return _build(structure, iter(leaves), keep_modules)


def _build(structure: Structure, leaves: Iterator[Any], keep_modules: bool) -> Any:
    kind = structure[0]
    if kind == "leaf":
        return next(leaves)
    if kind == "none":
        return None
    children = [_build(child, leaves, keep_modules) for child in structure[2]]
    if kind == "dict":
        return dict(zip(structure[1], children, strict=True))
    if kind == "namedtuple":
        return structure[1](*children)
    if kind == "module":
        module, names = structure[1]
        return module if keep_modules else dict(zip(names, children, strict=True))
    return children if kind == "list" else tuple(children)


@contextmanager
def bind(structure: Structure, leaves: Sequence[Any]) -> Iterator[Any]:
    """Give the tree with these leaves; meanwhile the parameters of its modules are their leaves."""
    bound = list(_parameters(structure, iter(leaves)))
    before = [parameter.bound for parameter, _ in bound]
    try:
        for parameter, leaf in bound:
            parameter.bound = leaf
        yield unflatten(structure, leaves, keep_modules=True)
    finally:
        for (parameter, _), old in zip(bound, before, strict=True):
            parameter.bound = old


def _parameters(structure: Structure, leaves: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
    if structure[0] == "leaf":
        next(leaves)
    elif structure[0] == "module":
        module, names = structure[1]
        parameters = dict(module.named_parameters())
        for name in names:
            yield parameters[name], next(leaves)
    elif structure[0] != "none":
        for child in structure[2]:
            yield from _parameters(child, leaves)


def paths(structure: Structure, prefix: str = "") -> list[str]:
    """Return a name for each leaf, such as ``params['w']``, in order."""
    kind = structure[0]
    if kind == "leaf":
        return [prefix]
    if kind == "none":
        return []
    if kind == "module":
        return [f"{prefix}.{name}" for name in structure[1][1]]
    keys = structure[1] if kind == "dict" else range(len(structure[2]))
    return [
        path
        for key, child in zip(keys, structure[2], strict=True)
        for path in paths(child, f"{prefix}[{key!r}]")
    ]
