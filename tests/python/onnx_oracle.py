"""Small ONNX models whose results are compared with ONNX Runtime's: a library for tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import tenon as tn
from tenon import _core


def load(data: bytes) -> tn.onnx.Model:
    """Return the model that `data` is."""
    return tn.onnx.Model(_core.OnnxModel.parse(data, "test"))


def model(
    op: str,
    inputs: dict[str, Any],
    outputs: int = 1,
    opset: int = 21,
    constants: dict[str, Any] | None = None,
    dims: dict[str, list[Any]] | None = None,
    **attributes: Any,
) -> bytes:
    """Return a model of one node that takes `inputs` and then `constants` (None: left out).

    `dims` replaces the dimensions of inputs, by names for symbols.
    """
    constants = constants or {}
    names = [k if v is not None else "" for k, v in (inputs | constants).items()]
    node = helper.make_node(op, names, [f"y{i}" for i in range(outputs)], **attributes)
    shapes = {k: (dims or {}).get(k, list(v.shape)) for k, v in inputs.items() if v is not None}
    graph = helper.make_graph(
        [node],
        "g",
        [
            helper.make_tensor_value_info(
                k, helper.np_dtype_to_tensor_dtype(inputs[k].dtype), shapes[k]
            )
            for k in shapes
        ],
        [
            helper.make_tensor_value_info(f"y{i}", TensorProto.UNDEFINED, None)
            for i in range(outputs)
        ],
        [numpy_helper.from_array(v, k) for k, v in constants.items() if v is not None],
    )
    # The versions of the format that ONNX Runtime reads.
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    for i in range(outputs):
        made.graph.output[i].ClearField("type")
    return bytes(made.SerializeToString())


def expected(data: bytes, inputs: dict[str, Any]) -> list[Any]:
    """Return what ONNX Runtime computes, node by node as the model says."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return list(session.run(None, {k: v for k, v in inputs.items() if v is not None}))


def results(data: bytes, inputs: dict[str, Any]) -> list[Any]:
    """Return what Tenon computes."""
    network = tn.compile(load(data))
    got = network(*[v for v in inputs.values() if v is not None])
    return [np.asarray(r) for r in (got if isinstance(got, tuple) else (got,))]


def check(
    op: str, inputs: dict[str, Any], rtol: float = 1e-5, atol: float = 1e-5, **more: Any
) -> None:
    """Compare the results of a node with ONNX Runtime's."""
    data = model(op, inputs, **more)
    compare(results(data, inputs), expected(data, inputs), rtol, atol)


def compare(got: list[Any], wanted: list[Any], rtol: float = 1e-5, atol: float = 1e-5) -> None:
    assert len(got) == len(wanted)
    for a, b in zip(got, wanted, strict=True):
        assert a.dtype == b.dtype, (a.dtype, b.dtype)
        assert a.shape == b.shape, (a.shape, b.shape)
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)
