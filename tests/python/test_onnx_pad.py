"""ONNX Pad and CenterCropPad."""

from typing import Any

import numpy as np
import onnx_graphs as og
import pytest
from onnx_graphs import node

import tenon as tn

RNG = np.random.default_rng(8)
X = RNG.standard_normal((2, 5, 4), np.float32)


def ints(*values: int) -> Any:
    return np.array(values, np.int64)


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge", "wrap"])
@pytest.mark.parametrize(
    "pads", [(0, 2, 1, 0, 1, 3), (1, 0, 0, 1, 0, 0), (0, 4, 0, 0, 4, 2), (0, 0, 0, 0, 0, 0)]
)
def test_modes_for_fixed_and_symbolic_sizes(mode: str, pads: Any) -> None:
    p = np.array(pads).reshape(2, 3)
    expected = np.pad(X, p.T, mode=mode)
    nodes = [node("Pad", "x p", "y", mode=mode)]
    constants = {"p": ints(*pads)}
    og.same(og.tenon(nodes, {"x": X}, constants=constants)[0], expected)
    data = og.model(nodes, {"x": X}, constants=constants, dims={"x": ["b", "n", "m"]})
    compiled = og.network(data)
    for x in (X, X[:1, :2, :1]):
        x = np.ascontiguousarray(x)
        og.same(np.asarray(compiled(x)), np.pad(x, p.T, mode=mode))


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge"])
def test_negative_pads_cut_off(mode: str) -> None:
    og.check(
        [node("Pad", "x p", "y", mode=mode)],
        {"x": X},
        constants={"p": ints(0, -2, 1, 0, 1, -1)},
        opset=19,
    )
    cut = [node("Pad", "x p", "y", mode=mode)]
    og.check(cut, {"x": X}, constants={"p": ints(0, -2, -1, -1, 0, 0)}, opset=19)


def test_values_axes_dtypes_and_old_opsets() -> None:
    for dtype in (np.int32, np.float64, np.bool_, np.uint8):
        og.check(
            [node("Pad", "x p v a", "y")],
            {"x": X.astype(dtype), "v": np.array(1, dtype)},
            constants={"p": ints(1, 2, 0, 1), "a": ints(-1, 0)},
            opset=19,
        )
    og.check([node("Pad", "x", "y", pads=[0, 1, 0, 1, 0, 2], value=2.5)], {"x": X}, opset=10)
    og.check([node("Pad", "x", "y", pads=[0, 1, 0, 1, 0, 2], mode="edge")], {"x": X}, opset=7)
    given = {"x": X, "p": ints(0, 1, 0, 0, 1, 0)}
    og.same(og.tenon([node("Pad", "x p", "y")], given)[0], np.pad(X, [(0, 0), (1, 1), (0, 0)]))


def test_pads_that_do_not_fit() -> None:
    with pytest.raises(tn.ModelError, match="5 pads for 3 dimensions"):
        og.tenon([node("Pad", "x p", "y")], {"x": X}, constants={"p": ints(0, 1, 0, 0, 1)})
    with pytest.raises(tn.ModelError, match="dimension 0 would have size -3"):
        og.tenon([node("Pad", "x p", "y")], {"x": X}, constants={"p": ints(-5, 0, 0, 0, 0, 0)})
    with pytest.raises(tn.ModelError, match="is padded by 4611686018427387904"):
        og.tenon([node("Pad", "x p", "y")], {"x": X}, constants={"p": ints(2**62, 0, 0, 0, 0, 0)})
    with pytest.raises(tn.ModelError, match="dimension 1 has nothing to pad with"):
        og.tenon(
            [node("Pad", "x p", "y", mode="edge")],
            {"x": X[:, :0]},
            constants={"p": ints(0, 1, 0, 0, 0, 0)},
        )
    with pytest.raises(tn.ModelError, match="'mode' is 'mirror'"):
        og.tenon([node("Pad", "x p", "y", mode="mirror")], {"x": X}, constants={"p": ints()})


@pytest.mark.parametrize("size", [1, 4, 5, 6, 7, 10])
def test_center_crop_pad(size: int) -> None:
    nodes = [node("CenterCropPad", "x s", "y", axes=[1])]
    compiled = og.network(
        og.model(nodes, {"x": X}, constants={"s": ints(size)}, dims={"x": [2, "n", 4]})
    )
    for n in (5, 2, 4):
        x = np.ascontiguousarray(X[:, :n])
        more = max(size - n, 0)
        wide = np.pad(x, [(0, 0), (more // 2, more - more // 2), (0, 0)])
        begin = max(n - size, 0) // 2
        og.same(np.asarray(compiled(x)), wide[:, begin : begin + size])
