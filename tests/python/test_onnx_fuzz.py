"""Damaged ONNX models: every failure is an error of the caller's, within bounds."""

import itertools
import subprocess
from pathlib import Path

import onnx.backend.test
import pytest
from onnx import TensorProto, helper

import tenon as tn

ROOT = Path(__file__).parents[2]
DATA = Path(onnx.backend.test.__file__).parent / "data"


@pytest.mark.parametrize("seed", [1, 2])
def test_damaged_models(tmp_path: Path, seed: int) -> None:
    tools = list(ROOT.glob("build/release/tests/onnx_fuzz"))
    assert tools, "build the target onnx_fuzz first"
    run = subprocess.run(
        [tools[0], DATA, "--count=2500", f"--seed={seed}", f"--save={tmp_path}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert "2500 inputs" in run.stdout
    assert "imported" in run.stdout


def info(name: str, shape: list[int] | None = None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def network_of(nodes: list[onnx.NodeProto], **more: object) -> object:
    graph = helper.make_graph(nodes, "g", [info("x", [2])], [info("y")])
    model = helper.make_model(graph, **more)
    return tn._core.OnnxModel.parse(model.SerializeToString(), "m.onnx").network({}, {}, {})


def test_a_chain_of_100000_nodes_is_imported_and_forgotten() -> None:
    names = ["x", *(f"v{i}" for i in range(99_999)), "y"]
    nodes = [helper.make_node("Relu", [a], [b]) for a, b in itertools.pairwise(names)]
    network = network_of(nodes)
    assert network.outputs[0] is not None  # type: ignore[attr-defined]
    del network


def test_functions_that_grow_exponentially_are_refused() -> None:
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("own", 1)]
    functions = []
    for i in range(40):
        inner = f"F{i + 1}"
        body = (
            [
                helper.make_node(inner, ["a"], ["m"], domain="own"),
                helper.make_node(inner, ["m"], ["b"], domain="own"),
            ]
            if i < 39
            else [helper.make_node("Relu", ["a"], ["b"])]
        )
        functions.append(helper.make_function("own", f"F{i}", ["a"], ["b"], body, opsets))
    node = helper.make_node("F0", ["x"], ["y"], domain="own")
    with pytest.raises(tn.ModelError, match="more than 200000 nodes when its functions"):
        network_of([node], functions=functions, opset_imports=opsets)


def test_sizes_whose_product_overflows() -> None:
    tensor = helper.make_tensor("k", TensorProto.FLOAT, [1], [1.0])
    tensor.dims[:] = [2**40, 2**40]
    node = helper.make_node("Constant", [], ["y"], value=tensor)
    with pytest.raises(tn.ModelError, match="Constant"):
        network_of([node])
