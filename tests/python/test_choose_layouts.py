"""Networks whose channels come first run with their channels last, without transposes between."""

import re
from typing import Any

import numpy as np
import onnx_oracle as oracle
import pytest
from onnx import TensorProto, helper, numpy_helper

import tenon as tn


def normal(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def node(op: str, inputs: str, output: str, **attributes: Any) -> Any:
    return helper.make_node(op, inputs.split(), [output], **attributes)


def model(nodes: list[Any], constants: dict[str, Any], shape: list[Any], output: str) -> bytes:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(v, k) for k, v in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    return bytes(made.SerializeToString())


def kernels(nodes: list[Any], constants: dict[str, Any], output: str, *shape: int) -> list[str]:
    """Compare with ONNX Runtime and return the operators of each kernel."""
    x = normal(*shape)
    data = model(nodes, constants, list(shape), output)
    network = tn.compile(oracle.load(data))
    oracle.compare([np.asarray(network(x))], oracle.expected(data, {"x": x}), 1e-4, 1e-4)
    return re.findall(r"-> \S+\[.*?\] +\[(.*)\]$", str(network.report()), re.MULTILINE)


WEIGHTS = {
    "w": normal(8, 8, 3, 3, seed=1) / 8,
    "v": normal(8, 8, 1, 1, seed=2) / 3,
    "b": normal(8, seed=3),
    "scale": normal(8, seed=4),
    "mean": normal(8, seed=5),
    "var": np.abs(normal(8, seed=6)) + 0.5,
}
SAME = {"pads": [1, 1, 1, 1]}


def test_a_residual_block_is_two_kernels() -> None:
    nodes = [
        node("Conv", "x v b", "a"),
        node("BatchNormalization", "a scale b mean var", "n"),
        node("Relu", "n", "r"),
        node("Conv", "r w b", "c", **SAME),
        node("Add", "c r", "s"),
        node("Relu", "s", "t"),
        node("Conv", "t v", "y"),
    ]
    assert kernels(nodes, WEIGHTS, "y", 2, 8, 6, 5) == [
        "conv, add, relu",
        "conv, add, add, relu",
        "conv",
        "transpose",
    ]


def test_factors_and_shifts_of_channels_are_turned() -> None:
    constants = WEIGHTS | {"f": normal(8, 1, 1, seed=7), "h": normal(1, 8, 1, 1, seed=8)}
    nodes = [
        node("Conv", "x w", "a", **SAME),
        node("Mul", "a f", "m"),
        node("Add", "h m", "s"),
        node("Conv", "s v", "y"),
    ]
    assert kernels(nodes, constants, "y", 1, 8, 5, 5)[:2] == ["conv, mul, add", "conv"]


def test_a_factor_that_depends_on_the_map_is_turned() -> None:
    nodes = [
        node("Conv", "x w", "a", **SAME),
        node("GlobalAveragePool", "a", "g"),
        node("Conv", "g v b", "e"),
        node("Relu", "e", "f"),
        node("Mul", "a f", "m"),
        node("Conv", "m v", "y"),
    ]
    found = kernels(nodes, WEIGHTS, "y", 1, 8, 5, 5)
    assert "transpose" not in " ".join(found[:-1])


@pytest.mark.parametrize("axis", [1, -2])
def test_concat_and_pooling_keep_the_layout(axis: int) -> None:
    nodes = [
        node("Conv", "x w", "a", **SAME),
        node("Relu", "a", "r"),
        node("MaxPool", "r", "p", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("AveragePool", "r", "q", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("Concat", "p q", "c", axis=axis),
        node("Conv", "c u", "y"),
    ]
    constants = WEIGHTS | {"u": normal(4, 16 if axis == 1 else 8, 1, 1, seed=9)}
    found = kernels(nodes, constants, "y", 1, 8, 5, 6)
    assert sorted(found) == ["avg_pool", "concat", "conv", "conv, relu", "max_pool", "transpose"]


def test_channels_are_shuffled_where_they_are() -> None:
    constants = WEIGHTS | {
        "split": np.array([1, 2, 4, 5, 6]),
        "joined": np.array([1, 8, 5, 6]),
        "d": normal(8, 1, 3, 3, seed=9),
    }
    nodes = [
        node("Conv", "x v", "a"),
        node("Reshape", "a split", "s"),
        node("Transpose", "s", "t", perm=[0, 2, 1, 3, 4]),
        node("Reshape", "t joined", "j"),
        node("Conv", "j d", "e", group=8, **SAME),
        node("Conv", "e v", "y"),
    ]
    found = kernels(nodes, constants, "y", 1, 8, 5, 6)
    assert [k for k in found if "conv" in k] == ["conv"] * 3
    assert len(found) <= 5


def test_flattened_maps_and_transposes_of_the_model() -> None:
    constants = WEIGHTS | {"rows": np.array([2, 8, 30])}
    nodes = [
        node("Conv", "x v", "a"),
        node("Reshape", "a rows", "s"),
        node("Transpose", "s", "y", perm=[0, 2, 1]),
    ]
    assert kernels(nodes, constants, "y", 2, 8, 5, 6) == ["conv", "reshape"]
    flat = [node("Conv", "x v", "a"), node("Reshape", "a rows", "y")]
    constants["rows"] = np.array([2, 240])
    kernels(flat, constants, "y", 2, 8, 5, 6)


def test_operators_of_expressions_and_values_that_are_read_in_both_layouts() -> None:
    constants = WEIGHTS | {"n": np.array([3, 1, 2, 4, 1, 5, 7, 2], "float32").reshape(8, 1, 1)}
    nodes = [
        node("Conv", "x v b", "a"),
        node("LRN", "a", "l", size=3, alpha=0.5),
        node("Div", "l n", "d"),
        node("Conv", "d v", "e"),
        node("Add", "e x", "y"),
    ]
    found = kernels(nodes, constants, "y", 2, 8, 3, 4)
    assert not any(k == "transpose" for k in found)


def test_layouts_of_symbolic_sizes() -> None:
    nodes = [
        node("Conv", "x w", "a", **SAME),
        node("Relu", "a", "r"),
        node("Conv", "r v", "c"),
        node("Add", "c r", "s"),
        node("Relu", "s", "y"),
    ]
    data = model(nodes, WEIGHTS, ["n", 8, "h", "w"], "y")
    network = tn.compile(oracle.load(data))
    for shape in ((1, 8, 4, 5), (3, 8, 7, 3)):
        x = normal(*shape)
        oracle.compare([np.asarray(network(x))], oracle.expected(data, {"x": x}), 1e-4, 1e-4)
    assert str(network.report()).count("relu") >= 2
    assert "[conv, add, relu]" in str(network.report())
