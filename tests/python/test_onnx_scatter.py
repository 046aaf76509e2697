"""ONNX operators that write where data say, and those whose result depends on values in size."""

from typing import Any

import numpy as np
import onnx_graphs as og
import pytest
from onnx_graphs import node

import tenon as tn

RNG = np.random.default_rng(9)
X = RNG.standard_normal((4, 5, 3), np.float32)
UFUNC = {"add": np.add, "mul": np.multiply, "min": np.minimum, "max": np.maximum}


def ints(*values: int) -> Any:
    return np.array(values, np.int64)


@pytest.mark.parametrize("reduction", ["add", "mul", "min", "max"])
@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.float16])
def test_updates_that_meet_are_joined(reduction: str, dtype: Any) -> None:
    x = (X * 4).astype(dtype)
    i = RNG.integers(-5, 5, (4, 7, 3))
    u = (RNG.standard_normal(i.shape) * 3).astype(dtype)
    nodes = [node("ScatterElements", "x i u", "y", axis=1, reduction=reduction)]
    expected = x.copy()
    a, b, c = np.indices(i.shape)
    UFUNC[reduction].at(expected, (a, i, c), u)
    assert b.shape == i.shape
    og.same(
        og.tenon(nodes, {"x": x, "i": i, "u": u})[0],
        expected,
        rtol=1e-2 if dtype == np.float16 else 1e-6,
    )
    j = RNG.integers(-4, 4, (6, 2))
    v = (RNG.standard_normal((6, 3)) * 3).astype(dtype)
    expected = x.copy()
    UFUNC[reduction].at(expected, (j[:, 0], j[:, 1]), v)
    nodes = [node("ScatterND", "x j v", "y", reduction=reduction)]
    og.same(
        og.tenon(nodes, {"x": x, "j": j, "v": v})[0],
        expected,
        rtol=1e-2 if dtype == np.float16 else 1e-6,
    )


def test_updates_take_places_for_fixed_and_symbolic_sizes() -> None:
    i = np.argsort(RNG.standard_normal((2, 5, 2)), axis=1)
    u = RNG.standard_normal(i.shape).astype(np.float32)
    for name, opset in (("Scatter", 10), ("ScatterElements", 18)):
        og.check(
            [node(name, "x i u", "y", axis=1)],
            {"x": X, "i": i - 5 * (i % 2), "u": u},
            {"x": X[:2, :, :2], "i": i, "u": u},
            opset=opset,
            dims={"x": ["a", 5, "c"], "i": ["b", 5, "d"], "u": ["b", 5, "d"]},
        )
    j = np.array([[[0, -1], [2, 3]], [[3, 0], [-3, 2]]])
    flags = X[..., 0] > 0
    og.check([node("ScatterND", "x j u", "y")], {"x": X, "j": j, "u": X[:2, :2]})
    og.check([node("ScatterND", "x j u", "y")], {"x": flags, "j": j, "u": flags[:2, :2]})


def test_scatters_check_places_and_shapes() -> None:
    u = np.zeros((1, 5, 3), np.float32)
    with pytest.raises(tn.IndexError, match="is out of range"):
        og.tenon([node("ScatterND", "x i u", "y")], {"x": X, "i": ints(4)[:, None], "u": u})
    with pytest.raises(tn.ModelError, match="indices and updates should be of one shape"):
        og.tenon([node("ScatterElements", "x i u", "y")], {"x": X, "i": ints(4)[:, None], "u": u})
    with pytest.raises(tn.ModelError, match="then what is left of the data"):
        og.tenon([node("ScatterND", "x i u", "y")], {"x": X, "i": ints(1, 2)[:, None], "u": u})
    with pytest.raises(tn.UnsupportedError, match="reduction 'add' of bools"):
        og.tenon(
            [node("ScatterND", "x i u", "y", reduction="add")],
            {"x": X > 0, "i": ints(1)[:, None], "u": u > 0},
        )
    with pytest.raises(tn.ModelError, match="'reduction' is 'sub'"):
        og.tenon(
            [node("ScatterND", "x i u", "y", reduction="sub")],
            {"x": X, "i": ints(1)[:, None], "u": u},
        )


@pytest.mark.parametrize("mode", ["linear", "circular"])
def test_writes_into_a_cache(mode: str) -> None:
    cache, update = X[:, None], X[:, None, :2] + 10
    starts = ints(0, 3, 2, 1) if mode == "linear" else ints(4, 3, 9, 0)
    nodes = [node("TensorScatter", "c u i", "y", mode=mode)]
    expected = cache.copy()
    for b in range(4):
        for k in range(2):
            expected[b, :, (starts[b] + k) % 5] = update[b, :, k]
    og.same(og.tenon(nodes, {"c": cache, "u": update, "i": starts}, opset=24)[0], expected)
    if mode == "linear":
        with pytest.raises(tn.IndexError, match="is out of range"):
            og.tenon(nodes, {"c": cache, "u": update, "i": ints(0, 4, 0, 0)}, opset=24)


def test_unpooled_maxima() -> None:
    x = np.arange(8, dtype=np.float32).reshape(2, 1, 2, 2) + 1
    i = np.array([[[[5, 7], [13, 15]]], [[[16, 18], [24, 31]]]])
    nodes = [node("MaxUnpool", "x i", "y", kernel_shape=[2, 2], strides=[2, 2])]
    og.check(nodes, {"x": x, "i": i})
    with pytest.raises(tn.IndexError, match="is out of range"):
        og.tenon(nodes, {"x": x, "i": i + 10})


def test_compress_by_a_condition_that_is_given_or_constant() -> None:
    condition = np.array([True, False, True, True])
    og.check([node("Compress", "x c", "y", axis=0)], {"x": X}, constants={"c": condition})
    og.check([node("Compress", "x c", "y", axis=-2)], {"x": X, "c": condition})
    og.check([node("Compress", "x c", "y")], {"x": X, "c": condition})
    with pytest.raises(tn.ModelError, match="element 3 of 3 is chosen"):
        og.tenon([node("Compress", "x c", "y", axis=2)], {"x": X, "c": condition})


def test_places_that_are_not_zero() -> None:
    x = np.array([[0, 1.5, np.nan], [-2, 0, 0]], np.float32)
    og.check([node("NonZero", "x", "y")], {"x": x}, {"x": x[::-1].copy()}, {"x": x * 0})
    og.check([node("NonZero", "x", "y")], {"x": np.array([True, False])})


def test_counting_to_a_symbolic_size() -> None:
    """arange(n) as PyTorch wrote it before Range: NonZero of ones."""
    one = og.numpy_helper.from_array(ints(1))
    nodes = [
        node("Shape", "x", "n"),
        node("ConstantOfShape", "n", "ones", value=one),
        node("NonZero", "ones", "places"),
        node("Transpose", "places", "column"),
        node("Squeeze", "column", "all", axes=[1]),
        node("Add", "all x", "y"),
    ]
    x = ints(5, 6, 7)
    og.check(nodes, {"x": x}, {"x": x[:1]}, opset=11, dims={"x": ["n"]})


@pytest.mark.parametrize("is_sorted", [0, 1])
def test_unique_elements_and_slices(is_sorted: int) -> None:
    x = np.array([[2, 1, 1], [2, 1, 1], [3, -1, 2], [2, 0, 1]], np.float32)
    for extra in ({}, {"axis": 0}, {"axis": -1}):
        nodes = [node("Unique", "x", "y a b c", sorted=is_sorted, **extra)]
        og.check(nodes, {"x": x}, outputs="y a b c")
    big = np.array([2**63 - 1, -(2**63), 5, 2**63 - 1])
    og.check([node("Unique", "x", "y a b c")], {"x": big}, outputs="y a b c")


def test_blocks_are_added_up() -> None:
    x = RNG.standard_normal((2, 2 * 6, 12), np.float32)
    constants = {"s": ints(5, 5), "b": ints(2, 3)}
    nodes = [node("Col2Im", "x s b", "y")]
    og.check(nodes, {"x": x}, constants=constants, rtol=1e-6, atol=1e-6)
    spread = [node("Col2Im", "x s b", "y", dilations=[1, 2], pads=[0, 1, 1, 2], strides=[2, 1])]
    og.check(spread, {"x": x}, constants=constants, rtol=1e-6, atol=1e-6)
    with pytest.raises(tn.ModelError, match="the number of blocks is not"):
        og.tenon(nodes, {"x": x[..., :11]}, constants=constants)
