"""ONNX operators that read images between their elements."""

from typing import Any

import numpy as np
import onnx_graphs as og
import pytest
from onnx_graphs import node

import tenon as tn

RNG = np.random.default_rng(11)
X = RNG.standard_normal((2, 3, 5, 4), np.float32)


def grid(*shape: int) -> Any:
    return RNG.uniform(-1.6, 1.6, shape).astype(np.float32)


@pytest.mark.parametrize("corners", [0, 1])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_samples_of_images(mode: str, padding: str, corners: int) -> None:
    nodes = [node("GridSample", "x g", "y", mode=mode, padding_mode=padding, align_corners=corners)]
    og.check(nodes, {"x": X, "g": grid(2, 3, 7, 2)}, opset=20, rtol=1e-4, atol=1e-5)
    old = {"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode)
    nodes = [node("GridSample", "x g", "y", mode=old, padding_mode=padding, align_corners=corners)]
    og.check(
        nodes,
        {"x": X, "g": grid(2, 3, 7, 2)},
        {"x": np.ascontiguousarray(X[:1, :, :3, :2]), "g": grid(1, 2, 2, 2)},
        opset=16,
        dims={"x": ["n", 3, "h", "w"], "g": ["n", "a", "b", 2]},
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_samples_of_volumes(mode: str, padding: str) -> None:
    x = RNG.standard_normal((1, 2, 3, 4, 5), np.float32)
    nodes = [node("GridSample", "x g", "y", mode=mode, padding_mode=padding)]
    og.check(nodes, {"x": x, "g": grid(1, 2, 3, 2, 3)}, opset=20, rtol=1e-4, atol=1e-5)


def test_grids_far_away_and_not_a_number_stay_inside() -> None:
    far = np.array([1e30, -1e30, np.inf, -np.inf], np.float32)
    g = np.broadcast_to(far[:, None], (1, 1, 4, 2)[1:]).reshape(1, 1, 4, 2).copy()
    for padding in ("zeros", "border", "reflection"):
        for mode in ("nearest", "linear", "cubic"):
            nodes = [node("GridSample", "x g", "y", mode=mode, padding_mode=padding)]
            [got] = og.tenon(nodes, {"x": X[:1], "g": g}, opset=20)
            if padding == "zeros":
                np.testing.assert_array_equal(got, np.zeros((1, 3, 1, 4)))
            og.tenon(nodes, {"x": X[:1], "g": g * np.float32(np.nan)}, opset=20)


@pytest.mark.parametrize("corners", [0, 1])
def test_affine_grids(corners: int) -> None:
    nodes = [node("AffineGrid", "t s", "y", align_corners=corners)]
    for theta, size in (((2, 2, 3), (2, 1, 3, 4)), ((1, 3, 4), (1, 2, 2, 3, 4))):
        t = RNG.standard_normal(theta).astype(np.float32)
        og.check(
            nodes,
            {"t": t},
            constants={"s": np.array(size)},
            opset=20,
            rtol=1e-5,
            atol=1e-5,
        )
    with pytest.raises(tn.ModelError, match="for a size of 3 dimensions"):
        og.tenon(nodes, {"t": t}, constants={"s": np.array([1, 2, 2])}, opset=20)


@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("places", ["half_pixel", "output_half_pixel"])
def test_aligned_regions(mode: str, places: str) -> None:
    rois = np.array([[0, 0, 9, 9], [3, -4, 20, 7], [2.5, 1, 3, 1.5]], np.float32)
    nodes = [
        node(
            "RoiAlign",
            "x r b",
            "y",
            mode=mode,
            coordinate_transformation_mode=places,
            output_height=3,
            output_width=2,
            sampling_ratio=2,
            spatial_scale=0.4,
        )
    ]
    given = {"x": X, "r": rois, "b": np.array([0, 1, 1])}
    og.check(nodes, given, opset=16, rtol=1e-4, atol=1e-5)
    with pytest.raises(tn.IndexError, match="is out of range"):
        og.tenon(nodes, given | {"b": np.array([0, 2, 1])}, opset=16)
    with pytest.raises(tn.UnsupportedError, match="'sampling_ratio' 0"):
        og.tenon([node("RoiAlign", "x r b", "y")], given, opset=16)


def test_largest_elements_of_regions() -> None:
    rois = np.array([[0, 0, 0, 9, 9], [1, 3, 2, 8, 7], [1, 2, 1, 3, 1]], np.float32)
    nodes = [node("MaxRoiPool", "x r", "y", pooled_shape=[2, 3], spatial_scale=0.4)]
    og.check(nodes, {"x": X, "r": rois}, opset=16)


def test_what_is_not_supported_says_why() -> None:
    boxes, scores = np.zeros((1, 2, 4), np.float32), np.zeros((1, 1, 2), np.float32)
    with pytest.raises(tn.UnsupportedError, match="how many boxes are selected depends on"):
        og.tenon([node("NonMaxSuppression", "b s", "y")], {"b": boxes, "s": scores})
