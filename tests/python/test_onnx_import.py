"""ONNX models become networks: shapes that are computed, inputs that decide shapes, functions."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import tenon as tn


def save(
    tmp_path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], **more: Any
) -> Path:
    graph = helper.make_graph(nodes, "g", inputs, outputs, more.pop("initializer", []))
    model = helper.make_model(
        graph, opset_imports=more.pop("opsets", [helper.make_opsetid("", 21)]), **more
    )
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def info(name: str, shape: list[Any], dtype: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, dtype, shape)


def test_a_shape_that_the_model_computes_stays_symbolic(tmp_path: Path) -> None:
    path = save(
        tmp_path,
        [
            helper.make_node("Shape", ["x"], ["all"]),
            helper.make_node("Shape", ["x"], ["rows"], start=0, end=1),
            helper.make_node("Constant", [], ["rest"], value_ints=[-1]),
            helper.make_node("Concat", ["rows", "rest"], ["to"], axis=0),
            helper.make_node("Reshape", ["x", "to"], ["flat"]),
            helper.make_node("Size", ["x"], ["size"]),
        ],
        [info("x", ["n", 3, 4])],
        [info("flat", ["n", 12]), info("all", [3], 7), info("size", [], 7)],
    )
    network = tn.compile(tn.onnx.load(path))
    for n in (1, 5):
        x = np.random.default_rng(n).standard_normal((n, 3, 4), np.float32)
        flat, shape, size = network(x=x)
        np.testing.assert_array_equal(flat, x.reshape(n, 12))
        np.testing.assert_array_equal(shape, [n, 3, 4])
        assert int(size) == n * 12


def test_an_input_that_decides_a_shape_is_compiled_for_each_value(tmp_path: Path) -> None:
    path = save(
        tmp_path,
        [helper.make_node("Reshape", ["x", "to"], ["y"])],
        [info("x", [2, 6]), info("to", ["k"], TensorProto.INT64)],
        [info("y", None)],
    )
    x = np.arange(12, dtype=np.float32).reshape(2, 6)
    network = tn.compile(tn.onnx.load(path))
    for shape in ([3, 4], [-1], [3, 4]):
        np.testing.assert_array_equal(network(x, np.array(shape)), x.reshape(shape))
    fixed = tn.compile(tn.onnx.load(path, values={"to": np.array([4, 3])}))
    np.testing.assert_array_equal(fixed(x), x.reshape(4, 3))
    with pytest.raises(tn.ExpressionError, match="the network takes x, to; got 1 by position"):
        network(x)


def test_functions_are_expanded_and_may_not_use_themselves(tmp_path: Path) -> None:
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("own", 1)]

    def model(body: list[Any]) -> Path:
        function = helper.make_function("own", "Twice", ["a"], ["b"], body, opsets[:1] + opsets[1:])
        node = helper.make_node("Twice", ["x"], ["y"], domain="own")
        return save(
            tmp_path,
            [node],
            [info("x", [3])],
            [info("y", [3])],
            opsets=opsets,
            functions=[function],
        )

    x = np.array([1, 2, 3], np.float32)
    network = tn.compile(tn.onnx.load(model([helper.make_node("Add", ["a", "a"], ["b"])])))
    np.testing.assert_array_equal(network(x), 2 * x)
    recursive = model([helper.make_node("Twice", ["a"], ["b"], domain="own")])
    with pytest.raises(tn.ModelError, match="function 'Twice' uses itself"):
        tn.compile(tn.onnx.load(recursive))


def test_check_names_what_is_not_supported_and_goes_on(tmp_path: Path) -> None:
    path = save(
        tmp_path,
        [
            helper.make_node("NoSuchOperator", ["x"], ["a"]),
            helper.make_node("Add", ["a", "x"], ["b"]),
            helper.make_node("Mul", ["x", "x"], ["y"]),
        ],
        [info("x", [3])],
        [info("y", [3]), info("b", [3])],
    )
    report = tn.check(path)
    assert not report.is_supported
    assert {r.name: r.status for r in report.operators} == {
        "NoSuchOperator": "unsupported",
        "Add": "native",
        "Mul": "native",
    }
    assert "Tenon has no such operator" in str(report)
    with pytest.raises(
        tn.UnsupportedError, match=r"node 'a' \(NoSuchOperator\): Tenon has no such"
    ):
        tn.compile(tn.onnx.load(path))


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        (
            [helper.make_node("Add", ["x", "missing"], ["y"])],
            "input 'missing' is computed by no node",
        ),
        ([helper.make_node("Add", ["x", ""], ["y"])], "input 1 is missing"),
        ([helper.make_node("Concat", ["x", "x"], ["y"], axis="a")], "'axis' should be an integer"),
        ([helper.make_node("Concat", ["x", "x"], ["y"])], "attribute 'axis' is missing"),
        (
            [helper.make_node("Relu", ["x"], ["z"])],
            "output 'y' of the model is computed by no node",
        ),
    ],
)
def test_a_node_that_contradicts_its_definition(
    tmp_path: Path, nodes: list[Any], message: str
) -> None:
    path = save(tmp_path, nodes, [info("x", [3])], [info("y", [3])])
    with pytest.raises(tn.ModelError, match=message):
        tn.compile(tn.onnx.load(path))


def test_sizes_and_inputs_that_cannot_be(tmp_path: Path) -> None:
    node = [helper.make_node("Relu", ["x"], ["y"])]
    path = save(tmp_path, node, [info("x", ["n"])], [info("y", ["n"])])
    with pytest.raises(tn.ShapeError, match="size -1 of dimension 'n' is negative"):
        tn.compile(tn.onnx.load(path, sizes={"n": -1}))
    with pytest.raises(tn.ExpressionError, match="an ONNX model says its inputs itself"):
        tn.compile(tn.onnx.load(path), [np.zeros(3)])  # type: ignore[call-overload]
    path = save(tmp_path, node, [info("x", ["n"], TensorProto.STRING)], [info("y", ["n"])])
    with pytest.raises(tn.UnsupportedError, match="input 'x' has elements of string"):
        tn.compile(tn.onnx.load(path))
    path = save(tmp_path, node, [info("x", None)], [info("y", None)])
    with pytest.raises(tn.UnsupportedError, match="input 'x' has no shape in the model"):
        tn.compile(tn.onnx.load(path))
    known = tn.compile(tn.onnx.load(path, shapes={"x": [-1, 2]}))
    assert known(np.ones((3, 2), np.float32)).shape == (3, 2)


def test_broadcasting_that_does_not_fit(tmp_path: Path) -> None:
    node = [helper.make_node("Div", ["x", "z"], ["y"])]
    types = [info("x", [3], TensorProto.INT32), info("z", [2], TensorProto.INT32)]
    path = save(tmp_path, node, types, [info("y", None, TensorProto.INT32)])
    with pytest.raises(tn.ShapeError, match=r"\(Div\): the shapes cannot be broadcast"):
        tn.compile(tn.onnx.load(path))
    older = save(tmp_path, node, types, [info("y", None)], opsets=[helper.make_opsetid("", 99)])
    with pytest.raises(tn.UnsupportedError, match="opset 99 is newer than 27"):
        tn.compile(tn.onnx.load(older))
    assert onnx.__version__.startswith("1.22")
