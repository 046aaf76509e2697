"""Reverse and forward mode against central differences, in float64."""

import numpy as np
import pytest
from derivatives import check, interpret

from tenon import te

RNG = np.random.default_rng(7)


def normal(*shape):
    return RNG.normal(size=shape)


def positive(*shape):
    return RNG.uniform(0.2, 3, size=shape)


def pointwise(f):
    return lambda *x: te.compute(x[0].shape, lambda *i: f(*(t[i] for t in x)), name="y")


WIDE = np.array([-3.3, -1.7, -0.4, 0.3, 0.8, 2.6])
POSITIVE = np.array([0.15, 0.7, 1.4, 2.9, 5.0, 9.1])

FUNCTIONS = {
    "exp": (te.exp, WIDE),
    "log": (te.log, POSITIVE),
    "sqrt": (te.sqrt, POSITIVE),
    "rsqrt": (te.rsqrt, POSITIVE),
    "tanh": (te.tanh, WIDE),
    "erf": (te.erf, WIDE),
    "sigmoid": (te.sigmoid, WIDE),
    "sin": (te.sin, WIDE),
    "cos": (te.cos, WIDE),
    "gelu": (te.gelu, WIDE),
    "gelu_tanh": (lambda x: te.gelu(x, "tanh"), WIDE),
    "softplus": (te.softplus, WIDE),
    "abs": (te.abs, WIDE),
    "neg": (lambda x: -x, WIDE),
    "square": (lambda x: te.pow(x, 2.0), WIDE),
    "cube": (lambda x: x * x * x, WIDE),
    "pow_const": (lambda x: te.pow(x, 1.7), POSITIVE),
    "pow_exponent": (lambda x: te.pow(te.const(2.5, "float64"), x), WIDE),
    "reciprocal": (lambda x: 1.0 / x, WIDE),
    "inner_exp": (lambda x: te.sin(te.exp(x) * x) + x, WIDE),
    "select": (lambda x: te.select(x > 0, x * x, te.exp(x)), WIDE),
    "floor": (lambda x: te.floor(x) * x, WIDE),
    "round_trip": (lambda x: te.cast(te.cast(x, "float32"), "float64") * x, WIDE),
    "minimum": (lambda x: te.minimum(x * x, 2.0), WIDE),
    "maximum": (lambda x: te.maximum(0.5, x), WIDE),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name):
    f, values = FUNCTIONS[name]
    # A cast to float32 has steps of its own size, and rounds what passes it in both modes.
    loose = {"step": 1e-2, "tolerance": 1e-4, "agreement": 1e-6} if name == "round_trip" else {}
    check(pointwise(f), values.copy(), **loose)


BINARY = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "pow": te.pow,
    "minimum": te.minimum,
    "maximum": te.maximum,
    "select": lambda x, y: te.select(x < y, x * y, y),
    "shared": lambda x, y: te.exp(x * y) / (x * y + 1),
}


@pytest.mark.parametrize("name", BINARY)
def test_functions_of_two(name):
    check(pointwise(BINARY[name]), positive(3, 4), positive(3, 4))


def index(i):
    """An index as a value."""
    return te.cast(i, "float64")


def reduce_rows(f):
    def make(x):
        k = te.reduce_axis(x.shape[1], "k")
        return te.compute((x.shape[0],), lambda i: f(x, i, k), name="y")

    return make


def prod_of_triangle(x):
    def element(i):
        k = te.reduce_axis((0, i + 1), "k")
        return te.prod(x[i - k] * te.sin(x[k]), axis=k, where=k % 4 != 2)

    return te.compute(x.shape, element, name="y")


def prod_over_two_axes(x):
    k, m = te.reduce_axis(x.shape[2], "k"), te.reduce_axis(x.shape[1], "m")
    return te.compute(
        (x.shape[0],), lambda i: te.prod(x[i, m, k], axis=[k, m], where=k + m >= 1), name="y"
    )


def matmul(a, b):
    k = te.reduce_axis(a.shape[1], "k")
    return te.compute(
        (a.shape[0], b.shape[1]), lambda i, j: te.sum(a[i, k] * b[k, j], axis=k), name="C"
    )


def batched_matmul(a, b):
    k = te.reduce_axis(a.shape[2], "k")
    return te.compute(
        (a.shape[0], a.shape[1], b.shape[1]),
        lambda n, i, j: te.sum(a[n, i, k] * b[k, j], axis=k),
        name="C",
    )


def conv1d(stride, dilation, padding):
    def make(x, w):
        n, length, c = x.shape
        r, _, k = w.shape
        out = (length + 2 * padding - dilation * (r - 1) - 1) // stride + 1
        ra, ca = te.reduce_axis(r, "r"), te.reduce_axis(c, "c")

        def element(b, o, f):
            at = stride * o + dilation * ra - padding
            inside = te.all(at >= 0, at < length)
            return te.sum(x[b, at, ca] * w[ra, ca, f], axis=[ra, ca], where=inside)

        return te.compute((n, out, k), element, name="Y")

    return make


def conv2d(stride, dilation, padding):
    def make(x, w):
        n, height, width, c = x.shape
        r, s, _, k = w.shape
        oh = (height + 2 * padding - dilation * (r - 1) - 1) // stride + 1
        ow = (width + 2 * padding - dilation * (s - 1) - 1) // stride + 1
        ra, sa, ca = te.reduce_axis(r, "r"), te.reduce_axis(s, "s"), te.reduce_axis(c, "c")

        def element(b, h, v, f):
            y, z = stride * h + dilation * ra - padding, stride * v + dilation * sa - padding
            inside = te.all(y >= 0, y < height, z >= 0, z < width)
            return te.sum(x[b, y, z, ca] * w[ra, sa, ca, f], axis=[ra, sa, ca], where=inside)

        return te.compute((n, oh, ow, k), element, name="Y")

    return make


def pool(reduce, window, stride):
    def make(x):
        n, h, w = x.shape
        r, s = te.reduce_axis(window, "r"), te.reduce_axis(window, "s")
        shape = (n, (h - window) // stride + 1, (w - window) // stride + 1)
        return te.compute(
            shape,
            lambda b, i, j: reduce(x[b, stride * i + r, stride * j + s], axis=[r, s]),
            name="Y",
        )

    return make


def softmax(x):
    rows, n = x.shape
    k, m = te.reduce_axis(n, "k"), te.reduce_axis(n, "m")
    top = te.compute((rows,), lambda i: te.max(x[i, k], axis=k), name="top")
    e = te.compute((rows, n), lambda i, j: te.exp(x[i, j] - top[i]), name="e")
    total = te.compute((rows,), lambda i: te.sum(e[i, m], axis=m), name="total")
    return te.compute((rows, n), lambda i, j: e[i, j] / total[i], name="y")


def layer_norm(x, gamma, beta):
    rows, n = x.shape
    k, m = te.reduce_axis(n, "k"), te.reduce_axis(n, "m")
    mean = te.compute((rows,), lambda i: te.sum(x[i, k], axis=k) / n, name="mean")
    var = te.compute(
        (rows,), lambda i: te.sum((x[i, m] - mean[i]) * (x[i, m] - mean[i]), axis=m) / n, name="var"
    )
    return te.compute(
        (rows, n),
        lambda i, j: (x[i, j] - mean[i]) * te.rsqrt(var[i] + 1e-5) * gamma[j] + beta[j],
        name="y",
    )


def log_sum_exp(x):
    k = te.reduce_axis(x.shape[1], "k")
    return te.compute(
        (x.shape[0],), lambda i: te.log(te.sum(te.exp(x[i, k]), axis=k)) * x[i, 0], name="y"
    )


def prefix_sums(x):
    n = x.shape[0]

    def element(i):
        k = te.reduce_axis((0, i + 1), "k")
        return te.sum(x[k] * x[i], axis=k)

    return te.compute((n,), element, name="y")


def triangle(a, b):
    """A reduction whose domain depends on an axis, and reads of both."""
    n = a.shape[0]

    def element(i, j):
        k = te.reduce_axis((i, n - i), "k")
        return te.sum(a[i, k] * b[k, j], axis=k)

    return te.compute((n, b.shape[1]), element, name="y")


def nested_reductions(x):
    k, m = te.reduce_axis(x.shape[1], "k"), te.reduce_axis(x.shape[0], "m")
    return te.compute(
        (x.shape[1],),
        lambda j: te.sum(te.exp(x[m, j]) / te.sum(te.exp(x[m, k]), axis=k), axis=m),
        name="y",
    )


def reduction(shape, extent, f):
    """A tensor whose element uses one reduction axis, given after the inputs."""

    def make(*x):
        k = te.reduce_axis(extent, "k")
        return te.compute(shape, lambda *i: f(*x, k, *i), name="y")

    return make


def weighted_rows(x, w, at):
    """A sum over positions that read rows of a table."""
    k = te.reduce_axis(at.shape[0], "k")
    return te.compute(
        (w.shape[0], x.shape[1]), lambda i, j: te.sum(x[at[k], j] * w[i, k], axis=k), name="y"
    )


def ragged(x, at, start):
    """A reduction whose domain depends on an axis, over places that data decide."""

    def element(i):
        k = te.reduce_axis((i, at.shape[0] - i), "k")
        return te.sum(x[at[k]] * x[at[k]], axis=k, where=start[i] <= k)

    return te.compute((at.shape[0],), element, name="y")


def scatter(mode):
    return lambda x, at, updates: te.scatter(x, [at], updates, mode=mode)


def scatter_of_products(x, at, updates):
    u = te.compute(updates.shape, lambda i, j: updates[i, j] * x[i, j], name="u")
    y = te.scatter(x, [at], u, mode="add")
    return te.compute(x.shape, lambda i, j: te.exp(y[i, j]) * x[i, j], name="y")


def element(shape, f):
    return lambda *x: te.compute(shape, lambda *i: f(x, *i), name="y")


TENSORS = {
    "sum": (reduce_rows(lambda x, i, k: te.sum(x[i, k] * x[i, k], axis=k)), normal(3, 5)),
    "sum_inside": (reduce_rows(lambda x, i, k: te.sqrt(te.sum(x[i, k], axis=k))), positive(3, 5)),
    "sum_where": (
        reduce_rows(lambda x, i, k: te.sum(te.exp(x[i, k]), axis=k, where=k >= i)),
        normal(3, 5),
    ),
    "prod": (reduce_rows(lambda x, i, k: te.prod(x[i, k], axis=k)), normal(3, 5)),
    "prod_of_many": (reduce_rows(lambda x, i, k: te.prod(x[i, k], axis=k)), positive(3, 20)),
    "prod_of_a_triangle": (prod_of_triangle, positive(12)),
    "prod_over_two_axes": (prod_over_two_axes, positive(3, 4, 5)),
    "prod_of_zeros": (
        reduce_rows(lambda x, i, k: te.prod(x[i, k], axis=k)),
        normal(3, 4) * np.array([[1, 0, 1, 1], [0, 1, 1, 0], [1, 1, 1, 1]]),
    ),
    "min": (reduce_rows(lambda x, i, k: te.min(x[i, k], axis=k)), normal(3, 5)),
    "max": (reduce_rows(lambda x, i, k: te.max(x[i, k] * x[i, k], axis=k)), normal(3, 5)),
    "max_where": (
        reduce_rows(lambda x, i, k: te.max(x[i, k], axis=k, where=k > i)),
        normal(3, 5),
    ),
    "max_inside": (reduce_rows(lambda x, i, k: te.exp(te.max(x[i, k], axis=k))), normal(3, 5)),
    "matmul": (matmul, normal(4, 6), normal(6, 5)),
    "batched_matmul": (batched_matmul, normal(2, 3, 4), normal(4, 5)),
    "gram": (lambda a: matmul(a, te.compute((5, 3), lambda i, j: a[j, i], name="t")), normal(3, 5)),
    "gram_in_one": (
        reduction((3, 3), 5, lambda a, k, i, j: te.sum(a[i, k] * a[j, k], axis=k)),
        normal(3, 5),
    ),
    "conv1d": (conv1d(1, 1, 0), normal(2, 7, 2), normal(3, 2, 3)),
    "conv1d_padded": (conv1d(1, 1, 1), normal(2, 7, 2), normal(3, 2, 3)),
    "conv1d_strided": (conv1d(2, 1, 1), normal(1, 8, 2), normal(3, 2, 2)),
    "conv1d_stride_3": (conv1d(3, 1, 2), normal(1, 11, 1), normal(5, 1, 2)),
    "conv1d_wide_stride": (conv1d(3, 1, 0), normal(1, 11, 1), normal(2, 1, 2)),
    "conv1d_dilated": (conv1d(1, 2, 2), normal(1, 9, 1), normal(3, 1, 2)),
    "conv1d_dilated_strided": (conv1d(2, 3, 3), normal(1, 12, 1), normal(3, 1, 2)),
    "conv1d_common_factor": (conv1d(2, 2, 1), normal(1, 12, 1), normal(3, 1, 2)),
    "conv1d_factor_of_stride": (conv1d(4, 2, 1), normal(1, 14, 1), normal(4, 1, 2)),
    "conv2d": (conv2d(1, 1, 1), normal(1, 5, 4, 2), normal(3, 3, 2, 2)),
    "conv2d_strided": (conv2d(2, 1, 1), normal(1, 6, 7, 2), normal(3, 3, 2, 3)),
    "conv2d_dilated": (conv2d(2, 3, 2), normal(1, 7, 8, 1), normal(2, 2, 1, 2)),
    "conv2d_1x1_strided": (conv2d(2, 1, 0), normal(1, 5, 6, 3), normal(1, 1, 3, 2)),
    "max_pool": (pool(te.max, 2, 2), normal(1, 5, 6)),
    "max_pool_overlapping": (pool(te.max, 3, 2), normal(1, 7, 7)),
    "sum_pool": (pool(te.sum, 2, 2), normal(1, 5, 6)),
    "sum_pool_overlapping": (pool(te.sum, 3, 1), normal(1, 5, 5)),
    "gather": (
        element((4, 2), lambda x, i, j: te.exp(x[0][x[1][i], j])),
        normal(5, 2),
        np.array([4, 0, 4, 2]),
    ),
    "gather_pairs": (
        element((4,), lambda x, i: x[0][x[1][i], x[2][3 - i]] * x[0][x[1][i], 0]),
        normal(3, 3),
        np.array([2, 0, 2, 1]),
        np.array([1, 1, 0, 2]),
    ),
    "gather_of_float": (
        element((4,), lambda x, i: x[0][te.cast(te.floor(x[1][i]), "int64")] * x[1][i]),
        normal(5),
        np.array([3.4, 0.6, 3.2, 2.5]),
    ),
    "gather_in_sum": (weighted_rows, normal(4, 3), normal(2, 5), np.array([3, 1, 3, 0, 1])),
    "gather_in_ragged_sum": (
        ragged,
        normal(4),
        np.array([3, 1, 3, 0, 1]),
        np.array([0, 3, 2, 0, 0]),
    ),
    "scatter_add": (scatter("add"), normal(4, 2), np.array([2, 0, 2]), normal(3, 2)),
    "scatter_set": (scatter("set"), normal(4, 2), np.array([2, 0, 2]), normal(3, 2)),
    "scatter_mul": (scatter("mul"), normal(4, 2), np.array([2, 0, 2]), normal(3, 2)),
    "scatter_mul_of_zeros": (
        scatter("mul"),
        normal(3, 2),
        np.array([2, 0, 2, 0, 1]),
        normal(5, 2) * np.array([[0, 1], [1, 0], [1, 0], [0, 1], [0, 1]]),
    ),
    "scatter_min": (scatter("min"), normal(4, 2), np.array([2, 0, 2]), normal(3, 2)),
    "scatter_max": (scatter("max"), normal(4, 2), np.array([2, 0, 2]), normal(3, 2)),
    "scatter_of_products": (scatter_of_products, normal(4, 2), np.array([3, 0]), normal(2, 2)),
    "softmax": (softmax, normal(3, 5)),
    "layer_norm": (layer_norm, normal(3, 6), normal(6), normal(6)),
    "log_sum_exp": (log_sum_exp, normal(3, 5)),
    "prefix_sums": (prefix_sums, normal(6)),
    "triangle": (triangle, normal(5, 5), normal(5, 3)),
    "nested_reductions": (nested_reductions, normal(3, 4)),
    "bias": (element((3, 4), lambda x, i, j: x[0][i, j] * x[1][j]), normal(3, 4), normal(4)),
    "outer": (element((3, 4), lambda x, i, j: x[0][i] * x[1][j]), normal(3), normal(4)),
    "scalar": (element((3,), lambda x, i: x[0][()] * x[1][i]), np.array(0.7), normal(3)),
    "to_scalar": (
        reduction((), 4, lambda x, k: te.sum(x[k] * x[k], axis=k)),
        normal(4),
    ),
    "transpose": (element((4, 3), lambda x, i, j: te.exp(x[0][j, i])), normal(3, 4)),
    "diagonal": (element((4,), lambda x, i: x[0][i, i] * x[0][i, 0]), normal(4, 4)),
    "first": (element((5,), lambda x, i: x[0][0] * x[0][4] * index(i)), normal(5)),
    "slice": (element((3,), lambda x, i: te.exp(x[0][i + 2])), normal(7)),
    "strided_slice": (element((3,), lambda x, i: te.exp(x[0][2 * i + 1])), normal(7)),
    "flip": (element((6,), lambda x, i: x[0][5 - i] * x[0][i]), normal(6)),
    "strided_flip": (element((3,), lambda x, i: x[0][5 - 2 * i] * x[0][i]), normal(6)),
    "pad": (
        element((8,), lambda x, i: te.select(te.all(i >= 2, i < 7), x[0][i - 2], 0.0)),
        normal(5),
    ),
    "concat": (
        element((7,), lambda x, i: te.select(i < 3, te.exp(x[0][i]), x[1][i - 3])),
        normal(3),
        normal(4),
    ),
    "merge_axes": (
        element((12,), lambda x, i: te.exp(x[0][i // 4, i % 4])),
        normal(3, 4),
    ),
    "divide_axis": (element((3, 4), lambda x, i, j: te.exp(x[0][4 * i + j])), normal(12)),
    "divide_twice": (
        element((2, 3, 4), lambda x, i, j, k: te.exp(x[0][12 * i + 4 * j + k])),
        normal(24),
    ),
    "reshape": (
        element((6, 4), lambda x, i, j: te.exp(x[0][(i * 4 + j) // 8, (i * 4 + j) % 8])),
        normal(3, 8),
    ),
    "reshape_3": (
        element((24,), lambda x, i: te.exp(x[0][i // 12, i // 4 % 3, i % 4]) * x[0][1, 2, i % 4]),
        normal(2, 3, 4),
    ),
    "repeat": (element((12,), lambda x, i: te.exp(x[0][i // 3])), normal(4)),
    "repeat_tail": (element((11,), lambda x, i: te.exp(x[0][i // 3])), normal(4)),
    "tile": (element((11,), lambda x, i: x[0][i % 4] * index(i)), normal(4)),
    "roll": (element((5,), lambda x, i: te.exp(x[0][(i + 2) % 5])), normal(5)),
    "windows": (element((5, 3), lambda x, i, j: te.exp(x[0][i + j])), normal(7)),
    "strided_windows": (element((3, 3), lambda x, i, j: te.exp(x[0][2 * i + j])), normal(7)),
    "difference": (element((4, 3), lambda x, i, j: te.exp(x[0][i - j + 2])), normal(6)),
    "three_sums": (element((3, 2, 2), lambda x, i, j, k: te.exp(x[0][i + 2 * j + k])), normal(6)),
    "odd_strides": (element((4, 3), lambda x, i, j: te.exp(x[0][3 * i + 2 * j])), normal(14)),
    "not_affine": (element((4,), lambda x, i: te.exp(x[0][i * i])), normal(10)),
    "not_quite_affine": (element((6,), lambda x, i: te.exp(x[0][(2 * i + 1) // 3])), normal(4)),
    "unit_axes": (
        element((1, 3), lambda x, i, j: x[0][i, j] * x[1][j, i]),
        normal(1, 3),
        normal(3, 1),
    ),
    "empty": (element((0, 3), lambda x, i, j: x[0][i, j] * x[1][j]), normal(0, 3), normal(3)),
    "matmul_of_slice": (
        reduction((3, 5), 4, lambda a, b, k, i, j: te.sum(a[i + 1, k] * b[k, j], axis=k)),
        normal(6, 4),
        normal(4, 5),
    ),
    "sum_of_constant_reads": (
        reduction((3,), 4, lambda a, k, i: te.sum(a[2] * a[k] * index(i), axis=k)),
        normal(4),
    ),
}


@pytest.mark.parametrize("name", TENSORS)
def test_tensors(name):
    make, *arrays = TENSORS[name]
    check(make, *arrays)


def test_shared_values_stay_shared():
    """Sixty squarings and the gradient of their gradient: linear size, in one tensor or many."""
    x = te.placeholder((2,), "float64", name="x")

    def squared_often(i):
        value = x[i]
        for _ in range(60):
            value = value * value
        return value

    in_one = te.compute((2,), squared_often, name="in_one")
    in_many = x
    for n in range(60):
        in_many = te.compute((2,), lambda i, t=in_many: t[i] * t[i], name=f"t{n}")
    for y in (in_one, in_many):
        k = te.reduce_axis(2, "k")
        total = te.compute((), lambda k=k, y=y: te.sum(y[k], axis=k), name="total")
        (first,) = te.grad(total, x)
        m = te.reduce_axis(2, "m")
        again = te.compute((), lambda m=m, g=first: te.sum(g[m], axis=m), name="again")
        (second,) = te.grad(again, x)
        n = 2.0**60
        values = np.array([1.0, 1.0 - 2.0**-60])
        first_value, second_value = interpret([x], [first, second], [values])
        np.testing.assert_allclose(first_value, n * values ** (n - 1), rtol=1e-9)
        np.testing.assert_allclose(second_value, n * (n - 1) * values ** (n - 2), rtol=1e-9)
