"""ONNX Resize and Upsample."""

from typing import Any

import numpy as np
import onnx
import onnx_graphs as og
import pytest
from onnx.reference import ReferenceEvaluator
from onnx_graphs import node

import tenon as tn

RNG = np.random.default_rng(10)
X = RNG.standard_normal((1, 2, 5, 6), np.float32)
PLACES = ["half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"]


def floats(*values: float) -> Any:
    return np.array(values, np.float32)


def ints(*values: int) -> Any:
    return np.array(values, np.int64)


def compare(x: Any, constants: Any, inputs: str, **attributes: Any) -> None:
    """Compare with the reference of the package onnx."""
    nodes = [node("Resize", inputs, "y", **attributes)]
    data = og.model(nodes, {"x": x}, constants=constants, opset=19)
    [expected] = ReferenceEvaluator(onnx.load_from_string(data)).run(None, {"x": x})
    got = og.tenon(nodes, {"x": x}, constants=constants, opset=19)[0]
    og.same(got, expected.astype(x.dtype), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("places", PLACES)
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_modes_and_coordinates(mode: str, places: str) -> None:
    # pytorch_half_pixel of one element is defined as 0, which the reference does not follow.
    for sizes in ((7, 3), (10, 6), (2 if places == "pytorch_half_pixel" else 1, 13)):
        compare(
            X,
            {"s": ints(1, 2, *sizes)},
            "x - - s",
            mode=mode,
            coordinate_transformation_mode=places,
            exclude_outside=int(mode == "cubic"),
        )
    for scales in ((0.6, 2), (3, 0.5), (1.5, 1)):
        compare(
            X,
            {"f": floats(1, 1, *scales)},
            "x - f",
            mode=mode,
            coordinate_transformation_mode=places,
        )


@pytest.mark.parametrize("rounding", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
@pytest.mark.parametrize("places", PLACES)
def test_the_nearest_element_is_exact(places: str, rounding: str) -> None:
    """Against fractions: no rounding decides ties."""
    from fractions import Fraction
    from math import ceil, floor

    x = np.arange(6, dtype=np.float32)
    for size in (1, 2, 3, 4, 6, 7, 9, 12, 18):
        nodes = [
            node(
                "Resize",
                "x - - s",
                "y",
                coordinate_transformation_mode=places,
                nearest_mode=rounding,
            )
        ]
        expected = []
        for i in range(size):
            at = (i + Fraction(1, 2)) * Fraction(6, size) - Fraction(1, 2)
            if places == "asymmetric":
                at = i * Fraction(6, size)
            elif places == "align_corners":
                at = Fraction(i * 5, max(size - 1, 1))
            elif places == "pytorch_half_pixel" and size == 1:
                at = Fraction(0)
            index = {
                "floor": floor(at),
                "ceil": ceil(at),
                "round_prefer_floor": ceil(at - Fraction(1, 2)),
                "round_prefer_ceil": floor(at + Fraction(1, 2)),
            }[rounding]
            expected.append(min(max(index, 0), 5))
        got = og.tenon(nodes, {"x": x}, constants={"s": ints(size)}, opset=19)[0]
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_regions_and_what_lies_outside(mode: str) -> None:
    compare(
        X,
        {"r": floats(0, 0, 0.3, -0.4, 1, 1, 0.6, 1.2), "s": ints(1, 2, 4, 7)},
        "x r - s",
        mode=mode,
        coordinate_transformation_mode="tf_crop_and_resize",
        extrapolation_value=7.5,
    )


@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_antialiased_sizes(mode: str) -> None:
    for sizes in ((2, 4), (3, 9)):
        for outside in (0, 1):
            compare(
                X,
                {"s": ints(1, 2, *sizes)},
                "x - - s",
                mode=mode,
                antialias=1,
                exclude_outside=outside,
            )
    compare(X, {"f": floats(0.6, 0.5)}, "x - f", mode=mode, antialias=1, axes=[2, 3])


@pytest.mark.parametrize("policy", ["not_larger", "not_smaller"])
def test_sizes_that_keep_the_ratio(policy: str) -> None:
    compare(
        X, {"s": ints(7, 8)}, "x - - s", axes=[2, 3], keep_aspect_ratio_policy=policy, mode="linear"
    )


def test_symbolic_sizes() -> None:
    nodes = [
        node(
            "Resize",
            "x - f",
            "y",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
    ]
    og.check(
        nodes,
        {"x": X},
        {"x": np.ascontiguousarray(X[:, :, :2, :3])},
        constants={"f": floats(1, 1, 2, 1.5)},
        dims={"x": [1, 2, "h", "w"]},
    )
    to_other = [
        node("Shape", "x", "front", end=2),
        node("Shape", "z", "back", start=2),
        node("Concat", "front back", "s", axis=0),
        node(
            "Resize", "x - - s", "y", mode="linear", coordinate_transformation_mode="align_corners"
        ),
    ]
    z = np.zeros((1, 1, 8, 3), np.float32)
    og.check(
        to_other,
        {"x": X, "z": z},
        {"x": np.ascontiguousarray(X[:, :, :1]), "z": z[:, :, :1, :2]},
        dims={"x": [1, 2, "h", "w"], "z": [1, 1, "a", "b"]},
        rtol=1e-5,
        atol=1e-6,
    )
    empty = og.network(
        og.model(
            nodes, {"x": X}, constants={"f": floats(1, 1, 2, 1.5)}, dims={"x": [1, 2, "h", "w"]}
        )
    )
    with pytest.raises(tn.ShapeError, match=r"symbol 'h' is 0.*at least 1"):
        empty(X[:, :, :0])


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_one_element_as_pytorch_places_it(mode: str) -> None:
    nodes = [
        node(
            "Resize",
            "x - - s",
            "y",
            mode=mode,
            coordinate_transformation_mode="pytorch_half_pixel",
        )
    ]
    og.check(nodes, {"x": X}, constants={"s": ints(1, 2, 1, 4)}, rtol=1e-5, atol=1e-5)


def test_old_opsets() -> None:
    og.check([node("Upsample", "x f", "y")], {"x": X}, constants={"f": floats(1, 1, 2, 3)}, opset=9)
    upsample = [node("Upsample", "x", "y", mode="linear", scales=[1.0, 1.0, 2.0, 1.5])]
    og.check(upsample, {"x": X}, opset=7, rtol=1e-5, atol=1e-6)
    for scales in ((1, 1, 0.6, 0.5), (1, 1, 2, 1)):
        og.check([node("Resize", "x f", "y")], {"x": X}, constants={"f": floats(*scales)}, opset=10)


def test_dtypes() -> None:
    for dtype in (np.float64, np.float16, np.int32, np.uint8):
        x = np.abs(X * 50).astype(dtype)
        compare(x, {"s": ints(1, 2, 8, 3)}, "x - - s", mode="nearest")
    for dtype, tolerance in ((np.float64, 1e-7), (np.float16, 1e-2)):
        x = X.astype(dtype)
        nodes = [node("Resize", "x - - s", "y", mode="linear")]
        wide = og.tenon(nodes, {"x": x.astype(np.float32)}, constants={"s": ints(1, 2, 8, 3)})[0]
        got = og.tenon(nodes, {"x": x}, constants={"s": ints(1, 2, 8, 3)})[0]
        assert got.dtype == dtype
        np.testing.assert_allclose(got, wide, rtol=max(tolerance, 1e-5), atol=max(tolerance, 1e-5))


@pytest.mark.parametrize(
    ("constants", "inputs", "attributes", "message"),
    [
        ({"f": floats(1, 1, -2, 1)}, "x - f", {}, "a scale is -2, expected a positive number"),
        ({"f": floats(1, 1, 2)}, "x - f", {}, "3 scales for 4 dimensions"),
        ({"s": ints(1, 2, -5, 1)}, "x - - s", {}, "dimension 2 would have size -5"),
        ({"s": ints(1, 2, 2**62, 1)}, "x - - s", {}, "dimension 2 would have size 4611"),
        ({"f": floats(1, 1, 1e30, 1)}, "x - f", {}, "a scale of 1e\\+30"),
        ({}, "x", {}, "either scales or sizes should be given"),
        ({"s": ints(1, 2, 5, 5)}, "x - - s", {"mode": "best"}, "'mode' is 'best'"),
    ],
)
def test_what_does_not_fit(constants: Any, inputs: str, attributes: Any, message: str) -> None:
    with pytest.raises((tn.ModelError, tn.UnsupportedError), match=message):
        og.tenon([node("Resize", inputs, "y", **attributes)], {"x": X}, constants=constants)
