"""Functions of arrays as networks, traced and compiled at their first call: `jit`."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from tenon import _core
from tenon._config import config
from tenon._numerics import CheckedNetwork, compile_graph
from tenon._tree import Structure, bind, flatten, paths, unflatten
from tenon.errors import ExpressionError
from tenon.nn._module import Parameter
from tenon.nn._tracing import is_tracing, tracing
from tenon.nn._value import Value, as_value

__all__ = ["Jitted", "is_array", "jit", "leaf_names"]

_MAX_NETWORKS = 256
"""How many shapes of its arguments a function keeps networks for."""


def is_array(leaf: Any) -> bool:
    """Return whether a leaf is data of a network: an array, a parameter, a NumPy scalar."""
    kinds = (np.ndarray, np.generic, _core.Tensor, Parameter)
    return isinstance(leaf, kinds) or hasattr(leaf, "__dlpack__")


def leaf_names(function: Callable[..., Any], structure: Structure) -> list[str]:
    """Return a name for each leaf of ``(args, kwargs)``, from the names of the parameters."""
    try:
        names = [
            p.name
            for p in inspect.signature(function).parameters.values()
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
    except (TypeError, ValueError):
        names = []
    arguments, named = structure[2]
    found: list[str] = []
    for i, child in enumerate(arguments[2]):
        found += paths(child, names[i] if i < len(names) else f"argument{i}")
    for name, child in zip(named[1], named[2], strict=True):
        found += paths(child, str(name))
    return found


class _Entry:
    """A compiled network, and the constants that it was made with."""

    def __init__(
        self, core: _core.CompiledNetwork | CheckedNetwork | None, structure: Structure
    ) -> None:
        self.core = core
        self.structure = structure
        self.constants: list[tuple[Any, Any]] = []

    def is_current(self) -> bool:
        """Whether the parameters that became constants have the data that they had then."""
        return all(parameter.data is data for parameter, data in self.constants)

    def run(self, arrays: Sequence[Any]) -> Any:
        if self.core is None:
            return unflatten(self.structure, [])
        result = self.core(*arrays)
        return unflatten(self.structure, result if isinstance(result, tuple) else [result])


class Jitted:
    """A function that compiles itself for the shapes and dtypes of its arguments; see `jit`.

    Parameters
    ----------
    function
        What is traced.
    like
        Gives name, signature and documentation; `function` by default.
    static_floats
        Floats are constants too.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        like: Callable[..., Any] | None = None,
        static_floats: bool = False,
    ) -> None:
        functools.update_wrapper(self, function if like is None else like)
        self.function = function
        self._static_floats = static_floats
        self._entries: dict[Any, _Entry] = {}

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else types.MethodType(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run on arrays; symbolic values extend the network that is being made."""
        leaves, structure = flatten((args, kwargs))
        if is_tracing() or any(isinstance(leaf, Value) for leaf in leaves):
            return self.function(*args, **kwargs)
        arrays, key = self._arrays(leaves)
        place = (structure, key, config.check_numerics, config.libraries)
        entry = self._entries.get(place)
        if entry is None or not entry.is_current():
            entry = self._compile(leaves, structure, key)
            self._entries[place] = entry
            while len(self._entries) > _MAX_NETWORKS:
                del self._entries[next(iter(self._entries))]
        return entry.run(arrays)

    @property
    def num_compiled(self) -> int:
        """For how many shapes and dtypes it is compiled."""
        return len(self._entries)

    def _arrays(self, leaves: Iterable[Any]) -> tuple[list[Any], tuple[Any, ...]]:
        """Return what the network is called with, and what decides which network that is."""
        arrays: list[Any] = []
        key: list[Any] = []
        numbers: list[int] = []
        is_wide = False
        for leaf in leaves:
            is_number = isinstance(leaf, float) and not isinstance(leaf, np.generic)
            if is_number and not self._static_floats:
                numbers.append(len(arrays))
                arrays.append(leaf)
                key.append(((), "number"))
                continue
            if not is_array(leaf):
                key.append((type(leaf), _hashable(leaf, self)))
                continue
            array = leaf.array() if isinstance(leaf, Parameter) else leaf
            if not isinstance(array, (np.ndarray, _core.Tensor)):
                array = _core.asarray(np.asarray(array) if isinstance(leaf, np.generic) else array)
            arrays.append(array)
            key.append((tuple(array.shape), str(array.dtype)))
            is_wide = is_wide or key[-1][1] == "float64"
        for i in numbers:
            arrays[i] = np.asarray(arrays[i], np.float64 if is_wide else np.float32)
        return arrays, tuple(key)

    def _compile(self, leaves: Sequence[Any], structure: Structure, key: tuple[Any, ...]) -> _Entry:
        is_wide = any(k[1] == "float64" for k in key)
        inputs: list[Value] = []
        traced: list[Any] = []
        for leaf, name, spec in zip(leaves, leaf_names(self, structure), key, strict=True):
            if not isinstance(spec[0], tuple):
                traced.append(leaf)
                continue
            number = "float64" if is_wide else "float32"
            dtype = number if spec[1] == "number" else spec[1]
            inputs.append(Value(_core.graph_input(spec[0], dtype, name)))
            traced.append(inputs[-1])
        with tracing() as constants, bind(structure, traced) as (args, kwargs):
            results, form = flatten(self.function(*args, **kwargs))
            outputs = [_output(leaf, self) for leaf in results]
        core = None
        if outputs:
            core = compile_graph(
                [v._core for v in inputs],
                [v._core for v in outputs],
                getattr(self, "__name__", "function"),
                _core.Target("cpu"),
            )
        entry = _Entry(core, form)
        entry.constants = constants
        return entry


def _hashable(leaf: Any, function: Any) -> Any:
    try:
        hash(leaf)
    except TypeError:
        raise ExpressionError(
            "E0182",
            f"{getattr(function, '__name__', 'the function')} got a {type(leaf).__name__}, which is"
            " neither an array nor a constant that can be hashed\n"
            "  hint: pass arrays, numbers, texts, and dicts, lists and tuples of them",
        ) from None
    return leaf


def _output(leaf: Any, function: Any) -> Value:
    if isinstance(leaf, (Value, int, float)) or is_array(leaf):
        return as_value(leaf)
    raise ExpressionError(
        "E0183",
        f"{getattr(function, '__name__', 'the function')} returned a {type(leaf).__name__},"
        " expected values of the network, and dicts, lists and tuples of them",
    )


def jit(function: Callable[..., Any]) -> Jitted:
    """Make a function that is compiled, as one network, for the arguments that it is called with.

    Parameters
    ----------
    function
        Called once for each set of shapes and dtypes, with an `nn.Value` in the place of each
        array; returns values, or dicts, lists and tuples of them. Arguments may be such trees too,
        and modules, whose parameters are inputs then. Floats are inputs; other numbers, texts and
        None are constants, each of which gets its own network.

    Returns
    -------
    Jitted
        Takes arrays (NumPy's, `Tensor`, anything with ``__dlpack__``) and returns `Tensor` objects
        in the tree that `function` returned. Parameters of modules that it uses without taking them
        are constants; giving them other data makes the next call compile again.

    Raises
    ------
    ExpressionError
        An argument cannot be hashed [E0182], or the result is no tree of values [E0183].
    """
    return Jitted(function)
