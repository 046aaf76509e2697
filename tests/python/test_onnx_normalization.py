"""ONNX normalisations, compared with ONNX Runtime and with NumPy."""

from typing import Any

import numpy as np
import onnx_oracle as oracle
import pytest

import tenon as tn


def normal(*shape: int, seed: int = 0, dtype: str = "float32") -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def positive(*shape: int, seed: int = 0, dtype: str = "float32") -> Any:
    return (np.random.default_rng(seed).random(shape) + 0.5).astype(dtype)


@pytest.mark.parametrize("opset", [7, 9, 14, 15])
@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4), (2, 3, 4, 5)])
def test_batch_norm(opset: int, shape: tuple[int, ...]) -> None:
    constants = {
        "scale": normal(3, seed=1),
        "b": normal(3, seed=2),
        "mean": normal(3, seed=3),
        "var": positive(3, seed=4),
    }
    oracle.check(
        "BatchNormalization",
        {"x": normal(*shape)},
        constants=constants,
        opset=opset,
        epsilon=1e-2,
    )


def test_batch_norm_that_trains() -> None:
    x = normal(4, 3, 5, 2)
    inputs = {
        "x": x,
        "scale": normal(3, seed=1),
        "b": normal(3, seed=2),
        "mean": normal(3, seed=3),
        "var": positive(3, seed=4),
    }
    data = oracle.model(
        "BatchNormalization", inputs, outputs=3, opset=15, training_mode=1, momentum=0.75
    )
    y, mean, var = oracle.results(data, inputs)
    axes = (0, 2, 3)
    over = (slice(None), None, None)
    now, spread = x.mean(axes, dtype="float64"), x.var(axes, dtype="float64")
    expected = (x - now[over]) / np.sqrt(spread[over] + 1e-5)
    expected = expected * inputs["scale"][over] + inputs["b"][over]
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(mean, inputs["mean"] * 0.75 + now * 0.25, rtol=1e-5)
    np.testing.assert_allclose(var, inputs["var"] * 0.75 + spread * 0.25, rtol=1e-5)


def test_statistics_in_float32_for_a_float16_input() -> None:
    x = normal(2, 3, 4, dtype="float16")
    params = [normal(3, seed=1, dtype="float16"), normal(3, seed=2, dtype="float16")]
    stats = [normal(3, seed=3), positive(3, seed=4)]
    inputs = dict(zip(["x", "scale", "b", "mean", "var"], [x, *params, *stats], strict=True))
    got = oracle.results(oracle.model("BatchNormalization", inputs, opset=15), inputs)[0]
    wide = [v.astype("float64")[:, None] for v in (*params, *stats)]
    expected = (x - wide[2]) / np.sqrt(wide[3] + 1e-5) * wide[0] + wide[1]
    assert got.dtype == np.float16
    np.testing.assert_allclose(got, expected, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("shape", [(2, 4, 5), (2, 4, 3, 5)])
def test_instance_and_group_norm(shape: tuple[int, ...]) -> None:
    x = normal(*shape)
    scale, bias = normal(4, seed=1), normal(4, seed=2)
    oracle.check("InstanceNormalization", {"x": x, "s": scale, "b": bias}, epsilon=1e-3)
    over = (slice(None), *[None] * (len(shape) - 2))
    for groups in (1, 2, 4):
        parts = x.reshape(2, groups, -1).astype("float64")
        middle = (parts - parts.mean(2, keepdims=True)) / np.sqrt(
            parts.var(2, keepdims=True) + 1e-5
        )
        expected = middle.reshape(shape) * scale[over] + bias[over]
        inputs = {"x": x, "s": scale, "b": bias}
        data = oracle.model("GroupNormalization", inputs, num_groups=groups)
        np.testing.assert_allclose(oracle.results(data, inputs)[0], expected, rtol=1e-4, atol=1e-5)
        # In opset 18 scale and bias are those of groups.
        of_groups = {"x": x, "s": scale[:groups], "b": bias[:groups]}
        data = oracle.model("GroupNormalization", of_groups, opset=18, num_groups=groups)
        spread = [np.repeat(p[:groups], 4 // groups)[over] for p in (scale, bias)]
        expected = middle.reshape(shape) * spread[0] + spread[1]
        np.testing.assert_allclose(
            oracle.results(data, of_groups)[0], expected, rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("has_bias", [True, False])
def test_layer_norm(axis: int, has_bias: bool) -> None:
    x = normal(2, 3, 4)
    shape = x.shape[axis:]
    constants = {"s": normal(*shape, seed=1), "b": normal(*shape, seed=2) if has_bias else None}
    oracle.check(
        "LayerNormalization",
        {"x": x},
        constants={k: v for k, v in constants.items() if v is not None},
        outputs=3,
        opset=17,
        axis=axis,
        rtol=1e-4,
        atol=1e-5,
    )


def test_layer_norm_with_scales_that_are_broadcast_and_in_16_bits() -> None:
    x = normal(2, 3, 4, dtype="float16")
    scale, bias = normal(3, 1, seed=1, dtype="float16"), normal(1, 4, seed=2, dtype="float16")
    inputs = {"x": x, "s": scale, "b": bias}
    got = oracle.results(oracle.model("LayerNormalization", inputs, axis=1, outputs=3), inputs)
    wide = x.astype("float64").reshape(2, -1)
    deviation = np.sqrt(wide.var(1, keepdims=True) + 1e-5)
    middle = ((wide - wide.mean(1, keepdims=True)) / deviation).reshape(x.shape)
    np.testing.assert_allclose(got[0], middle * scale + bias, rtol=4e-3, atol=4e-3)
    assert [r.dtype for r in got] == [np.float16, np.float32, np.float32]
    np.testing.assert_allclose(got[2].reshape(2, 1), 1 / deviation, rtol=1e-5)


def test_rms_norm() -> None:
    x = normal(2, 3, 4)
    for axis, shape in ((-1, (4,)), (1, (3, 4)), (1, (1, 4))):
        scale = normal(*shape, seed=1)
        inputs = {"x": x, "s": scale}
        data = oracle.model("RMSNormalization", inputs, opset=23, axis=axis, epsilon=1e-2)
        axes = tuple(range(axis % 3, 3))
        root = np.sqrt((x.astype("float64") ** 2).mean(axes, keepdims=True) + 1e-2)
        np.testing.assert_allclose(oracle.results(data, inputs)[0], x / root * scale, rtol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 9])
def test_lrn(size: int) -> None:
    x = normal(2, 5, 3, 2)
    data = oracle.model("LRN", {"x": x}, size=size, alpha=0.3, beta=0.6, bias=1.5)
    before, after = (size - 1) // 2, size // 2
    squares = np.stack(
        [(x[:, max(c - before, 0) : c + after + 1] ** 2).sum(1) for c in range(5)], axis=1
    )
    expected = x / (1.5 + 0.3 / size * squares) ** 0.6
    np.testing.assert_allclose(oracle.results(data, {"x": x})[0], expected, rtol=1e-5)
    if size % 2 == 1:  # ONNX Runtime refuses others
        oracle.check("LRN", {"x": x}, size=size, alpha=0.3, beta=0.6, bias=1.5)


def test_a_huge_region_of_lrn_is_all_channels() -> None:
    x = {"x": normal(2, 5, 3)}
    data = [oracle.model("LRN", x, size=size, alpha=float(size)) for size in (11, 2**31 - 1)]
    got, huge = (oracle.results(d, x)[0] for d in data)
    np.testing.assert_allclose(huge, got, rtol=1e-6)


def test_lp_norm_of_zeros_is_zero() -> None:
    x = normal(2, 3, 4)
    x[:, 1] = 0
    for p in (1, 2):
        for axis in (-1, 0, 1):
            data = oracle.model("LpNormalization", {"x": x}, opset=22, p=p, axis=axis)
            norm = np.linalg.norm(x.astype("float64"), p, axis, keepdims=True)
            expected = np.divide(x, norm, out=np.zeros_like(x), where=norm != 0)
            np.testing.assert_allclose(oracle.results(data, {"x": x})[0], expected, rtol=1e-5)


def test_mean_variance_norm() -> None:
    x = normal(2, 3, 4, 5)
    for axes in (None, [0, 2, 3], [1, -1]):
        more: dict[str, Any] = {} if axes is None else {"axes": axes}
        data = oracle.model("MeanVarianceNormalization", {"x": x}, opset=13, **more)
        over = tuple(axes or (0, 2, 3))
        wide = x.astype("float64")
        expected = (wide - wide.mean(over, keepdims=True)) / wide.std(over, keepdims=True)
        np.testing.assert_allclose(
            oracle.results(data, {"x": x})[0], expected, rtol=1e-4, atol=1e-5
        )


def test_norms_of_any_size() -> None:
    x = normal(2, 4, 3, 5)
    constants = {"s": normal(4, seed=1), "b": normal(4, seed=2)}
    data = oracle.model(
        "InstanceNormalization", {"x": x}, constants=constants, dims={"x": ["n", 4, "h", "w"]}
    )
    network = tn.compile(oracle.load(data))
    for shape in ((2, 4, 3, 5), (1, 4, 6, 2)):
        x = normal(*shape)
        oracle.compare([np.asarray(network(x))], oracle.expected(data, {"x": x}), 1e-4, 1e-5)


@pytest.mark.parametrize(
    ("op", "shapes", "attributes", "error", "message"),
    [
        (
            "BatchNormalization",
            [(2, 3), (3,), (3,), (2,), (3,)],
            {},
            tn.ModelError,
            "input 3 should have one element for each channel",
        ),
        ("BatchNormalization", [()] + [(3,)] * 4, {}, tn.ModelError, "got a scalar"),
        (
            "GroupNormalization",
            [(2, 4, 3), (4,), (4,)],
            {"num_groups": 3},
            tn.ModelError,
            "3 groups do not divide 4 channels",
        ),
        (
            "GroupNormalization",
            [(2, 4, 3), (4,), (4,)],
            {"num_groups": 0},
            tn.ModelError,
            "0 groups do not divide",
        ),
        (
            "LayerNormalization",
            [(2, 3), (3,)],
            {"axis": 2},
            tn.ModelError,
            "axis 2 is out of range",
        ),
        ("LayerNormalization", [(2, 3), (5, 2, 3)], {}, tn.ModelError, "larger than the input"),
        ("LayerNormalization", [(2, 3), (4,)], {}, tn.ShapeError, "cannot be broadcast"),
        ("LpNormalization", [(2, 3)], {"p": 3}, tn.ModelError, "p = 3 should be 1 or 2"),
        ("LRN", [(2, 3, 4)], {"size": 0}, tn.ModelError, "size = 0 should be at least 1"),
        ("LRN", [(2,)], {"size": 1}, tn.ModelError, "expected an input"),
        ("MeanVarianceNormalization", [(2, 3)], {}, tn.ModelError, "axis 2 is out of range"),
    ],
)
def test_nodes_that_cannot_be(
    op: str, shapes: list[Any], attributes: dict[str, Any], error: type, message: str
) -> None:
    inputs = {f"x{i}": positive(*shape) for i, shape in enumerate(shapes)}
    with pytest.raises(error, match=message):
        tn.compile(oracle.load(oracle.model(op, inputs, **attributes)))
    if op == "BatchNormalization":
        good = {f"x{i}": positive(*(2, 3) if i == 0 else (3,)) for i in range(5)}
        with pytest.raises(tn.UnsupportedError, match="training before opset 14"):
            tn.compile(oracle.load(oracle.model(op, good, outputs=3, opset=9)))
