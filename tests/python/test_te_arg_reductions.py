"""`te.argmax`, `te.argmin`, `te.any_of`, `te.all_of` and element functions against NumPy."""

import numpy as np
import pytest

import tenon as tn
from tenon import te

NUMPY = {te.argmax: np.argmax, te.argmin: np.argmin}


def along(reduce, shape, dtype, axis):
    """`reduce` over one axis of a matrix."""
    a = te.placeholder(shape, dtype, name="A")
    k = te.reduce_axis(shape[axis], name="k")
    place = (lambda i: a[i, k]) if axis == 1 else (lambda i: a[k, i])
    out = te.compute((shape[1 - axis],), lambda i: reduce(place(i), axis=k), name="out")
    return tn.build(tn.function([a], [out]))


@pytest.mark.parametrize("reduce", [te.argmax, te.argmin])
@pytest.mark.parametrize("axis", [0, 1])
def test_ties_zeros_infinities_and_nan_as_in_numpy(reduce, axis):
    random = np.random.default_rng(1)
    a = random.integers(-2, 3, (37, 70)).astype(np.float32)
    a[a == 0] *= random.choice([-1.0, 1.0], (a == 0).sum()).astype(np.float32)
    a[3], a[4], a[:, 5] = np.inf, -np.inf, -np.inf
    a[7, 9] = a[7, 60] = a[30, 11] = np.nan
    kernel = along(reduce, a.shape, "float32", axis)
    np.testing.assert_array_equal(np.asarray(kernel(a)), NUMPY[reduce](a, axis=axis))


@pytest.mark.parametrize("dtype", ["float64", "int8", "int64", "uint8", "bfloat16"])
def test_dtypes_and_symbolic_sizes(dtype):
    m, n = te.symbol("m"), te.symbol("n")
    kernel = along(te.argmax, (m, n), dtype, 1)
    random = np.random.default_rng(2)
    for shape in [(5, 200), (1, 1), (3, 0), (0, 4)]:
        a = random.integers(0, 50, shape)
        expected = a.argmax(axis=1) if shape[1] else np.full(shape[0], -1)
        if dtype == "bfloat16":
            ml_dtypes = pytest.importorskip("ml_dtypes")
            a = a.astype(ml_dtypes.bfloat16)
        else:
            a = a.astype(dtype)
        np.testing.assert_array_equal(np.asarray(kernel(a)), expected)


def test_where_leaves_terms_out_and_the_axis_keeps_its_values():
    a = te.placeholder((4, 9), "float32", name="A")
    k = te.reduce_axis((2, 6), name="k")
    out = te.compute((4,), lambda i: te.argmax(a[i, k], axis=k, where=k % 2 == i % 2), name="out")
    none = te.compute((4,), lambda i: te.argmin(a[i, k], axis=k, where=k > 20), name="none")
    x = np.random.default_rng(3).standard_normal((4, 9)).astype(np.float32)
    got, nothing = tn.build(tn.function([a], [out, none]))(x)
    expected = [max(range(2 + i % 2, 8, 2), key=lambda k, i=i: x[i, k]) for i in range(4)]
    np.testing.assert_array_equal(np.asarray(got), expected)
    np.testing.assert_array_equal(np.asarray(nothing), [-1] * 4)


@pytest.mark.parametrize(("reduce", "numpy"), [(te.any_of, np.any), (te.all_of, np.all)])
def test_bools_over_rows_columns_and_nothing(reduce, numpy):
    random = np.random.default_rng(4)
    m, n = te.symbol("m"), te.symbol("n")
    for axis in (0, 1):
        kernel = along(reduce, (m, n), "bool", axis)
        for shape in [(40, 3), (3, 40), (1, 1), (0, 2), (2, 0)]:
            a = random.integers(0, 8, shape) > (6 if reduce is te.any_of else 1)
            np.testing.assert_array_equal(np.asarray(kernel(a)), numpy(a, axis=axis))


def test_a_reduction_is_computed_once_for_what_it_depends_on():
    """A softmax written in one expression sums each row once, not once for each element."""
    a = te.placeholder((6, 50), "float32", name="A")
    k = te.reduce_axis(50, name="k")
    out = te.compute((6, 50), lambda i, j: te.exp(a[i, j]) / te.sum(te.exp(a[i, k]), axis=k), "out")
    f = tn.function([a], [out])
    assert "alloc out_sum: float32[6]\n" in str(f)
    x = np.random.default_rng(5).standard_normal((6, 50)).astype(np.float32)
    expected = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.asarray(tn.build(f)(x)), expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["abs", "floor", "ceil", "round", "trunc"])
def test_element_functions_of_one_operand(name):
    x = np.array([-2.5, -1.5, -0.5, -0.0, 0.5, 1.5, 2.5, 1e30, -np.inf, np.nan], np.float32)
    a = te.placeholder(x.shape, "float32", name="A")
    out = te.compute(x.shape, lambda i: getattr(te, name)(a[i]), name="out")
    got = np.asarray(tn.build(tn.function([a], [out]))(x))
    np.testing.assert_array_equal(got, getattr(np, name)(x))
    np.testing.assert_array_equal(np.signbit(got), np.signbit(getattr(np, name)(x)))


def test_element_functions_of_two_operands_and_conditions():
    x = np.array([1, -3, np.nan, 2], np.float32)
    y = np.array([2, -4, 1, np.nan], np.float32)
    a, b = (te.placeholder((4,), "float32", name=n) for n in "ab")
    outs = [
        te.compute((4,), lambda i: te.minimum(a[i], b[i]), name="low"),
        te.compute((4,), lambda i: te.maximum(a[i], te.const(0.5, "float32")), name="high"),
        te.compute((4,), lambda i: te.all(a[i] > 0, te.not_(b[i] > 1)), name="both"),
        te.compute((4,), lambda i: te.any(a[i] < 0, b[i] == 1), name="one"),
    ]
    low, high, both, one = (np.asarray(v) for v in tn.build(tn.function([a, b], outs))(x, y))
    np.testing.assert_array_equal(low, np.minimum(x, y))
    np.testing.assert_array_equal(high, np.maximum(x, np.float32(0.5)))
    np.testing.assert_array_equal(both, (x > 0) & ~(y > 1))
    np.testing.assert_array_equal(one, (x < 0) | (y == 1))


def test_mistakes():
    a = te.placeholder((4, 8), "float32", name="A")
    i, k = te.reduce_axis(4, name="i"), te.reduce_axis(8, name="k")
    with pytest.raises(tn.ExpressionError, match=r"te.argmax takes one axis, got 2 \[E0115\]"):
        te.argmax(a[i, k], axis=[i, k])
    with pytest.raises(tn.DTypeError, match=r"te.any_of needs a bool, got float32 \[E0504\]"):
        te.any_of(a[i, k], axis=[i, k])
    with pytest.raises(tn.DTypeError, match=r"te.max needs numbers, got bool \[E0504\]"):
        te.argmax(a[0, k] > 0, axis=k)


def test_many_results_for_each_row_need_no_room_on_the_stack():
    """Sums of lanes are those of one result: all of them at once are 10 MiB of registers."""
    x = te.placeholder((2, 3), "float32", name="x")

    def element(i, j):
        c = te.reduce_axis(3, name="c")
        return te.argmax(x[i, c] * te.cast(j % 5 - 2, "float32"), axis=c)

    kernel = tn.build(tn.function([x], [te.compute((2, 20_000), element, name="best")]))
    a = np.random.default_rng(2).standard_normal((2, 3)).astype("float32")
    factors = (np.arange(20_000) % 5 - 2).astype("float32")
    expected = np.argmax(a[:, None, :] * factors[None, :, None], axis=-1)
    np.testing.assert_array_equal(kernel(a).numpy(), expected)
