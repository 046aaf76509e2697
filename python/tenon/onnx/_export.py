"""Networks as ONNX files."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tenon import _core
from tenon._files import write_atomically
from tenon.errors import ExpressionError, UnsupportedError
from tenon.onnx._model import Model

if TYPE_CHECKING:
    from tenon.nn._module import Module

__all__ = ["export"]

_MOST_INSIDE = 1_500_000_000
"""Bytes of weights in the model itself; a protobuf message ends at 2 GiB."""


def export(
    network: Module | Callable[..., Any] | Model,
    path: str | os.PathLike[str],
    inputs: Sequence[Any] | None = None,
    *,
    name: str | None = None,
    output_names: Sequence[str] | None = None,
    external_data: bool | None = None,
) -> None:
    """Write a network as an ONNX model of opset 18 (IR version 8).

    Sizes that are symbols are named dimensions. The file appears whole or not at all.

    Parameters
    ----------
    network
        A module or a function, as `tenon.compile` takes it; or what `load` returned.
    path
        Of the model, such as ``"model.onnx"``.
    inputs
        For a module or function: one `TensorSpec` for each parameter, as `tenon.compile` takes
        them.
    name
        Of the graph; by default that of the module's class, function or model.
    output_names
        By default ``output``, or ``output_0``, ``output_1``; those of an ONNX model.
    external_data
        Whether the weights are in a file of their own, ``<path>.data`` beside the model; by default
        those of more than 1.5 GB.

    Raises
    ------
    UnsupportedError
        An operator is none of ONNX's: branches and loops, `tenon.op` [E0892]; it is used with a
        dtype or size that it cannot have there [E0893]; inputs of an ONNX model decide shapes
        [E0894].
    ExpressionError
        `inputs` are missing, or given for an ONNX model [E0157]; not one name for each output
        [E0895].
    ResourceError
        A file cannot be written [E0828].

    Examples
    --------
    >>> import tempfile
    >>> import tenon as tn
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = folder.name + "/linear.onnx"
    >>> tn.onnx.export(tn.nn.Linear(4, 2), path, [tn.TensorSpec(["n", 4])])
    >>> tn.onnx.load(path).input_names
    ['x']
    """
    file = Path(os.fspath(path))
    if isinstance(network, Model):
        if inputs is not None:
            raise ExpressionError("E0157", "an ONNX model says its inputs itself: pass it alone")
        graph = network.network()
        if graph.needed_values:
            raise UnsupportedError(
                "E0894",
                f"the inputs {', '.join(graph.needed_values)} decide shapes"
                "\n  hint: load the model with values= for them",
            )
        sources, results = graph.inputs, graph.outputs
        names, title = list(graph.output_names), name or graph.name
    else:
        from tenon._compile import title_of, trace

        if inputs is None:
            raise ExpressionError(
                "E0157", "the inputs are missing: one TensorSpec for each parameter"
            )
        traced = trace(network, inputs)
        sources = [v._core for v in traced.inputs]
        results = [v._core for v in traced.outputs]
        title = name or title_of(network)
        count = len(results)
        names = ["output"] if count == 1 else [f"output_{i}" for i in range(count)]
    if output_names is not None:
        names = list(output_names)
        if len(names) != len(results):
            raise ExpressionError(
                "E0895", f"{len(names)} output_names are given for {len(results)} outputs"
            )
    if external_data is None:
        external_data = _core.constant_bytes(results) > _MOST_INSIDE
    data_file = f"{file.name}.data" if external_data else ""
    model, data = _core.write_onnx(sources, results, title, [], names, data_file)
    if external_data:
        write_atomically(file.with_name(data_file), map(_buffer, data))
    write_atomically(file, map(_buffer, model))


def _buffer(piece: Any) -> Any:
    """Return bytes as they are, and the memory of an array."""
    return piece if isinstance(piece, bytes) else np.asarray(piece).reshape(-1).view(np.uint8)
