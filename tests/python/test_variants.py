"""`tn.VariantSchedule`: several schedules of one function in one kernel, chosen by the sizes."""

import numpy as np
import pytest

import tenon as tn
from tenon import te


def product(k=40, n=70, **symbol):
    m = te.symbol("m", **symbol)
    a = te.placeholder((m, k), "float32", name="A")
    b = te.placeholder((k, n), "float32", name="B")
    r = te.reduce_axis(k, name="r")
    c = te.compute((m, n), lambda i, j: te.sum(a[i, r] * b[r, j], axis=r), name="C")
    return m, tn.function([a, b], [c])


def arrays(m, k=40, n=70):
    rng = np.random.default_rng(m)
    return (
        rng.standard_normal((m, k)).astype("float32"),
        rng.standard_normal((k, n)).astype("float32"),
    )


def test_rule_variants_have_the_bits_of_the_default_kernel_at_every_boundary():
    m, f = product()
    v = tn.VariantSchedule(f)
    v.when(m == 0, rules="cpu")
    v.when(m == 1, rules="cpu")
    v.when(m <= 4, rules="cpu")
    v.otherwise(rules="cpu")
    kernel, default, loops = tn.build(v), tn.build(f), tn.lower(v)
    for size in (0, 1, 2, 3, 4, 5, 6, 17, 64):
        a, b = arrays(size)
        got = np.asarray(kernel(a, b))
        assert got.tobytes() == np.asarray(default(a, b)).tobytes(), size
        np.testing.assert_allclose(got, a @ b, rtol=1e-4, atol=1e-4)
        flat = np.asarray(tn.interpret(loops, a.ravel(), b.ravel(), sizes={"m": size}))
        assert got.tobytes() == flat.tobytes(), size


@pytest.mark.parametrize(
    ("condition", "holds_for"),
    [
        (lambda m: m < 3, lambda m: m < 3),
        (lambda m: m <= 3, lambda m: m <= 3),
        (lambda m: m > 3, lambda m: m > 3),
        (lambda m: m >= 3, lambda m: m >= 3),
        (lambda m: m == 3, lambda m: m == 3),
        (lambda m: (m >= 3) & (m < 5), lambda m: 3 <= m < 5),
        (lambda m: m * m <= 9, lambda m: m * m <= 9),
    ],
)
def test_each_size_takes_the_branch_of_its_condition(condition, holds_for):
    # The branch is seen in the bits: one adds the terms in order, the other in lanes.
    def make():
        m = te.symbol("m")
        x = te.placeholder((m, 64), "float32", name="x")
        r = te.reduce_axis(64, name="r")
        return m, tn.function([x], [te.compute((m,), lambda i: te.sum(x[i, r], axis=r), name="y")])

    def in_lanes(s):
        _, r = s.loops("y")
        s.decompose_reduction("y", r)
        s.vectorize(s.split(r, [None, 8])[1])

    m, f = make()
    v = tn.VariantSchedule(f)
    in_lanes(v.when(condition(m)))
    v.otherwise()
    lanes = tn.Schedule(make()[1])
    in_lanes(lanes)
    kernel, loops = tn.build(v), tn.lower(v)
    kernels = {True: tn.build(lanes), False: tn.build(tn.Schedule(make()[1]))}
    for size in range(7):
        data = np.random.default_rng(3).standard_normal((size, 64)).astype("float32")
        got = np.asarray(kernel(data)).tobytes()
        assert got == np.asarray(kernels[holds_for(size)](data)).tobytes()
        assert size == 0 or got != np.asarray(kernels[not holds_for(size)](data)).tobytes()
        assert got == np.asarray(tn.interpret(loops, data.ravel(), sizes={"m": size})).tobytes()


def test_a_variant_knows_the_sizes_that_come_to_it():
    m = te.symbol("m", min=1)
    x = te.placeholder((m, 8), "float32", name="x")
    y = te.compute((m, 8), lambda i, j: x[i, j] + 1.0, name="y")
    v = tn.VariantSchedule(tn.function([x], [y]))
    s = v.when(m <= 4)
    s.unroll(s.split(s.loops("y")[0], [None, 4])[1])
    v.when(m <= 6)
    v.otherwise()
    ranges = [str(s.function).split("{")[0].split("\n")[0] for _, s in v.variants]
    assert len(set(ranges)) == 3, ranges
    text = str(tn.lower(v))
    assert "m <= 4" in text
    assert "m <= 6" in text


def test_two_symbols_and_workspaces_of_different_size():
    m, n = te.symbol("m"), te.symbol("n")
    x = te.placeholder((m, n), "float32", name="x")
    t = te.compute((m, n), lambda i, j: te.exp(x[i, j]), name="t")
    y = te.compute((m, n), lambda i, j: t[i, n - 1 - j] + t[i, j], name="y")
    v = tn.VariantSchedule(tn.function([x], [y]))
    v.when((m <= 2) & (n <= 3))
    v.when(m * n <= 24, rules="cpu")
    v.otherwise(rules="cpu")
    kernel, default = tn.build(v), tn.build(tn.function([x], [y]))
    for rows in (0, 1, 2, 3, 8):
        for columns in (0, 1, 3, 4, 8, 9):
            data = np.random.default_rng(rows).standard_normal((rows, columns)).astype("float32")
            assert np.asarray(kernel(data)).tobytes() == np.asarray(default(data)).tobytes()


def test_the_report_shows_the_tree():
    m, f = product()
    v = tn.VariantSchedule(f)
    v.when(m == 1)
    v.otherwise(rules="cpu")
    report = tn.build(v).report()
    assert "m == 1: 0 steps" in report
    assert "otherwise: " in report
    assert repr(v) == "<tenon.VariantSchedule of C: 2 variants>"


def test_conditions_that_are_none_are_refused():
    m, f = product(min=1, max=64)
    v = tn.VariantSchedule(f)
    other = te.symbol("other")
    for condition in (other <= 4, m != 4, m % 2 == 0, (m <= 2) | (m >= 9), m <= m):
        with pytest.raises(tn.ShapeError, match="E1430"):
            v.when(condition)
    for condition in (m < 1, m > 64, m == 0):
        with pytest.raises(tn.ShapeError, match="E1431"):
            v.when(condition)
    with pytest.raises(tn.ShapeError, match=r"(?s)always holds.*E1431"):
        v.when(m <= 64)
    v.when(m <= 8)
    with pytest.raises(tn.ShapeError, match="E1431"):
        v.when(m <= 7)


def test_an_end_of_the_range_that_is_taken_narrows_the_rest():
    m, f = product(min=1, max=3)
    v = tn.VariantSchedule(f)
    v.when(m == 1)
    v.when(m == 3)
    for condition in (m <= 1, m >= 3, m == 2, m == 1):  # 2 is left: m == 2 always holds
        with pytest.raises(tn.ShapeError, match="E1431"):
            v.when(condition)
    v.otherwise(rules="cpu")
    kernel, default = tn.build(v), tn.build(f)
    for size in (1, 2, 3):
        got = np.asarray(kernel(*arrays(size)))
        np.testing.assert_array_equal(got, np.asarray(default(*arrays(size))))


def test_what_takes_no_variants_says_so():
    _, f = product()
    v = tn.VariantSchedule(f)
    v.otherwise()
    with pytest.raises(tn.TargetError, match="E0903"):
        tn.build(v, "cuda -arch=sm_90a")


def test_a_tree_ends_with_otherwise():
    m, f = product()
    v = tn.VariantSchedule(f)
    with pytest.raises(tn.ShapeError, match="E1433"):
        tn.build(v)
    v.when(m <= 4)
    with pytest.raises(tn.ShapeError, match=r"(?s)leave sizes without a schedule.*E1433"):
        tn.build(v)
    v.otherwise()
    with pytest.raises(tn.ShapeError, match="E1433"):
        v.when(m <= 8)
