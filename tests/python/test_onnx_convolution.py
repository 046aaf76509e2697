"""ONNX convolutions and pooling, compared with ONNX Runtime."""

from typing import Any

import numpy as np
import onnx_oracle as oracle
import pytest

import tenon as tn


def normal(*shape: int, seed: int = 0, dtype: str = "float32") -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("is_constant", [True, False])
@pytest.mark.parametrize(
    ("spatial", "kernel", "attributes"),
    [
        ((9,), (3,), {"strides": [2], "pads": [1, 2]}),
        ((7, 8), (3, 2), {"dilations": [2, 1], "pads": [2, 0, 1, 1]}),
        ((8, 9), (3, 3), {"auto_pad": "SAME_UPPER", "strides": [2, 3]}),
        ((8, 9), (4, 2), {"auto_pad": "SAME_LOWER", "strides": [2, 1]}),
        ((8, 9), (3, 3), {"auto_pad": "VALID", "strides": [2, 2]}),
        ((5, 6), (3, 3), {"group": 2, "kernel_shape": [3, 3]}),
        ((4, 5, 6), (2, 3, 2), {"strides": [1, 2, 1], "pads": [1, 0, 1, 0, 1, 0]}),
    ],
)
def test_conv(
    spatial: tuple[int, ...],
    kernel: tuple[int, ...],
    attributes: dict[str, Any],
    is_constant: bool,
) -> None:
    x = normal(2, 4, *spatial)
    w = normal(6, 4 // attributes.get("group", 1), *kernel, seed=1)
    operands = {"w": w, "b": normal(6, seed=2)}
    if is_constant:
        oracle.check("Conv", {"x": x}, constants=operands, opset=11, **attributes)
    else:
        oracle.check("Conv", {"x": x} | operands, **attributes)


@pytest.mark.parametrize(
    ("spatial", "kernel", "attributes"),
    [
        ((5,), (3,), {"strides": [2], "output_padding": [1]}),
        ((3, 4), (3, 3), {"strides": [2, 2], "pads": [1, 0, 1, 1], "dilations": [2, 1]}),
        ((3, 4), (3, 3), {"strides": [2, 3], "auto_pad": "SAME_UPPER"}),
        ((3, 4), (2, 3), {"strides": [2, 2], "auto_pad": "SAME_LOWER"}),
        ((3, 3), (3, 3), {"strides": [3, 2], "output_shape": [10, 8]}),
        ((3, 3), (4, 4), {"strides": [2, 2], "output_shape": [6, 5]}),
        ((3, 4), (2, 2), {"group": 2}),
        ((2, 3, 2), (2, 2, 3), {"strides": [2, 1, 2]}),
    ],
)
@pytest.mark.parametrize("is_constant", [True, False])
def test_conv_transpose(
    spatial: tuple[int, ...],
    kernel: tuple[int, ...],
    attributes: dict[str, Any],
    is_constant: bool,
) -> None:
    x = normal(2, 4, *spatial)
    groups = attributes.get("group", 1)
    operands = {"w": normal(4, 6 // groups, *kernel, seed=1), "b": normal(6, seed=2)}
    if is_constant:
        oracle.check("ConvTranspose", {"x": x}, constants=operands, opset=11, **attributes)
    else:
        oracle.check("ConvTranspose", {"x": x} | operands, **attributes)


def test_one_network_of_convolutions_serves_all_sizes() -> None:
    w = normal(5, 3, 3, 3, seed=1)
    data = oracle.model(
        "Conv",
        {"x": normal(1, 3, 8, 8)},
        constants={"w": w},
        dims={"x": ["n", 3, "h", "w"]},
        auto_pad="SAME_UPPER",
    )
    network = tn.compile(oracle.load(data))
    for shape in ((1, 3, 8, 8), (2, 3, 5, 9)):
        x = normal(*shape)
        oracle.compare([np.asarray(network(x))], oracle.expected(data, {"x": x}))
    with pytest.raises(tn.UnsupportedError, match="auto_pad asks for depends on a size"):
        tn.compile(
            oracle.load(
                oracle.model(
                    "Conv",
                    {"x": normal(1, 3, 8, 8)},
                    constants={"w": w},
                    dims={"x": ["n", 3, "h", "w"]},
                    auto_pad="SAME_UPPER",
                    strides=[2, 2],
                )
            )
        )


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_dtypes_of_convolutions(dtype: str) -> None:
    x, w = normal(1, 3, 6, 6, dtype=dtype), normal(4, 3, 3, 3, seed=1, dtype=dtype)
    got = oracle.results(oracle.model("Conv", {"x": x}, constants={"w": w}), {"x": x})
    wide = [v.astype("float64") for v in (x, w)]
    windows = np.lib.stride_tricks.sliding_window_view(wide[0][0], (3, 3), axis=(1, 2))
    expected = np.einsum("cijkl,ockl->oij", windows, wide[1])[None]
    rtol = 2e-3 if dtype == "float16" else 1e-12
    assert got[0].dtype == dtype
    np.testing.assert_allclose(got[0], expected, rtol=rtol, atol=rtol)


POOLS: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((9,), {"kernel_shape": [3], "strides": [2], "pads": [1, 1]}),
    ((8, 9), {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ((7, 8), {"kernel_shape": [3, 2], "strides": [2, 3], "ceil_mode": 1}),
    ((7, 7), {"kernel_shape": [3, 3], "strides": [3, 3], "pads": [1, 1, 1, 1], "ceil_mode": 1}),
    ((6, 6), {"kernel_shape": [2, 2], "strides": [3, 3], "pads": [0, 0, 1, 1], "ceil_mode": 1}),
    ((2, 5), {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    ((8, 9), {"kernel_shape": [3, 4], "strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    ((8, 9), {"kernel_shape": [3, 4], "strides": [1, 2], "auto_pad": "SAME_LOWER"}),
    ((4, 5, 6), {"kernel_shape": [2, 2, 3], "strides": [2, 1, 1], "pads": [1, 0, 1, 0, 1, 1]}),
]


@pytest.mark.parametrize(("spatial", "attributes"), POOLS)
def test_pooling(spatial: tuple[int, ...], attributes: dict[str, Any]) -> None:
    x = normal(2, 3, *spatial)
    oracle.check("MaxPool", {"x": x}, opset=12, **attributes)
    for counts in (0, 1):
        oracle.check("AveragePool", {"x": x}, count_include_pad=counts, **attributes)
    if "ceil_mode" not in attributes:
        for p in (1, 2, 3):
            oracle.check("LpPool", {"x": x}, p=p, opset=11, **attributes)


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("dilation", [1, 2])
def test_indices_of_max_pool(order: int, dilation: int) -> None:
    x = np.random.default_rng(0).integers(-3, 3, (2, 3, 7, 8)).astype("float32")  # with ties
    oracle.check(
        "MaxPool",
        {"x": x},
        outputs=2,
        opset=12,
        kernel_shape=[3, 3],
        strides=[2, 1],
        pads=[1, 1, 1, 0],
        dilations=[dilation, dilation],
        storage_order=order,
    )


@pytest.mark.parametrize("dtype", ["int8", "uint8", "float64"])
def test_dtypes_of_max_pool(dtype: str) -> None:
    x = np.random.default_rng(0).integers(0, 100, (1, 2, 5, 5)).astype(dtype)
    oracle.check("MaxPool", {"x": x}, opset=12, kernel_shape=[2, 2], pads=[1, 1, 0, 0])


def test_dilated_average_pool() -> None:
    x = normal(1, 2, 9, 9)
    for counts in (0, 1):
        oracle.check(
            "AveragePool",
            {"x": x},
            kernel_shape=[3, 3],
            dilations=[2, 2],
            pads=[1, 1, 1, 1],
            count_include_pad=counts,
        )


@pytest.mark.parametrize("op", ["GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"])
@pytest.mark.parametrize("spatial", [(7,), (5, 6), (3, 4, 2)])
def test_global_pooling(op: str, spatial: tuple[int, ...]) -> None:
    oracle.check(op, {"x": normal(2, 3, *spatial)})


def test_pooling_of_any_size_and_in_16_bits() -> None:
    x = normal(2, 3, 6, 7)
    data = oracle.model("AveragePool", {"x": x}, kernel_shape=[2, 3], strides=[2, 2],
                        ceil_mode=1, dims={"x": ["n", 3, "h", "w"]})  # fmt: skip
    network = tn.compile(oracle.load(data))
    for shape in ((2, 3, 6, 7), (1, 3, 9, 4)):
        x = normal(*shape)
        oracle.compare([np.asarray(network(x))], oracle.expected(data, {"x": x}))
    half = np.full((1, 1, 64, 64), 1000, "float16")  # whose sum is no float16
    for op in ("AveragePool", "GlobalAveragePool"):
        more = {"kernel_shape": [64, 64]} if op == "AveragePool" else {}
        got = oracle.results(oracle.model(op, {"x": half}, **more), {"x": half})
        np.testing.assert_array_equal(got[0], np.full((1, 1, 1, 1), 1000, "float16"))


@pytest.mark.parametrize(
    ("op", "shapes", "attributes", "error", "message"),
    [
        (
            "Conv",
            [(1, 3, 5), (2, 3, 3, 3)],
            {},
            tn.ModelError,
            "expected a weight of 3 axes, got 4",
        ),
        ("Conv", [(1, 3), (2, 3)], {}, tn.ModelError, "got 2 axes"),
        (
            "Conv",
            [(1, 3, 5), (2, 3, 3)],
            {"strides": [0]},
            tn.ModelError,
            "'strides' has a number 0",
        ),
        (
            "Conv",
            [(1, 3, 5), (2, 3, 3)],
            {"strides": [1, 1]},
            tn.ModelError,
            "should have 1 numbers",
        ),
        (
            "Conv",
            [(1, 3, 5), (2, 3, 3)],
            {"pads": [-1, 0]},
            tn.UnsupportedError,
            "negative padding",
        ),
        (
            "Conv",
            [(1, 3, 5), (2, 3, 3)],
            {"pads": [2**62, 0]},
            tn.ModelError,
            "'pads' has a number",
        ),
        ("Conv", [(1, 3, 5), (2, 3, 3)], {"auto_pad": "SOME"}, tn.ModelError, "auto_pad is 'SOME'"),
        (
            "Conv",
            [(1, 3, 5), (2, 3, 3)],
            {"kernel_shape": [2]},
            tn.ModelError,
            "kernel_shape differs",
        ),
        ("Conv", [(1, 3, 5), (2, 3, 0)], {}, tn.ModelError, "an empty window"),
        ("Conv", [(1, 3, 5), (2, 3, 3), (3,)], {}, tn.ModelError, "one element for each output"),
        ("Conv", [(1, 3, 5), (2, 3, 9)], {}, tn.ShapeError, "the window spans 9 elements"),
        ("Conv", [(1, 3, 5), (2, 3, 3)], {"group": 2}, tn.ShapeError, "2 groups should divide"),
        ("ConvTranspose", [(1, 3, 5), (2, 3, 3)], {}, tn.ModelError, "the weight has 2 input"),
        ("ConvTranspose", [(1, 3, 5), (3, 2, 3)], {"group": 0}, tn.ModelError, "group = 0 does"),
        (
            "ConvTranspose",
            [(1, 3, 5), (3, 2, 3)],
            {"output_shape": [99]},
            tn.UnsupportedError,
            "an output that is larger",
        ),
        ("MaxPool", [(1, 3, 5)], {}, tn.ModelError, "'kernel_shape' is missing"),
        (
            "MaxPool",
            [(1, 3, 5)],
            {"kernel_shape": [2], "pads": [2, 0]},
            tn.UnsupportedError,
            "padding in which a whole window lies",
        ),
        ("LpPool", [(1, 3, 5)], {"kernel_shape": [2], "p": 0}, tn.ModelError, "p = 0 should be"),
        ("GlobalMaxPool", [(3,)], {}, tn.ModelError, "expected an input"),
    ],
)
def test_nodes_that_cannot_be(
    op: str, shapes: list[Any], attributes: dict[str, Any], error: type, message: str
) -> None:
    inputs = {f"x{i}": normal(*shape) for i, shape in enumerate(shapes)}
    with pytest.raises(error, match=message):
        tn.compile(oracle.load(oracle.model(op, inputs, **attributes)))
