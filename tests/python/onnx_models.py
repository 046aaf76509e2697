"""Models of one node, and what onnxruntime and Tenon make of them: a library for tests."""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper

import tenon as tn


def one_node(
    op: str,
    inputs: list[Any],
    *,
    opset: int = 21,
    outputs: int = 1,
    constants: tuple[int, ...] = (),
    sizes: dict[int, list[Any]] | None = None,
    domain: str = "",
    **attributes: Any,
) -> bytes:
    """Return a model of one node; None in `inputs` is an operand that is left out.

    Operands whose positions are in `constants` are initializers; `sizes` gives named dimensions of
    operands.
    """
    names = ["" if x is None else f"x{i}" for i, x in enumerate(inputs)]
    infos, initializers = [], []
    for i, (name, x) in enumerate(zip(names, inputs, strict=True)):
        if x is None:
            continue
        tensor = onnx.numpy_helper.from_array(np.asarray(x), name)
        if i in constants:
            initializers.append(tensor)
        else:
            shape = (sizes or {}).get(i, list(np.shape(x)))
            infos.append(helper.make_tensor_value_info(name, tensor.data_type, shape))
    results = [f"y{i}" for i in range(outputs)]
    node = helper.make_node(op, names, results, domain=domain, **attributes)
    graph = helper.make_graph(
        [node], "g", infos, [onnx.ValueInfoProto(name=y) for y in results], initializers
    )
    opsets = [helper.make_opsetid("", opset)]
    if domain:
        opsets.append(helper.make_opsetid(domain, attributes.pop("domain_opset", 1)))
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return bytes(model.SerializeToString())


def compiled(model: bytes) -> Any:
    """Return the network; the file is gone afterwards, and its mapping lives on."""
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        file.write(model)
        file.flush()
        return tn.compile(tn.onnx.load(file.name))


def run(op: str, inputs: list[Any], **more: Any) -> Any:
    """Return what Tenon computes: one array, or a tuple of them."""
    network = compiled(one_node(op, inputs, **more))
    constants = more.get("constants", ())
    given = [x for i, x in enumerate(inputs) if x is not None and i not in constants]
    results = network(*given)
    if isinstance(results, tuple):
        return tuple(np.asarray(r) for r in results)
    return np.asarray(results)


def run_reference(op: str, inputs: list[Any], **more: Any) -> Any:
    """Return what onnxruntime computes, likewise."""
    session = onnxruntime.InferenceSession(
        one_node(op, inputs, **more), providers=["CPUExecutionProvider"]
    )
    constants = more.get("constants", ())
    given = {
        f"x{i}": np.asarray(x) for i, x in enumerate(inputs) if x is not None and i not in constants
    }
    results = session.run(None, given)
    return results[0] if len(results) == 1 else tuple(results)
