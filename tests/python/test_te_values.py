"""Values of the functions of tenon.te against NumPy, compiled and interpreted."""

import math

import numpy as np
import pytest

import tenon as tn
from tenon import te

RNG = np.random.default_rng(0)
WIDE = RNG.uniform(-8, 8, 64)
POSITIVE = RNG.uniform(0.01, 20, 64)
ERF = np.vectorize(math.erf)


def run(make, *arrays):
    inputs = [te.placeholder(a.shape, a.dtype, name=f"x{i}") for i, a in enumerate(arrays)]
    shape = arrays[0].shape
    out = te.compute(shape, lambda *i: make(*(x[i] for x in inputs)), name="out")
    f = tn.function(inputs, [out])
    compiled = tn.build(f)(*arrays).numpy()
    interpreted = tn.interpret(f, *arrays).numpy()
    assert np.array_equal(compiled, interpreted, equal_nan=compiled.dtype.kind == "f")
    return compiled


FLOAT_FUNCTIONS = [
    (te.exp, np.exp, WIDE),
    (te.log, np.log, POSITIVE),
    (te.sqrt, np.sqrt, POSITIVE),
    (te.rsqrt, lambda x: 1 / np.sqrt(x), POSITIVE),
    (te.tanh, np.tanh, WIDE),
    (te.erf, ERF, WIDE),
    (te.sigmoid, lambda x: 1 / (1 + np.exp(-x)), WIDE),
    (te.sin, np.sin, WIDE),
    (te.cos, np.cos, WIDE),
    (te.softplus, lambda x: np.log1p(np.exp(x)), WIDE),
    (te.gelu, lambda x: x * (1 + ERF(x / np.sqrt(2))) / 2, WIDE),
    (
        lambda x: te.gelu(x, "tanh"),
        lambda x: x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
        WIDE,
    ),
    (lambda x: te.pow(x, 1.7), lambda x: x**1.7, POSITIVE),
    (lambda x: 2**x, lambda x: 2.0**x, WIDE),
    (te.abs, np.abs, WIDE),
    (te.floor, np.floor, WIDE),
    (te.ceil, np.ceil, WIDE),
    (te.round, np.round, WIDE),
    (te.trunc, np.trunc, WIDE),
    (lambda x: te.minimum(x, 0.5), lambda x: np.minimum(x, 0.5), WIDE),
    (lambda x: te.maximum(0, x), lambda x: np.maximum(0, x), WIDE),
    (lambda x: te.select(x > 0, x, -2 * x), lambda x: np.where(x > 0, x, -2 * x), WIDE),
    (lambda x: x * x - x / 3 + 1, lambda x: x * x - x / 3 + 1, WIDE),
]


@pytest.mark.parametrize(("ours", "theirs", "values"), FLOAT_FUNCTIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_float_functions(ours, theirs, values, dtype):
    x = values.astype(dtype)
    tolerance = 1e-6 if dtype == "float32" else 1e-14
    expected = theirs(x.astype("float64"))
    np.testing.assert_allclose(run(ours, x), expected, rtol=tolerance, atol=tolerance)


INTEGER_FUNCTIONS = [
    (lambda a, b: a // b, lambda a, b: np.where(b == 0, 0, a // np.where(b == 0, 1, b))),
    (lambda a, b: a % b, lambda a, b: np.where(b == 0, 0, a % np.where(b == 0, 1, b))),
    (lambda a, b: (a & b) ^ (a | 3), lambda a, b: (a & b) ^ (a | 3)),
    (lambda a, b: ~a << 2, lambda a, b: ~a << 2),
    (lambda a, b: a >> 1, lambda a, b: a >> 1),
    (lambda a, b: a**3, lambda a, b: a**3),
    (lambda a, b: te.maximum(a, b) - te.minimum(a, b), lambda a, b: np.abs(a - b)),
]


@pytest.mark.parametrize(("ours", "theirs"), INTEGER_FUNCTIONS)
def test_integer_functions(ours, theirs):
    a, b = RNG.integers(-50, 50, (2, 64), dtype="int32")
    b[:3] = 0
    assert np.array_equal(run(ours, a, b), theirs(a, b))


def test_casts_saturate_and_truncate():
    x = np.array([1.9, -1.9, 1e20, -1e20, np.nan, np.inf], "float32")
    big, small = np.iinfo("int32").max, np.iinfo("int32").min
    assert run(lambda v: te.cast(v, "int32"), x).tolist() == [1, -1, big, small, 0, big]
    assert run(lambda v: te.cast(v, "bool"), np.arange(3)).tolist() == [False, True, True]


def test_conditions():
    x = np.arange(8)
    both = run(lambda v: te.all(v > 1, v < 6, v != 3), x)
    assert np.array_equal(both, (x > 1) & (x < 6) & (x != 3))
    either = run(lambda v: te.any(v < 1, te.not_(v <= 6)), x)
    assert np.array_equal(either, (x < 1) | (x > 6))


@pytest.mark.parametrize(
    ("reduction", "theirs"),
    [(te.sum, np.sum), (te.prod, np.prod), (te.min, np.min), (te.max, np.max)],
)
@pytest.mark.parametrize("axis", [0, 1])
def test_reductions(reduction, theirs, axis):
    x = RNG.integers(1, 4, (5, 7)).astype("float32")
    a = te.placeholder(x.shape, "float32", name="A")
    k = te.reduce_axis(x.shape[axis], name="k")
    term = (lambda i: a[k, i]) if axis == 0 else (lambda i: a[i, k])
    out = te.compute((x.shape[1 - axis],), lambda i: reduction(term(i), axis=k) + 1, name="out")
    assert np.array_equal(tn.build(tn.function([a], [out]))(x), theirs(x, axis=axis) + 1)


def test_reductions_over_several_axes_with_a_condition():
    x = RNG.integers(-9, 9, (6, 7)).astype("int32")
    a = te.placeholder(x.shape, "int32", name="A")
    i, j = te.reduce_axis(6, name="i"), te.reduce_axis((1, 6), name="j")
    total = te.compute((), lambda: te.sum(a[i, j], axis=[i, j], where=a[i, j] > 0), name="total")
    expected = np.where(x > 0, x, 0)[:, 1:].sum()
    assert tn.build(tn.function([a], [total]))(x).item() == expected


def test_strided_placeholders_read_their_layout():
    a = te.placeholder((3, 4), "float32", name="A", strides=(1, 3))
    f = tn.function([a], [te.compute((3, 4), lambda i, j: a[i, j] + 1, name="B")])
    x = np.asfortranarray(np.arange(12, dtype="float32").reshape(3, 4))
    assert np.array_equal(tn.build(f)(x), x + 1)
    with pytest.raises(tn.ShapeError, match="strides"):
        tn.build(f)(np.ascontiguousarray(x))


@pytest.mark.parametrize("order", [1, -1])
def test_sums_over_axes_whose_start_moves(order):
    x = te.placeholder((5, 3), "float64", name="x")
    k = te.reduce_axis(3, "k")

    def element(i):
        b = te.reduce_axis((i, 5 - i), "b")
        return te.sum(x[b, k], axis=[b, k][::order])

    f = tn.function([x], [te.compute((6,), element, name="y")])
    values = RNG.normal(size=(5, 3))
    expected = [values[i:].sum() for i in range(6)]
    np.testing.assert_allclose(tn.build(f)(values).numpy(), expected, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(tn.interpret(f, values).numpy(), expected, rtol=1e-13, atol=1e-15)
