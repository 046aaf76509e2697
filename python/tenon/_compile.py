"""Networks as one callable: `compile`, `TensorSpec`, `Network`."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from tenon import _core, te
from tenon._files import write_atomically
from tenon._inspect import describe, shapes_of
from tenon._numerics import CheckedNetwork, compile_graph
from tenon._profile import Profile, profile_network, time_network
from tenon._rewrite import Rewrite
from tenon._timing import Timing
from tenon._tree import (
    LEAF,
    Structure,
    bind,
    flatten,
    num_leaves,
    paths,
    same_form,
    unflatten,
)
from tenon.errors import ExpressionError
from tenon.nn._module import Module, Parameter
from tenon.nn._tracing import tracing
from tenon.nn._value import Value, as_value
from tenon.onnx._model import Model
from tenon.onnx._specialised import SpecialisedNetwork

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

    def __init__(
        self,
        core: _core.CompiledNetwork | CheckedNetwork,
        names: Sequence[str],
        inputs: Structure | None = None,
        results: Structure | None = None,
        num_results: int = 1,
        donated: Sequence[tuple[int, int]] = (),
    ) -> None:
        self._core = core
        self._names = list(names)
        self._inputs = inputs  # None: every argument is an array
        self._results = results  # None: one array, or a tuple of them
        self._num_results = num_results
        self._donated = list(donated)
        self.num_kernels = len(core.calls)
        self.num_compiled: int = core.num_compiled
        self.compile_seconds = core.compile_seconds

    def __call__(self, *arrays: Any, out: Any = None, **named: Any) -> Any:
        """Run on arrays, by position or by name; return a `Tensor`, or a tuple or tree of them.

        Donated arguments are changed and returned as the results that replace them; `out` is not
        for networks that have such.
        """
        if named:
            arrays = self._by_position(arrays, named)
        leaves: Sequence[Any] = arrays
        if self._inputs is not None:
            leaves = self._leaves(arrays)
        if self._donated:
            if out is not None:
                raise ExpressionError("E0198", "a network with donated arguments takes no out=")
            out = self._replaced(leaves)
        result = self._core(*leaves, out=out)
        if self._results is None:
            return result
        return unflatten(self._results, result if isinstance(result, tuple) else [result])

    def _leaves(self, arguments: tuple[Any, ...]) -> list[Any]:
        leaves, structure = flatten(arguments)
        if self._inputs is None or not same_form(self._inputs, structure):
            raise ExpressionError(
                "E0155",
                f"the arguments should have the form of the inputs: {', '.join(self._names)}",
            )
        return [leaf.array() if isinstance(leaf, Parameter) else leaf for leaf in leaves]

    def _replaced(self, leaves: Sequence[Any]) -> Any:
        """Return `out`: the donated arrays, None for results in new memory."""
        out: list[Any] = [None] * self._num_results
        for result, argument in self._donated:
            out[result] = leaves[argument]
        return tuple(out) if len(out) > 1 else out[0]

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

    @property
    def result_names(self) -> list[str]:
        """The names of the results, in order: those of an ONNX model, else result, or result0..."""
        return [name for name, _, _ in self._compiled.arguments(True)][: self._num_results]

    def report(self) -> str:
        """Return which kernels run, what they compute, and how long compilation took."""
        return self._core.report()

    def kernels(self) -> list[tuple[str, list[str], str, int]]:
        """Return name, operators, type of the result and number of the code of each kernel call."""
        return self._core.calls

    def rewrites(self) -> list[Rewrite]:
        """Return what each graph pass did to which operator, and why."""
        return [Rewrite(*rewrite) for rewrite in self._compiled.rewrites]

    def time(self, *arrays: Any, seconds: float = 1.0, **named: Any) -> Timing:
        """Return seconds per call, after `seconds` of calls with these arrays.

        Raises
        ------
        ShapeError, DTypeError
            The arrays do not fit, as in a call.
        """
        return time_network(self._compiled, self._flat(arrays, named), seconds)

    def profile(
        self, *arrays: Any, seconds: float = 1.0, roof: bool = True, **named: Any
    ) -> Profile:
        """Return where the time of calls with these arrays goes.

        Parameters
        ----------
        arrays, named
            As in a call. Nothing is changed in them, donated or not.
        seconds
            How long to run; half of it without clocks between kernels, for the latency.
        roof
            Whether to measure this machine's peaks too (a fifth of a second, once in a process), so
            that kernels are compared with them.

        Raises
        ------
        ShapeError, DTypeError
            The arrays do not fit, as in a call.

        Examples
        --------
        >>> import numpy as np
        >>> import tenon as tn
        >>> double = tn.compile(lambda x: x + x, [tn.TensorSpec(["n"])])
        >>> double.profile(np.ones(8, "float32"), seconds=0.01, roof=False).kernels[0].operations
        8.0
        """
        return profile_network(self._compiled, self._flat(arrays, named), seconds, roof)

    def describe(
        self, shapes: Sequence[Sequence[int]] | None = None, profile: Profile | None = None
    ) -> dict[str, Any]:
        """Return what the network is made of, as plain values.

        Parameters
        ----------
        shapes
            Of the inputs, for costs and the memory plan; by default those of the profile, else
            with 1 for each symbol.
        profile
            What `profile` returned, for times.

        Returns
        -------
        dict
            `inputs`, `results`, `kernels` (operators, what is fused and why, what they read,
            operations, bytes, times), `memory` (the arena and its blocks), `rewrites`, `sizes`.

        Raises
        ------
        ShapeError
            Other numbers of shapes or sizes than the network has [E0421].
        """
        if shapes is None:
            shapes = shapes_of(self._compiled) if profile is None else profile.shapes
        return describe(self._compiled, shapes, profile)

    def html(
        self,
        path: str | os.PathLike[str],
        shapes: Sequence[Sequence[int]] | None = None,
        profile: Profile | None = None,
    ) -> None:
        """Write a page about the network: its kernels as a graph, times, memory plan, passes.

        One file, which needs no other and no connection. Parameters as `describe`.

        Raises
        ------
        ResourceError
            The file cannot be written [E0828].
        """
        from tenon._page import page_html

        page = page_html(self.describe(shapes, profile)).encode()
        write_atomically(Path(path), [page])

    @property
    def _compiled(self) -> _core.CompiledNetwork:
        return self._core._core if isinstance(self._core, CheckedNetwork) else self._core

    def _flat(self, arrays: tuple[Any, ...], named: dict[str, Any]) -> Sequence[Any]:
        """Return the arrays of a call, by position."""
        if named:
            arrays = self._by_position(arrays, named)
        return arrays if self._inputs is None else self._leaves(arrays)

    def workspace_bytes(self, *shapes: Sequence[int]) -> int:
        """Return how much memory temporaries take for inputs of these shapes."""
        return self._core.workspace_bytes([list(shape) for shape in shapes])


@overload
def compile(
    network: Model,
    inputs: None = None,
    target: str | _core.Target = "cpu",
    name: str | None = None,
) -> Network | SpecialisedNetwork: ...


@overload
def compile(
    network: Module | Callable[..., Any],
    inputs: Sequence[Any],
    target: str | _core.Target = "cpu",
    name: str | None = None,
    donate: int | Sequence[int] = (),
) -> Network: ...


def compile(
    network: Model | Module | Callable[..., Any],
    inputs: Sequence[Any] | None = None,
    target: str | _core.Target = "cpu",
    name: str | None = None,
    donate: int | Sequence[int] = (),
) -> Network | SpecialisedNetwork:
    """Compile a module, a function of symbolic values, or an ONNX model.

    Parameters
    ----------
    network
        Called once with one `nn.Value` for each input; returns one, or a tuple or tree of them. Or
        what `tenon.onnx.load` returned, which says its inputs itself.
    inputs
        One `TensorSpec` for each parameter, or a tree of them (dicts, lists, tuples; a module
        stands for its parameters); an array stands for its shape and dtype.
    target
        A text such as ``"cpu"``, or a `Target`.
    name
        Of the network, for messages.
    donate
        Numbers of arguments that the caller gives up: the first results are their new values, of
        the same forms, shapes and dtypes, and are written into their memory. What else reads such
        an argument runs before; nothing is copied or allocated for it. Row-major writable arrays
        are needed. A call that fails leaves them as they were.

    Raises
    ------
    ShapeError, DTypeError
        Operators do not fit their operands; the message names both.
    ExpressionError
        A symbol is not a whole dimension of any input [E0152]; a donated argument does not exist
        [E0198] or has no result of its type [E0199]; inputs are missing, or given for an ONNX model
        [E0157].
    UnsupportedError
        An operator of an ONNX model is not supported.
    """
    if isinstance(network, Model):
        if inputs is not None or donate:
            raise ExpressionError("E0157", "an ONNX model says its inputs itself: pass it alone")
        return _compile_model(network, target, name)
    if inputs is None:
        raise ExpressionError("E0157", "the inputs are missing: one TensorSpec for each parameter")
    traced = trace(network, inputs)
    names, structure, values = traced.names, traced.structure, traced.inputs
    results, outputs = traced.results, traced.outputs
    chosen = _chosen(target)
    title = name or title_of(network)
    numbers = [donate] if isinstance(donate, int) else list(donate)
    donated = _pairs(numbers, structure, values, results, outputs)
    core = compile_graph(
        [v._core for v in values], [v._core for v in outputs], title, chosen, donated
    )
    form = None if results == LEAF or _is_flat(results) else results
    return Network(
        core, names, None if _is_flat(structure) else structure, form, len(outputs), donated
    )


@dataclass(frozen=True)
class Traced:
    """What a call of a network with symbolic values made."""

    names: list[str]
    structure: Structure
    """Of the arguments."""
    inputs: list[Value]
    results: Structure
    outputs: list[Value]


def trace(network: Module | Callable[..., Any], inputs: Sequence[Any]) -> Traced:
    """Call a module or function once with symbolic values, as `compile` says."""
    function = network.forward if isinstance(network, Module) else network
    structure = flatten(tuple(inputs))[1]
    symbols: dict[str, Any] = {}
    values = []
    names = _input_names(function, inputs)
    for spec, spec_name in zip(
        flatten(tuple(inputs))[0], _leaf_names(names, structure), strict=True
    ):
        shape, dtype = (spec.shape, spec.dtype) if isinstance(spec, TensorSpec) else _type_of(spec)
        sizes = [_size(size, symbols) for size in shape]
        values.append(Value(_core.graph_input(sizes, dtype, spec_name)))
    with tracing(), bind(structure, values) as arguments:
        leaves, results = flatten(network(*arguments))
        outputs = [as_value(leaf) for leaf in leaves]
    return Traced(names, structure, values, results, outputs)


def title_of(network: Module | Callable[..., Any]) -> str:
    """Return the name of a module's class or of a function."""
    owner = type(network) if isinstance(network, Module) else network
    return str(getattr(owner, "__name__", "network"))


def _chosen(target: str | _core.Target) -> _core.Target:
    return target if isinstance(target, _core.Target) else _core.Target(target)


def _compile_model(
    model: Model, target: str | _core.Target, name: str | None
) -> Network | SpecialisedNetwork:
    chosen = _chosen(target)

    def make(graph: _core.OnnxNetwork) -> Network:
        title = name or graph.name or "network"
        names = list(graph.output_names)
        core = compile_graph(graph.inputs, graph.outputs, title, chosen, result_names=names)
        return Network(core, [v.name for v in graph.inputs], num_results=len(names))

    graph = model.network()
    if graph.needed_values:
        return SpecialisedNetwork(model, graph.needed_values, make)
    return make(graph)


def _is_flat(structure: Structure) -> bool:
    """Return whether a tree is a tuple or list of arrays."""
    return structure[0] in ("tuple", "list") and all(child == LEAF for child in structure[2])


def _leaf_names(names: Sequence[str], structure: Structure) -> list[str]:
    return [
        path for name, child in zip(names, structure[2], strict=True) for path in paths(child, name)
    ]


def _pairs(
    numbers: Sequence[int],
    structure: Structure,
    inputs: Sequence[Value],
    results: Structure,
    outputs: Sequence[Value],
) -> list[tuple[int, int]]:
    """Return (result, input) for each array of the donated arguments."""
    arguments = structure[2]
    if any(not 0 <= n < len(arguments) for n in numbers) or len(set(numbers)) != len(numbers):
        raise ExpressionError(
            "E0198", f"donate={tuple(numbers)} should name each of {len(arguments)} arguments once"
        )
    parts = results[2] if results[0] in ("tuple", "list") else (results,)
    pairs: list[tuple[int, int]] = []
    for k, n in enumerate(numbers):
        first_input = sum(num_leaves(child) for child in arguments[:n])
        first_output = sum(num_leaves(child) for child in parts[:k])
        fits = k < len(parts) and same_form(parts[k], arguments[n])
        for i in range(num_leaves(arguments[n]) if fits else 0):
            before, after = inputs[first_input + i], outputs[first_output + i]
            fits = fits and str(before._core) == str(after._core)
            pairs.append((first_output + i, first_input + i))
        if not fits:
            raise ExpressionError(
                "E0199",
                f"donated argument {n} should have its new value as result {k}, of the same form,"
                " shapes and dtypes",
            )
    return pairs


def _type_of(array: Any) -> tuple[tuple[int, ...], str]:
    if isinstance(array, Parameter):
        return array.shape, array.dtype
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
