"""Pooling, transposed convolutions and batch normalisation against NumPy."""

import itertools

import numpy as np
import pytest

import tenon as tn
from tenon import nn
from tenon.nn import functional as f


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def windows(x, window, strides, padding, dilations, fill):
    """Return the elements of each window, [n, out..., elements, c], float64."""
    rank = x.ndim - 2
    x = np.pad(x.astype(np.float64), [(0, 0), *padding, (0, 0)], constant_values=fill)
    out = [
        (x.shape[d + 1] - (window[d] - 1) * dilations[d] - 1) // strides[d] + 1 for d in range(rank)
    ]
    parts = []
    for k in itertools.product(*map(range, window)):
        at = tuple(
            slice(
                k[d] * dilations[d], k[d] * dilations[d] + (out[d] - 1) * strides[d] + 1, strides[d]
            )
            for d in range(rank)
        )
        parts.append(x[(slice(None), *at)])
    return np.stack(parts, axis=-2)


POOLS = {
    "2x2": ((2, 8, 9, 5), (2, 2), (2, 2), (0, 0), (1, 1)),
    "3x3 with padding": ((1, 9, 11, 70), (3, 3), (2, 2), (1, 1), (1, 1)),
    "overlapping": ((1, 5, 40, 16), (3, 3), (1, 1), (1, 1), (1, 1)),
    "dilation": ((1, 9, 9, 3), (2, 3), (1, 2), (1, 2), (3, 2)),
    "one pixel": ((2, 1, 1, 4), (3, 3), (1, 1), (1, 1), (1, 1)),
    "no image": ((0, 4, 4, 4), (2, 2), (2, 2), (0, 0), (1, 1)),
    "line": ((2, 13, 6), (4,), (3,), (2,), (1,)),
    "volume": ((1, 4, 5, 6, 3), (2, 2, 3), (2, 1, 3), (0, 1, 1), (1, 1, 1)),
}


@pytest.mark.parametrize("name", POOLS)
def test_max_pool(name):
    shape, window, stride, padding, dilation = POOLS[name]
    x = random(*shape)
    pool = {1: f.max_pool1d, 2: f.max_pool2d, 3: f.max_pool3d}[len(window)]
    pairs = [(p, p) for p in padding]
    got = tn.compile(lambda x: pool(x, window, stride, padding, dilation), [x])(x)
    expected = windows(x, window, stride, pairs, dilation, -np.inf).max(axis=-2)
    np.testing.assert_array_equal(np.asarray(got), expected.astype(np.float32))


@pytest.mark.parametrize("count_padding", [True, False])
@pytest.mark.parametrize("name", [n for n in POOLS if n != "dilation"])
def test_avg_pool(name, count_padding):
    shape, window, stride, padding, _ = POOLS[name]
    x = random(*shape)
    pool = {1: f.avg_pool1d, 2: f.avg_pool2d, 3: f.avg_pool3d}[len(window)]
    pairs, ones = [(p, p) for p in padding], (1,) * len(window)
    got = tn.compile(lambda x: pool(x, window, stride, padding, count_padding), [x])(x)
    total = windows(x, window, stride, pairs, ones, 0).sum(axis=-2)
    inside = windows(np.ones_like(x), window, stride, pairs, ones, 0).sum(axis=-2)
    expected = total / (np.prod(window) if count_padding else inside)
    np.testing.assert_allclose(np.asarray(got), expected, rtol=1e-5, atol=1e-6)


def test_max_pool_of_integers_and_nan():
    x = np.arange(24, dtype=np.int32).reshape(1, 2, 3, 4) - 12
    got = tn.compile(lambda x: f.max_pool2d(x, 2, 1, 1), [x])(x)
    expected = windows(x, (2, 2), (1, 1), [(1, 1)] * 2, (1, 1), -1000).max(axis=-2)
    np.testing.assert_array_equal(np.asarray(got), expected.astype(np.int32))
    y = np.zeros((1, 1, 4, 1), np.float32)
    y[0, 0, 1] = np.nan
    got = np.asarray(tn.compile(lambda x: f.max_pool2d(x, (1, 2)), [y])(y)).ravel()
    assert np.isnan(got[0])
    assert got[1] == 0


def test_global_average_and_modules():
    x = random(2, 7, 7, 20)
    network = nn.Sequential(nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(2), nn.GlobalAvgPool())
    got = np.asarray(tn.compile(network, [x])(x))
    pooled = windows(x, (3, 3), (2, 2), [(1, 1)] * 2, (1, 1), -np.inf).max(axis=-2)
    pooled = windows(pooled, (2, 2), (2, 2), [(0, 0)] * 2, (1, 1), 0).mean(axis=-2)
    np.testing.assert_allclose(got, pooled.mean(axis=(1, 2)), rtol=1e-5, atol=1e-6)


def transposed(x, w, strides, padding, more, dilations, groups):
    """Add each pixel's window to the result, in float64."""
    rank = x.ndim - 2
    full = [
        (x.shape[d + 1] - 1) * strides[d] + (w.shape[d] - 1) * dilations[d] + 1 + more[d]
        for d in range(rank)
    ]
    y = np.zeros((x.shape[0], *full, w.shape[-1]))
    per_in, per_out = x.shape[-1] // groups, w.shape[-1] // groups
    for k in itertools.product(*map(range, w.shape[:rank])):
        at = tuple(
            slice(k[d] * dilations[d], k[d] * dilations[d] + (n - 1) * strides[d] + 1, strides[d])
            for d, n in enumerate(x.shape[1:-1])
        )
        for g in range(groups):
            columns = slice(g * per_out, (g + 1) * per_out)
            inputs = x[..., g * per_in : (g + 1) * per_in].astype(np.float64)
            y[(slice(None), *at, columns)] += inputs @ w[k][:, columns]
    return y[(slice(None), *(slice(p, n - p) for p, n in zip(padding, full, strict=True)))]


TRANSPOSED = {
    "stride 2": ((2, 5, 9, 8), (4, 4, 8, 40), (2, 2), (1, 1), (0, 0), (1, 1), 1),
    "stride 3, more at the end": ((1, 4, 6, 5), (3, 2, 5, 7), (3, 3), (0, 1), (1, 2), (1, 1), 1),
    "stride 1": ((1, 5, 6, 4), (3, 3, 4, 16), (1, 1), (1, 0), (0, 0), (1, 1), 1),
    "dilation and groups": ((1, 4, 7, 4), (3, 3, 2, 6), (2, 1), (1, 2), (0, 0), (2, 3), 2),
    "line": ((1, 30, 3), (5, 3, 16), (2,), (2,), (1,), (1,), 1),
    "volume": ((1, 2, 3, 4, 2), (2, 2, 3, 2, 5), (2, 1, 2), (0, 0, 1), (0, 0, 0), (1, 1, 1), 1),
}


@pytest.mark.parametrize("name", TRANSPOSED)
def test_transposed_convolution(name):
    x_shape, w_shape, strides, padding, more, dilations, groups = TRANSPOSED[name]
    x, w = random(*x_shape), random(*w_shape, seed=1)
    rank = len(strides)
    conv = {1: f.conv_transpose1d, 2: f.conv_transpose2d, 3: f.conv_transpose3d}[rank]

    def network(x, w):
        return conv(x, w, None, strides, padding, more, dilations, groups)

    expected = transposed(x, w, strides, padding, more, dilations, groups)
    got = np.asarray(tn.compile(lambda x: network(x, w), [x])(x))
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(np.asarray(tn.compile(network, [x, w])(x, w)), got)


def test_transposed_convolution_modules():
    module = nn.ConvTranspose2d(3, 4, 2, stride=2)
    module.load_state_dict({"weight": random(2, 2, 3, 4), "bias": random(4, seed=1)})
    x = random(1, 3, 3, 3)
    expected = transposed(x, module.weight.data, (2, 2), (0, 0), (0, 0), (1, 1), 1)
    np.testing.assert_allclose(
        np.asarray(tn.compile(module, [x])(x)), expected + module.bias.data, rtol=1e-4, atol=1e-5
    )


def norm_reference(x, mean, variance, weight, bias, eps=1e-5):
    return (x.astype(np.float64) - mean) / np.sqrt(variance + eps) * weight + bias


def norm_arrays(channels):
    mean, weight, bias = (random(channels, seed=s) for s in (1, 2, 3))
    return mean, np.abs(random(channels, seed=4)) + np.float32(0.1), weight, bias


def test_batch_norm():
    x, arrays = random(2, 3, 4, 10), norm_arrays(10)
    got = np.asarray(tn.compile(lambda x: f.batch_norm(x, *arrays), [x])(x))
    np.testing.assert_allclose(got, norm_reference(x, *arrays), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bias", [None, random(12, seed=9)])
@pytest.mark.parametrize("kind", ["conv", "conv_transpose", "linear"])
def test_batch_norm_is_folded_into_weights(kind, bias):
    x, arrays = random(1, 5, 6, 8), norm_arrays(12)
    w = random(12, 8) if kind == "linear" else random(3, 3, 8, 12)
    product = {"conv": f.conv2d, "conv_transpose": f.conv_transpose2d, "linear": f.linear}[kind]
    network = tn.compile(lambda x: f.relu(f.batch_norm(product(x, w, bias), *arrays)), [x])
    assert network.num_kernels == 1
    assert f"{kind}_add_relu" in network.report()
    assert "which changes roundings: 1 batch_norm" in network.report()
    plain = np.asarray(tn.compile(lambda x: product(x, w, bias), [x])(x))
    expected = np.maximum(norm_reference(plain, *arrays), 0)
    np.testing.assert_allclose(np.asarray(network(x)), expected, rtol=1e-3, atol=1e-4)


def test_batch_norm_of_a_batch():
    x, (_, _, weight, bias) = random(4, 5, 6, 10), norm_arrays(10)
    y, mean, variance = tn.compile(lambda x: f.batch_norm_of_batch(x, weight, bias), [x])(x)
    wide = x.astype(np.float64)
    np.testing.assert_allclose(np.asarray(mean), wide.mean((0, 1, 2)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.asarray(variance), wide.var((0, 1, 2)), rtol=1e-4, atol=1e-5)
    expected = norm_reference(x, wide.mean((0, 1, 2)), wide.var((0, 1, 2)), weight, bias)
    np.testing.assert_allclose(np.asarray(y), expected, rtol=1e-3, atol=1e-4)


X = random(1, 4, 5, 6)
REFUSED = [
    (lambda x: f.max_pool1d(x, 2), r"max_pool1d of .*expected 3 axes.*E0446"),
    (lambda x: f.max_pool2d(x, 2, padding=2), r"padding 2 along axis 1 .*span of 2.*E0443"),
    (lambda x: f.avg_pool2d(x, 7), r"spans 7 elements along axis 1, which has 4.*E0440"),
    (lambda x: f.avg_pool2d(x, 0), r"window \[0, 0\] should be 2 positive.*E0438"),
    (
        lambda x: f.conv_transpose2d(x, random(2, 2, 6, 3), output_padding=1),
        r"output_padding should be .* less than its stride.*E0445",
    ),
    (
        lambda x: f.conv_transpose2d(x, random(1, 1, 6, 3), padding=3),
        r"padding takes more than there is along axis 1.*E0440",
    ),
    (lambda x: f.batch_norm(x, *norm_arrays(5)), r"should have the size of x's last axis.*E0444"),
    (lambda x: f.batch_norm_of_batch(x[0, 0, 0], X[0, 0, 0], X[0, 0, 0]), r"at least 2.*E0447"),
]


@pytest.mark.parametrize(("function", "message"), REFUSED)
def test_refused(function, message):
    with pytest.raises(tn.ShapeError, match=message):
        tn.compile(function, [X])


def test_refused_dtypes():
    with pytest.raises(tn.DTypeError, match=r"avg_pool of .*expected floats, got int32.*E0536"):
        tn.compile(lambda x: f.avg_pool2d(x, 2), [X.astype(np.int32)])
    with pytest.raises(tn.DTypeError, match=r"max_pool of .*expected numbers, got bool.*E0536"):
        tn.compile(lambda x: f.max_pool2d(x, 2), [X > 0])
    wide = [a.astype(np.float64) for a in norm_arrays(6)]
    with pytest.raises(tn.DTypeError, match=r"all operands should have one dtype.*E0537"):
        tn.compile(lambda x: f.batch_norm(x, *wide), [X])
