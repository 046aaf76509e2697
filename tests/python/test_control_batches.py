"""`tn.vmap` of branches and loops: equal to the function called for each element of the batch."""

import re

import numpy as np
import pytest

import tenon as tn
from tenon.nn import functional as f


def random(*shape):
    return np.random.default_rng(len(shape) + sum(shape)).standard_normal(shape)


WEIGHTS = random(3, 3) * 0.5
NUM = 4


def flat(tree):
    leaves = []
    for leaf in tree if isinstance(tree, list | tuple) else [tree]:
        leaves += flat(leaf) if isinstance(leaf, list | tuple) else [np.asarray(leaf)]
    return leaves


def check(function, *args, in_axes=None):
    """Compare with the loop; arguments with None in `in_axes` are the same for the whole batch."""
    axes = in_axes if in_axes is not None else [0] * len(args)
    got = flat(tn.vmap(function, in_axes=tuple(axes))(*args))
    one = tn.jit(function)
    alone = [
        flat(one(*[a if axis is None else a[n] for a, axis in zip(args, axes, strict=True)]))
        for n in range(NUM)
    ]
    assert len(got) == len(alone[0])
    for k, value in enumerate(got):
        want = np.stack([leaves[k] for leaves in alone])
        assert value.dtype == want.dtype
        np.testing.assert_allclose(value, want, rtol=1e-12, atol=1e-13)


def cell(h, x, w):
    h = f.tanh(f.linear(h, w) + x)
    return h, (h * h).sum()


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    "axes", [(0, 0, 0), (None, 0, 0), (None, None, 0), (0, None, None), (None, 0, None)]
)
def test_scans(axes, reverse):
    """States become batched where they or what they depend on are; slices keep their order."""
    shapes = [(3, 3), (3,), (5, 3)]
    args = [
        random(*(s if axis is None else (NUM, *s))) for s, axis in zip(shapes, axes, strict=True)
    ]

    def function(w, h, xs):
        return tn.scan(lambda h, x: cell(h, x, w), h, xs, reverse=reverse)

    check(function, *args, in_axes=axes)


def test_a_state_that_no_batch_reaches_has_no_batch():
    def function(x):
        def body(i, carry):
            value, weight = carry
            return value * weight, weight * 0.5

        return tn.fori_loop(0, 3, body, (x, f.sin(x * 0.0 + 1.0).sum() * 0.0 + 1.0))

    check(function, random(NUM, 2))
    net = tn.compile(
        lambda x, c: tn.vmap(
            lambda v: tn.scan(lambda s, u: ((s[0] * s[1], s[1] * u), s[1]), (v, c[0]), c)
        )(x),
        [tn.TensorSpec((NUM, 2), "float64"), tn.TensorSpec((5,), "float64")],
    )
    # The weight is one number.
    assert re.search(r"mul +-> float64\[\] ", net.report()), net.report()
    assert [r.shape for r in flat(net(random(NUM, 2), random(5)))] == [(4, 2), (4,), (4, 5)]


def test_a_branch_that_is_one_for_the_batch_stays_a_branch():
    def function(x, n):
        return tn.cond(n > 2, lambda v: (f.sin(v), v.sum()), lambda v: (v, v[0] * 0.0 + 1.0), x)

    for n in (1, 3):
        check(function, random(NUM, 3), np.asarray(n), in_axes=(0, None))
    net = tn.compile(
        lambda x, n: tn.vmap(function, in_axes=(0, None))(x, n),
        [tn.TensorSpec((NUM, 3), "float64"), tn.TensorSpec((), "int64")],
    )
    assert "if (cond)" in net.report()


def test_a_branch_by_element_takes_of_both():
    def function(x):
        return tn.cond(
            x.sum() > 0, lambda v: (f.sqrt(v), v.sum()), lambda v: (v * v, v[0] * 0.0 + 1.0), x
        )

    x = np.abs(random(NUM, 3)) * np.array([1, -1, 1, -1])[:, None]
    with np.errstate(invalid="ignore"):
        check(function, x)
    net = tn.compile(lambda x: tn.vmap(function)(x), [tn.TensorSpec((NUM, 3), "float64")])
    assert "if (cond)" not in net.report()


def test_a_branch_that_is_not_taken_reads_nothing_out_of_range():
    table = random(8, 2)

    def function(i, x):
        return tn.cond(i < 8, lambda: f.embedding(table, i) * x, lambda: x)

    check(function, np.array([3, 8, 7, 100]), random(NUM, 2))
    check(function, np.array([3, 8, 7, 100]), random(2), in_axes=(0, None))
    with pytest.raises(tn.IndexError, match="-1"):
        tn.vmap(function)(np.array([3, 8, -1, 100]), random(NUM, 2))
    x, at = random(NUM, 2), np.array([3, 8, 7, 100])
    gradient = tn.grad(lambda x: (tn.vmap(function)(at, x) ** 2.0).sum())(x)
    rows = np.where((at < 8)[:, None], table[np.minimum(at, 7)], 1.0)
    np.testing.assert_allclose(gradient, 2 * x * rows**2, rtol=1e-12)


def test_branches_capture_what_is_around_them():
    def function(x, y):
        scaled = x * 2.0
        return tn.cond(y > 0, lambda: scaled + y, lambda: f.exp(scaled) * WEIGHTS[0])

    check(function, random(NUM, 3), random(NUM), in_axes=(0, 0))
    check(function, random(NUM, 3), np.asarray(0.5), in_axes=(0, None))
    check(function, random(3), random(NUM), in_axes=(None, 0))


def root(a, most=None):
    def goes_on(carry):
        x, _ = carry
        return abs(x * x - a) > 1e-12 * a

    def newton(carry):
        x, n = carry
        return (x + a / x) * 0.5, n + 1

    return tn.while_loop(goes_on, newton, (a, 0), most)


def test_loops_end_for_each_element_on_its_own():
    a = np.array([1.0, 1e9, 2.0, 1e-6])
    check(root, a)
    check(lambda a: root(a, 3), a)
    _, steps = tn.vmap(root)(a)
    assert len(set(np.asarray(steps).tolist())) > 2
    assert np.asarray(steps)[0] == 0  # its condition never held


def test_a_condition_that_is_one_for_the_batch():
    def function(x, n):
        return tn.while_loop(lambda c: c[1] < n, lambda c: (f.sin(c[0]), c[1] + 1), (x, 0))

    check(function, random(NUM, 3), np.asarray(4), in_axes=(0, None))
    check(function, random(NUM, 3), np.array([3, 0, 1, 5]))


def test_bounds_of_each_element():
    def function(x, lower, upper):
        return tn.fori_loop(lower, upper, lambda i, v: f.sin(v) + i.cast("float64"), x)

    x = random(NUM, 2)
    check(function, x, np.asarray(1), np.asarray(4), in_axes=(0, None, None))
    check(function, x, np.array([0, 1, 2, 3]), np.array([3, 1, 0, 5]))
    check(function, random(2), np.asarray(0), np.array([3, 1, 0, 5]), in_axes=(None, None, 0))


def test_elements_at_their_end_read_nothing_out_of_range():
    """The body is not run for states at which its loop had ended."""
    table = random(8, 1)

    def function(start):
        return tn.while_loop(
            lambda c: c[0] < 8,
            lambda c: (c[0] + 3, c[1] + f.embedding(table, c[0])[0]),
            (start, start.cast("float64") * 0.0),
        )

    check(function, np.array([0, 6, 3, 7]))


def test_loops_within_loops_and_branches():
    def function(x, n):
        def outer(s, row):
            inner = tn.fori_loop(0, n, lambda i, p: f.sin(p * row[0]) + row[1], s)
            kept = tn.cond(inner > 0.3, lambda: inner, lambda: inner * 0.5)
            return kept, kept * kept

        return tn.scan(outer, x[0, 0], x)

    check(function, random(NUM, 3, 2), np.array([1, 4, 0, 2]))
    check(function, random(NUM, 3, 2), np.asarray(2), in_axes=(0, None))


def test_batches_of_batches_and_of_symbolic_extent():
    def function(w, h, xs):
        return tn.scan(lambda h, x: cell(h, x, w), h, xs)

    b, t = te_symbols("b", "t")
    net = tn.compile(
        lambda w, h, xs: tn.vmap(tn.vmap(function, (None, 0, None)), (None, 0, 0))(w, h, xs),
        [
            tn.TensorSpec((3, 3), "float64"),
            tn.TensorSpec((b, 2, 3), "float64"),
            tn.TensorSpec((b, t, 3), "float64"),
        ],
    )
    for batch, steps in [(3, 4), (1, 1)]:
        h, xs = random(batch, 2, 3), random(batch, steps, 3)
        last, losses = net(WEIGHTS, h, xs)
        for n in range(batch):
            for m in range(2):
                one = flat(tn.jit(function)(WEIGHTS, h[n, m], xs[n]))
                np.testing.assert_allclose(np.asarray(last)[n, m], one[0], rtol=1e-12)
                np.testing.assert_allclose(np.asarray(losses)[n, m], one[1], rtol=1e-12)


def te_symbols(*names):
    return [tn.te.symbol(name) for name in names]


def by_scan(x):
    last, losses = tn.scan(lambda h, e: cell(h, e, WEIGHTS), x[0] * 2.0, x)
    return losses.sum() + last[1]


def by_fori_loop(x):
    return tn.fori_loop(
        0, 3, lambda i, v: f.sin(f.linear(v, WEIGHTS)) * (i.cast("float64") + 1.0), x
    ).sum()


def by_branch(x):
    return tn.cond(x.sum() > 0, lambda v: f.sin(v).sum(), lambda v: (v * v * v).mean(), x)


def by_branch_in_scan(x):
    def step(s, row):
        turned = tn.cond(row[0] > 0, lambda: f.sin(s * row), lambda: s + row * row)
        return turned, turned * row

    last, rows = tn.scan(step, x[0], x)
    return (last * rows).sum()


def by_loops_in_loops(x):
    def outer(s, row):
        inner, _ = tn.scan(lambda p, e: (f.sin(p * e), None), s, row)
        return inner, inner * inner

    last, squares = tn.scan(outer, x[0, 0], x)
    return last + squares.sum()


@pytest.mark.parametrize(
    "function", [by_scan, by_fori_loop, by_branch, by_branch_in_scan, by_loops_in_loops]
)
def test_transforms_of_each_other_equal_their_loops(function):
    """vmap(grad), grad(vmap), vmap(jvp(grad)) and jvp(vmap(grad))."""
    points, directions = random(NUM, 2, 3), random(NUM, 2, 3)[::-1].copy()
    gradient = tn.grad(function)

    def turned(x, v):
        return tn.jvp(gradient, [x], [v])[1]

    loop = np.stack([np.asarray(gradient(x)) for x in points])
    products = np.stack([np.asarray(turned(x, v)) for x, v in zip(points, directions, strict=True)])
    close = {"rtol": 1e-11, "atol": 1e-12}
    np.testing.assert_allclose(tn.vmap(gradient)(points), loop, **close)
    of_batch = tn.grad(lambda x: tn.vmap(function)(x).sum())(points)
    np.testing.assert_allclose(of_batch, loop, **close)
    np.testing.assert_allclose(tn.vmap(turned)(points, directions), products, **close)
    pushed = tn.jvp(tn.vmap(gradient), [points], [directions])[1]
    np.testing.assert_allclose(pushed, products, **close)


def test_forward_mode_through_loops_that_end_by_data():
    a, v = np.array([7.0, 2.0, 1e6, 1.5]), np.ones(NUM)
    expected = 0.5 / np.sqrt(a)

    def slope(a, v):
        return tn.jvp(lambda a: root(a)[0], [a], [v])[1]

    np.testing.assert_allclose(tn.vmap(slope)(a, v), expected, rtol=1e-9)
    np.testing.assert_allclose(
        tn.jvp(tn.vmap(lambda a: root(a)[0]), [a], [v])[1], expected, rtol=1e-9
    )
    with pytest.raises(tn.GradientError, match=r"(?s)while_loop at .*\[E0174\]"):
        tn.grad(lambda a: tn.vmap(lambda a: root(a)[0])(a).sum())(a)
