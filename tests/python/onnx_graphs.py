"""Graphs of a few ONNX nodes, run by Tenon and by ONNX Runtime: a library for tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import tenon as tn
from tenon import _core

Arrays = dict[str, Any]


def node(op: str, inputs: str, outputs: str, **attributes: Any) -> Any:
    """Return a node; names are separated by spaces, ``-`` is an operand that is left out."""
    names = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(op, names, outputs.split(), **attributes)


def model(
    nodes: list[Any],
    inputs: Arrays,
    outputs: str = "y",
    constants: Arrays | None = None,
    opset: int = 21,
    dims: dict[str, list[Any]] | None = None,
) -> bytes:
    """Return a model of `nodes`. `dims` replaces the shapes of inputs; names are symbols."""
    infos = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(a.dtype), (dims or {}).get(name, list(a.shape))
        )
        for name, a in inputs.items()
    ]
    results = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs.split()
    ]
    for result in results:
        result.ClearField("type")
    held = [numpy_helper.from_array(np.asarray(v), k) for k, v in (constants or {}).items()]
    graph = helper.make_graph(nodes, "g", infos, results, held)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    return bytes(made.SerializeToString())


def network(data: bytes) -> Any:
    """Return the compiled network of a model in memory."""
    return tn.compile(tn.onnx.Model(_core.OnnxModel.parse(data, "test")))


def tenon(nodes: list[Any], inputs: Arrays, **more: Any) -> list[Any]:
    """Return what Tenon computes."""
    got = network(model(nodes, inputs, **more))(**inputs)
    return [np.asarray(r) for r in (got if isinstance(got, tuple) else (got,))]


def onnx_runtime(data: bytes, inputs: Arrays) -> list[Any]:
    """Return what ONNX Runtime computes."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return list(session.run(None, inputs))


def check(
    nodes: list[Any],
    inputs: Arrays,
    *others: Arrays,
    rtol: float = 0,
    atol: float = 0,
    **more: Any,
) -> None:
    """Compare Tenon with ONNX Runtime on `inputs`, then on `others` with the same network."""
    data = model(nodes, inputs, **more)
    compiled = network(data)
    for arrays in (inputs, *others):
        got = compiled(**arrays)
        for a, b in zip(
            got if isinstance(got, tuple) else (got,), onnx_runtime(data, arrays), strict=True
        ):
            same(np.asarray(a), b, rtol, atol)


def same(got: Any, expected: Any, rtol: float = 0, atol: float = 0) -> None:
    """Compare dtype, shape and elements."""
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=rtol, atol=atol)
