"""Determinants, convolutions of integers and steps of optimisers of ONNX."""

from typing import Any

import node_tests
import numpy as np
import pytest
from onnx_models import compiled, one_node, run, run_reference

import tenon as tn


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [0, 1, 2, 5, 12])
def test_determinants(dtype: Any, size: int) -> None:
    x = np.random.default_rng(size).standard_normal((3, size, size)).astype(dtype)
    rtol = 1e-3 if dtype == np.float32 else 1e-10
    np.testing.assert_allclose(run("Det", [x]), np.linalg.det(x), rtol=rtol)
    np.testing.assert_allclose(run("Det", [x[0]]), np.linalg.det(x[0]), rtol=rtol)


def test_determinants_that_need_exchanges_or_are_zero() -> None:
    swap = np.array([[0, 1], [1, 0]], np.float32)
    cycle = np.array([[0, 2, 0], [0, 0, 3], [4, 0, 0]], np.float64)
    assert run("Det", [swap]) == -1
    assert run("Det", [cycle]) == 24
    for singular in (np.zeros((3, 3)), np.ones((3, 3)), np.diag([1.0, 0, 2])):
        assert run("Det", [singular]) == 0
    network = compiled(one_node("Det", [np.eye(3)], sizes={0: ["n", "n"]}))
    for n in (3, 4):
        assert np.asarray(network(2 * np.eye(n))) == 2.0**n
    with pytest.raises(tn.ModelError, match="expected square matrices"):
        run("Det", [np.ones((2, 3))])


CONVOLUTIONS: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((2, 3, 6, 5), (4, 3, 3, 3), {}),
    ((1, 4, 7, 7), (6, 2, 3, 3), {"group": 2, "pads": [1, 0, 2, 1], "strides": [2, 1]}),
    ((1, 2, 9, 4), (3, 2, 3, 2), {"dilations": [2, 1], "pads": [2, 0, 2, 1]}),
]


@pytest.mark.parametrize(("x_shape", "w_shape", "attributes"), CONVOLUTIONS)
def test_convolutions_of_integers(x_shape: Any, w_shape: Any, attributes: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 255, x_shape).astype(np.uint8)
    w = rng.integers(0, 255, w_shape).astype(np.uint8)
    zeros = [np.uint8(120), np.uint8(127)]
    got = run("ConvInteger", [x, w, *zeros], **attributes)
    wanted = run_reference("ConvInteger", [x, w, *zeros], **attributes)
    assert got.dtype == np.int32
    np.testing.assert_array_equal(got, wanted)
    signed = (w.astype(np.int32) - 128).astype(np.int8)
    scales = (rng.random(w_shape[0]) * 0.01 + 0.001).astype(np.float32)
    operands = [
        *(x, np.float32(0.02), np.uint8(120)),
        *(signed, scales, np.zeros(w_shape[0], np.int8)),
        *(np.float32(0.05), np.uint8(100)),
        rng.integers(-500, 500, w_shape[0]).astype(np.int32),
    ]
    constant = (1, 2, 3, 4, 5, 6, 7, 8)
    got = run("QLinearConv", operands, constants=constant, **attributes)
    wanted = run_reference("QLinearConv", operands, constants=constant, **attributes)
    assert got.dtype == np.uint8
    # Roundings of the scale differ: results on a tie may be neighbours.
    assert np.abs(got.astype(int) - wanted.astype(int)).max() <= 1
    assert np.mean(got != wanted) < 0.01


def test_convolutions_that_do_not_fit() -> None:
    x, w = np.zeros((1, 3, 4, 4), np.uint8), np.zeros((2, 2, 3, 3), np.uint8)
    with pytest.raises(tn.ModelError, match="channels of the input are not those of the weight"):
        run("ConvInteger", [x, w])
    with pytest.raises(tn.ModelError, match="group = 0 does not divide 2 channels"):
        run("ConvInteger", [x, w], group=0)
    with pytest.raises(tn.ModelError, match="one scale or zero point for each output"):
        run("ConvInteger", [x[:, :2], w, np.uint8(1), np.ones(3, np.uint8)])


def test_columns_and_thresholds_and_labels() -> None:
    domain = "ai.onnx.ml"
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    places = np.array([[2, 0, 2]])
    got = run("ArrayFeatureExtractor", [x, places], domain=domain)
    np.testing.assert_array_equal(got, x[:, [2, 0, 2]])
    got = run("ArrayFeatureExtractor", [x[1], places], domain=domain)
    np.testing.assert_array_equal(got, x[1:2, [2, 0, 2]])
    got = run("Binarizer", [x], domain=domain, threshold=4.0)
    np.testing.assert_array_equal(got, (x > 4).astype(np.float32))
    keys = {"keys_int64s": [3, 5, 3], "values_floats": [0.5, 1.5, 2.5], "default_float": -7.0}
    got = run("LabelEncoder", [np.array([[5, 3], [4, 5]])], domain=domain, **keys)
    np.testing.assert_array_equal(got, np.float32([[1.5, 2.5], [-7, 1.5]]))
    keys["values_floats"] = [1.0]
    with pytest.raises(tn.ModelError, match="keys and values differ in number"):
        run("LabelEncoder", [np.array([5])], domain=domain, **keys)
    with pytest.raises(tn.UnsupportedError, match="a mapping of texts"):
        run("LabelEncoder", [np.array([5])], domain=domain, keys_strings=["a"])


NODE_TESTS = [
    "test_ai_onnx_ml_array_feature_extractor",
    "test_ai_onnx_ml_binarizer",
    "test_adagrad_multiple",
    "test_adam",
    "test_adam_multiple",
    "test_convinteger_with_padding",
    "test_det_nd",
    "test_momentum_multiple",
    "test_nesterov_momentum",
    "test_qlinearconv",
]


@pytest.mark.parametrize("name", NODE_TESTS)
def test_node_tests(name: str) -> None:
    outcome = node_tests.run(name)
    assert outcome.status == "pass", outcome


def test_steps_that_contradict_their_definition() -> None:
    domain = "ai.onnx.preview.training"
    x = np.ones(3, np.float32)
    operands = [np.float32(0.1), np.int64(0), x, x, x]
    with pytest.raises(tn.ModelError, match="'mode' should be standard or nesterov"):
        run("Momentum", operands, domain=domain, mode="fast", alpha=0.9, beta=1.0)
    with pytest.raises(tn.ModelError, match="expected rate, count and 4 operands"):
        run("Adam", operands, domain=domain)
    with pytest.raises(tn.ModelError, match="differ in shape or dtype"):
        run("Adagrad", [*operands[:3], x[:2], x], domain=domain)
