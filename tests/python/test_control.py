"""Branches and loops in networks, against NumPy."""

import numpy as np
import pytest

import tenon as tn
from tenon.nn import functional as f


def compile(function, *inputs, **options):
    return tn.compile(function, list(inputs), **options)


def test_scan_carries_trees_and_stacks_results():
    def step(carry, x):
        h, counts = carry["h"], carry["n"]
        h = f.tanh(h * 0.5 + x["a"] - x["b"])
        return {"h": h, "n": [counts[0] + 1]}, (h, {"twice": h + h})

    def network(a, b, h):
        return tn.scan(step, {"h": h, "n": [0]}, {"a": a, "b": b})

    def flat(a, b, h):
        carry, (hs, ys) = network(a, b, h)
        return carry["h"], carry["n"][0], hs, ys["twice"]

    spec = tn.TensorSpec(("n", 3))
    net = compile(flat, spec, spec, tn.TensorSpec((3,)))
    rng = np.random.default_rng(0)
    for n in (0, 1, 6):
        a, b = rng.standard_normal((2, n, 3), np.float32)
        h = start = rng.standard_normal(3, np.float32)
        expected = []
        for t in range(n):
            h = np.tanh(h * np.float32(0.5) + a[t] - b[t])
            expected.append(h)
        last, count, hs, twice = net(a, b, start)
        np.testing.assert_allclose(last, h, rtol=1e-5, atol=1e-6)
        assert int(np.asarray(count)) == n
        np.testing.assert_allclose(hs, np.reshape(expected, (n, 3)), rtol=1e-5, atol=1e-6)
        assert np.array_equal(twice, 2 * np.asarray(hs))


def test_scan_from_the_end_and_without_arrays():
    net = compile(
        lambda x: (
            tn.scan(lambda s, v: (s + v, s), np.float32(0), x, reverse=True)[1],
            tn.scan(lambda s, _: (s * 2, s), np.float32(1), None, length=x.shape[0])[1],
        ),
        tn.TensorSpec(("n",)),
    )
    x = np.arange(5, dtype=np.float32)
    sums, powers = net(x)
    assert np.array_equal(sums, [10, 9, 7, 4, 0])
    assert np.array_equal(powers, [1, 2, 4, 8, 16])


def test_fori_loop_counts_by_numbers_sizes_and_values():
    def total(lower, upper, x):
        return tn.fori_loop(lower, upper, lambda i, s: s + x * i.cast("float32"), x * 0)

    vector = tn.TensorSpec(("n",))
    x = np.array([1.0, 2.0, -1.0], np.float32)
    assert np.array_equal(compile(lambda x: total(2, 5, x), vector)(x), x * 9)
    assert np.array_equal(compile(lambda x: total(0, x.shape[0], x), vector)(x), x * 3)
    assert np.array_equal(compile(lambda x: total(5, 2, x), vector)(x), x * 0)
    net = compile(total, *[tn.TensorSpec((), "int32")] * 2, vector)
    for lower, upper in ((0, 4), (-2, 3), (3, 3), (7, 1)):
        got = net(np.array(lower, np.int32), np.array(upper, np.int32), x)
        assert np.array_equal(got, x * sum(range(lower, upper)))


def test_while_loop_ends_by_data():
    def newton(a):  # square root
        def step(state):
            x, n = state
            return (x + a / x) * 0.5, n + 1

        def goes_on(state):
            return abs(state[0] * state[0] - a) > a * 1e-5

        return tn.while_loop(goes_on, step, (a, 0), max_iterations=50)

    net = compile(newton, tn.TensorSpec(()))
    steps = set()
    for a in (1.0, 2.0, 100.0, 1e6):
        root, n = net(np.float32(a))
        assert abs(float(np.asarray(root)) - a**0.5) < 1e-4 * a**0.5
        steps.add(int(np.asarray(n)))
    assert len(steps) == 4
    assert "while a condition holds" in net.report()
    bounded = compile(
        lambda x: tn.while_loop(lambda v: v > 0, lambda v: v + 1, x, max_iterations=7),
        tn.TensorSpec((), "int64"),
    )
    assert int(np.asarray(bounded(np.array(1)))) == 8
    assert int(np.asarray(bounded(np.array(0)))) == 0


def test_only_the_chosen_branch_runs():
    table = np.arange(6, dtype=np.float32).reshape(3, 2)

    def network(index, x):
        # The index is out of range where the other branch is chosen.
        return tn.cond(
            index < 3,
            lambda v: f.embedding(table, index) + v,
            lambda v: v - 1,
            x,
        )

    net = compile(network, tn.TensorSpec((), "int64"), tn.TensorSpec((2,)))
    x = np.array([10.0, 20.0], np.float32)
    assert np.array_equal(net(np.array(2), x), table[2] + x)
    assert np.array_equal(net(np.array(99), x), x - 1)
    assert tn.cond(True, lambda: 1, lambda: 2) == 1


def test_results_of_branches_may_be_operands_and_constants():
    net = compile(
        lambda p, a, b: tn.cond(
            p > 0, lambda a, b: (a, b, [np.float32(1)]), lambda a, b: (b, b, [np.float32(2)]), a, b
        )[:2],
        *[tn.TensorSpec((), "int32"), tn.TensorSpec((3,)), tn.TensorSpec((3,))],
    )
    a, b = np.ones(3, np.float32), np.zeros(3, np.float32)
    for p in (1, -1):
        first, second = net(np.array(p, np.int32), a, b)
        assert np.array_equal(first, a if p > 0 else b)
        assert np.array_equal(second, b)


def test_arrays_are_computed_at_once():
    total, sums = tn.scan(lambda s, x: (s + x, s + x), 0.0, np.arange(4, dtype=np.float32))
    assert float(np.asarray(total)) == 6
    assert np.array_equal(sums, [0, 1, 3, 6])
    x = np.array(20, np.int64)
    assert int(np.asarray(tn.while_loop(lambda v: v > 3, lambda v: v - 7, x))) == -1
    assert np.array_equal(tn.cond(np.array(False), abs, lambda v: v * 3, -np.ones(2)), [-3, -3])


def test_bits_do_not_depend_on_threads():
    w = np.random.default_rng(1).standard_normal((64, 64)).astype(np.float32) / 8
    net = compile(
        lambda x: tn.scan(lambda h, v: ((h := f.tanh(f.linear(h, w) + v)), h), x[0], x)[1],
        tn.TensorSpec(("n", 32, 64)),
    )
    x = np.random.default_rng(2).standard_normal((9, 32, 64)).astype(np.float32)
    before = tn.config.threads
    try:
        results = []
        for threads in (1, 2, 3):
            tn.config.threads = threads
            results.append(np.asarray(net(x)).tobytes())
    finally:
        tn.config.threads = before
    assert len(set(results)) == 1


X = tn.TensorSpec(("n", 4))


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (
            lambda x: tn.scan(lambda c, v: ({"h": c["h"]}, None), {"h": x[0], "k": x[0]}, x)[0][
                "h"
            ],
            tn.ExpressionError,
            r"scan: the next state is \{'h': \*\}, expected \{'h': \*, 'k': \*\} \[E0170\]",
        ),
        (
            lambda x: tn.scan(lambda c, v: c, x[0], x),
            tn.ExpressionError,
            r"scan: the function returned a Value, expected a pair .* \[E0171\]",
        ),
        (
            lambda x: tn.scan(lambda c, v: (c, c), x[0]),
            tn.ExpressionError,
            r"scan: there is neither an array to scan nor a length \[E0172\]",
        ),
        (
            lambda x: tn.while_loop(lambda v: v > 0, lambda v: v, x[0, 0], max_iterations=-1),
            tn.ExpressionError,
            r"while_loop: max_iterations is -1, expected an integer from 0 up \[E0172\]",
        ),
        (
            lambda x: tn.fori_loop(x.shape[0], 3, lambda i, v: v, x[0]),
            tn.ExpressionError,
            r"fori_loop: the bounds are n and 3; .* \[E0173\]",
        ),
        (
            lambda x: tn.scan(lambda c, v: ([c[0], f.concat([c[1], v])], None), [x[0], x[0]], x)[0],
            tn.ShapeError,
            r"scan: state 'carry\[1\]' is float32\[4\] at first and float32\[8\] after an iteration"
            r" \[E0423\]",
        ),
        (
            lambda x: tn.scan(lambda c, v: (c, v), x[0], (x, x[1:]))[1],
            tn.ShapeError,
            r"scan: float32\[.*, 4\] is scanned along its first axis, which .* size n \[E0424\]",
        ),
        (
            lambda x: tn.while_loop(lambda v: v > 0, lambda v: v, x[0]),
            tn.ShapeError,
            r"while_loop: the condition is bool\[4\], expected a scalar \[E0425\]",
        ),
        (
            lambda x: tn.cond(x[0, 0] > 0, lambda: x[0], lambda: x),
            tn.ShapeError,
            r"cond: result 0 is float32\[4\] if .* and float32\[n, 4\] .* \[E0426\]",
        ),
        (
            lambda x: tn.fori_loop(0, 3, lambda i, v: (v[0], v[1] + 0.5), (x, 0)),
            tn.ExpressionError,
            r"the number 0.5 meets int64",
        ),
        (
            lambda x: tn.fori_loop(0, 3, lambda i, v: v.cast("float64"), x),
            tn.DTypeError,
            r"fori_loop: state 'val' is float32\[n, 4\] at first and float64\[n, 4\] .* \[E0522\]",
        ),
        (
            lambda x: tn.cond(x[0, 0], lambda: x[0], lambda: x[1]),
            tn.DTypeError,
            r"cond: the predicate is float32\[\], expected bool \[E0523\]",
        ),
        (
            lambda x: tn.cond(x[0, 0] > 0, lambda: x, lambda: x.cast("int32")),
            tn.DTypeError,
            r"cond: result 0 is float32\[n, 4\] if .* and int32\[n, 4\] .* \[E0524\]",
        ),
    ],
)
def test_mistakes_are_named(function, error, message):
    with pytest.raises(error, match=f"(?s){message}"):
        compile(function, X)
