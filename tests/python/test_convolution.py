"""Convolutions of networks against loops over the window in NumPy."""

import itertools

import numpy as np
import pytest

import tenon as tn
from tenon import nn
from tenon.nn import functional as f


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def reference(x, w, strides, padding, dilations, groups):
    """Add up, in float64, the products of each window element; padding is (before, after) pairs."""
    rank = x.ndim - 2
    x = np.pad(x.astype(np.float64), [(0, 0), *padding, (0, 0)])
    w = w.astype(np.float64)
    out = [
        (size - (k - 1) * d - 1) // s + 1
        for size, k, d, s in zip(x.shape[1:-1], w.shape[:rank], dilations, strides, strict=True)
    ]
    y = np.zeros((x.shape[0], *out, w.shape[-1]))
    per_in, per_out = x.shape[-1] // groups, w.shape[-1] // groups
    for k in itertools.product(*map(range, w.shape[:rank])):
        at = tuple(
            slice(
                k[i] * dilations[i], k[i] * dilations[i] + (out[i] - 1) * strides[i] + 1, strides[i]
            )
            for i in range(rank)
        )
        for g in range(groups):
            inputs = x[(slice(None), *at, slice(g * per_in, (g + 1) * per_in))]
            columns = slice(g * per_out, (g + 1) * per_out)
            y[..., columns] += inputs @ w[k][:, columns]
    return y


CASES = {
    "3x3": ((2, 9, 13, 5), (3, 3, 5, 70), {"padding": 1}),
    "a row of the tile is the image": ((1, 7, 7, 16), (3, 3, 16, 64), {"padding": 1}),
    "many tiles": ((1, 4, 61, 3), (3, 3, 3, 33), {"padding": 1}),
    "stem": ((1, 30, 34, 3), (7, 7, 3, 16), {"stride": 2, "padding": 3}),
    "stride": ((1, 15, 14, 8), (3, 3, 8, 40), {"stride": 2, "padding": 1}),
    "stride beyond the window": ((1, 11, 17, 4), (2, 2, 4, 8), {"stride": (3, 5)}),
    "dilation": ((1, 12, 19, 4), (3, 3, 4, 16), {"dilation": (2, 3), "padding": (2, 3)}),
    "one pixel": ((3, 1, 1, 6), (3, 3, 6, 9), {"padding": 1}),
    "window larger than the image": ((1, 2, 3, 4), (5, 7, 4, 8), {"padding": (2, 3)}),
    "padding larger than the window": ((1, 3, 4, 2), (2, 2, 2, 8), {"padding": 4}),
    "uneven padding": ((1, 6, 7, 3), (4, 2, 3, 5), {"padding": [(0, 3), (1, 0)]}),
    "same": ((1, 6, 9, 3), (4, 3, 3, 5), {"padding": "same"}),
    "pointwise": ((2, 5, 7, 20), (1, 1, 20, 70), {}),
    "pointwise with stride": ((1, 9, 8, 20), (1, 1, 20, 30), {"stride": 2}),
    "groups": ((1, 8, 9, 12), (3, 3, 4, 24), {"groups": 3, "padding": 1}),
    "groups of panels": ((1, 5, 15, 32), (3, 3, 16, 128), {"groups": 2, "padding": 1}),
    "depthwise": ((2, 9, 17, 40), (3, 3, 1, 40), {"groups": 40, "padding": 1}),
    "depthwise, several for each": ((1, 7, 9, 6), (3, 3, 1, 12), {"groups": 6, "stride": 2}),
    "one channel": ((1, 8, 8, 1), (5, 5, 1, 1), {"padding": 2}),
    "no image": ((0, 8, 8, 4), (3, 3, 4, 8), {"padding": 1}),
    "line": ((2, 37, 5), (4, 5, 24), {"stride": 2, "padding": (2,)}),
    "volume": ((1, 4, 5, 6, 3), (2, 3, 3, 3, 10), {"padding": 1, "stride": (1, 2, 1)}),
}


def as_pairs(padding, spans):
    if padding == "same":
        return [((s - 1) // 2, s // 2) for s in spans]
    if isinstance(padding, int):
        return [(padding, padding)] * len(spans)
    return [p if isinstance(p, tuple) else (p, p) for p in padding]


@pytest.mark.parametrize("name", CASES)
def test_convolution(name):
    x_shape, w_shape, options = CASES[name]
    rank = len(x_shape) - 2
    x, w, bias = random(*x_shape), random(*w_shape, seed=1), random(w_shape[-1], seed=2)
    strides, dilations = (
        (value,) * rank if isinstance(value, int) else value
        for value in (options.get("stride", 1), options.get("dilation", 1))
    )
    spans = [(k - 1) * d + 1 for k, d in zip(w_shape, dilations, strict=False)]
    padding = as_pairs(options.get("padding", 0), spans)
    groups = options.get("groups", 1)
    expected = np.maximum(reference(x, w, strides, padding, dilations, groups) + bias, 0)
    conv = {1: f.conv1d, 2: f.conv2d, 3: f.conv3d}[rank]
    constant = tn.compile(lambda x: f.relu(conv(x, w, bias, **options)), [x])
    given = tn.compile(lambda x, w, b: f.relu(conv(x, w, b, **options)), [x, w, bias])
    y = np.asarray(constant(x))
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(np.asarray(given(x, w, bias)), y)
    assert constant.num_kernels == 1


def test_a_residual_joins_the_kernel():
    x, w, bias = random(1, 6, 7, 16), random(3, 3, 16, 16, seed=1), random(16, seed=2)
    network = tn.compile(lambda x: f.relu(f.conv2d(x, w, bias, padding=1) + x), [x])
    expected = reference(x, w, (1, 1), [(1, 1)] * 2, (1, 1), 1) + bias + x
    np.testing.assert_allclose(
        np.asarray(network(x)), np.maximum(expected, 0), rtol=1e-4, atol=1e-4
    )
    assert network.num_kernels == 1
    assert "conv_add_add_relu" in network.report()


def test_any_batch_and_image_size():
    module = nn.Conv2d(5, 12, 3, stride=2, padding=1)
    module.load_state_dict({"weight": random(3, 3, 5, 12), "bias": random(12, seed=1)})
    network = tn.compile(module, [tn.TensorSpec(["n", "h", "w", 5], name="x")])
    w, bias = module.weight.data, module.bias.data
    for n, height, width in ((0, 4, 4), (1, 1, 1), (2, 9, 30), (3, 5, 2)):
        x = random(n, height, width, 5, seed=height)
        expected = reference(x, w, (2, 2), [(1, 1)] * 2, (1, 1), 1) + bias
        np.testing.assert_allclose(np.asarray(network(x)), expected, rtol=1e-4, atol=1e-4)


def test_bits_do_not_depend_on_batch_threads_or_cpu():
    x, w = random(3, 9, 16, 24), random(3, 3, 24, 96, seed=1)

    def conv(x):
        return f.conv2d(x, w, padding=1)

    y = np.asarray(tn.compile(conv, [x])(x))
    alone = tn.compile(conv, [x[:1]])
    old = tn.compile(conv, [x], target="cpu -mcpu=x86-64-v3")
    for threads in (1, 2):
        with_threads = tn.config.threads
        tn.config.threads = threads
        np.testing.assert_array_equal(np.asarray(alone(x[1:2])), y[1:2])
        np.testing.assert_array_equal(np.asarray(old(x)), y)
        tn.config.threads = with_threads


def test_padding_is_no_term_of_the_sum():
    """A product with an infinite weight is left out, where zeros for padding would give NaN."""
    x, w = np.ones((1, 1, 2, 1), np.float32), np.ones((1, 3, 1, 1), np.float32)
    w[0, 0] = np.inf
    y = np.asarray(tn.compile(lambda x: f.conv2d(x, w, padding=(0, 1)), [x])(x))
    np.testing.assert_array_equal(y.ravel(), np.array([2, np.inf], np.float32))


def test_modules_of_each_rank():
    for rank, conv in ((1, nn.Conv1d), (2, nn.Conv2d), (3, nn.Conv3d)):
        module = conv(4, 6, 3, padding="same", bias=False)
        module.load_state_dict({"weight": random(*(3,) * rank, 4, 6)})
        x = random(1, *(5,) * rank, 4)
        y = np.asarray(tn.compile(module, [x])(x))
        expected = reference(x, module.weight.data, (1,) * rank, [(1, 1)] * rank, (1,) * rank, 1)
        np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)


X, W = random(1, 8, 9, 6), random(3, 3, 6, 8)
REFUSED = [
    (lambda x: f.conv2d(x, random(3, 6, 8)), r"both should have 4 axes.*E0442"),
    (lambda x: f.conv2d(x, random(3, 3, 5, 8)), r"5 channels of the weight in 1 group.*6.*E0436"),
    (lambda x: f.conv2d(x, W, groups=4), r"4 groups should divide both 6.* 8 output.*E0437"),
    (lambda x: f.conv2d(x, W, groups=0), r"0 groups should divide.*E0437"),
    (lambda x: f.conv2d(x, W, stride=0), r"strides \[0, 0\] should be 2 positive.*E0438"),
    (lambda x: f.conv2d(x, W, dilation=(1, -1)), r"dilations \[1, -1\] should be.*E0438"),
    (lambda x: f.conv2d(x, random(0, 3, 6, 8)), r"window \[0, 3\] should be.*E0438"),
    (lambda x: f.conv2d(x, W, padding=-1), r"padding \[-1, -1, -1, -1\] should be 4.*E0439"),
    (lambda x: f.conv2d(x, random(11, 3, 6, 8), padding=1), r"spans 11 .*axis 1.* has 10.*E0440"),
    (lambda x: f.conv2d(x, W, stride=(1, 2, 3)), r"stride \(1, 2, 3\) should be.*2 axes.*E0441"),
    (lambda x: f.conv2d(x, W, stride=2, padding="same"), r"'same' goes with stride 1.*E0441"),
    (lambda x: f.conv2d(x, W, padding="full"), r"padding 'full' should be.*E0441"),
    (lambda x: f.conv2d(x, W, padding=2**40), r"padding 1099511627776 should be.*32 bits.*E0441"),
    (lambda x: f.conv2d(x, W, stride=1.5), r"stride 1\.5 should be an integer.*E0441"),
]


@pytest.mark.parametrize(("function", "message"), REFUSED)
def test_refused(function, message):
    with pytest.raises(tn.ShapeError, match=message):
        tn.compile(function, [X])


def test_refused_symbolic_sizes():
    """Channels and windows are constant; other sizes may be symbols."""
    x, w = tn.TensorSpec([1, 8, 9, "c"], name="x"), tn.TensorSpec([3, "k", 6, 8], name="w")
    with pytest.raises(tn.ShapeError, match=r"number of x's channels .* constant.*E0436"):
        tn.compile(lambda x: f.conv2d(x, W), [x])
    with pytest.raises(tn.ShapeError, match=r"axis 1 of the weight has no constant size.*E0435"):
        tn.compile(lambda x, w: f.conv2d(x, w), [X, w])


def test_refused_dtypes():
    with pytest.raises(tn.DTypeError, match=r"conv of .*expected floats of one dtype.*E0535"):
        tn.compile(lambda x: f.conv2d(x, W.astype(np.float64)), [X])
    with pytest.raises(tn.DTypeError, match=r"conv of .*E0535"):
        tn.compile(lambda x: f.conv2d(x, W.astype(np.int32)), [X.astype(np.int32)])
