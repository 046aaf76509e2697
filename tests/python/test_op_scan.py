"""Operators of one's own that are recurrences, or that scatter: alone, in networks, transformed."""

import re

import numpy as np
import pytest

import tenon as tn
from tenon import te
from tenon.nn import functional as f


def random(*shape):
    return np.random.default_rng(len(shape) + sum(shape)).standard_normal(shape)


def close(got, expected, tolerance=1e-11):
    np.testing.assert_allclose(np.asarray(got), np.asarray(expected), tolerance, tolerance)


running_sum = tn.op(lambda x: te.cumsum(x, 1))


@tn.op
def smooth(x, decay):
    """An exponential moving average along the first axis."""
    start = te.compute((x.shape[1],), lambda i: te.const(0.0, x.dtype), "start")

    def step(t, s):
        return te.compute((x.shape[1],), lambda i: decay[i] * s[i] + x[t, i], "next")

    return te.scan(x.shape[0], start, step, name="smooth")


def smooth_loop(x, decay):
    rows = []
    for t in range(x.shape[0]):
        rows.append(rows[-1] * decay + x[t] if rows else x[0] + 0.0 * decay)
    return rows


@tn.op
def oscillator(x, v, pull):
    """A state and its speed, both of which are results."""

    def step(t, x, v):
        fast = te.compute(v.shape, lambda i: v[i] - 0.1 * te.sin(x[i]) * pull[t], "fast")
        return te.compute(x.shape, lambda i: x[i] + 0.1 * fast[i], "far"), fast

    return te.scan(pull.shape[0], [x, v], step)


def oscillator_loop(x, v, pull):
    places, speeds = [], []
    for t in range(pull.shape[0]):
        v = v - f.sin(x) * (pull[t] * 0.1)
        x = x + v * 0.1
        places.append(x)
        speeds.append(v)
    return places, speeds


def test_running_sums_in_a_network_of_symbolic_length():
    n = te.symbol("n")
    net = tn.compile(
        lambda x: running_sum(f.exp(x) * 2.0) + 1.0, [tn.TensorSpec((3, n), "float64")]
    )
    for size in (5, 1):
        x = random(3, size)
        close(net(x), np.cumsum(2 * np.exp(x), axis=1) + 1)
    assert "1 kernel calls of 1 kernels" in net.report(), net.report()


def test_gradients_are_those_of_the_loop_written_out():
    x, decay = random(5, 3), np.array([0.3, 0.9, -0.5])

    def loss(x, decay):
        return f.sin(smooth(x * 2.0, decay)).sum()

    def written_out(x, decay):
        return sum((f.sin(row).sum() for row in smooth_loop(x * 2.0, decay)), 0.0)

    for got, want in zip(
        tn.grad(loss, argnums=(0, 1))(x, decay),
        tn.grad(written_out, argnums=(0, 1))(x, decay),
        strict=True,
    ):
        close(got, want)
    direction = [random(5, 3), random(3)]
    close(tn.jvp(loss, [x, decay], direction)[1], tn.jvp(written_out, [x, decay], direction)[1])

    def curvature(loss):
        return tn.jvp(tn.grad(loss), [x, decay], direction)[1]

    close(curvature(loss), curvature(written_out))


def test_several_results():
    x, v, pull = random(3), random(3), random(4)
    for got, want in zip(oscillator(x, v, pull), tn.jit(oscillator_loop)(x, v, pull), strict=True):
        close(got, np.stack([np.asarray(w) for w in want]))

    def loss(x, v, pull):
        places, speeds = oscillator(x, v, pull)
        return (places * f.sin(speeds)).sum()

    def written_out(x, v, pull):
        pairs = zip(*oscillator_loop(x, v, pull), strict=True)
        return sum(((p * f.sin(s)).sum() for p, s in pairs), 0.0)

    for got, want in zip(
        tn.grad(loss, argnums=(0, 1, 2))(x, v, pull),
        tn.grad(written_out, argnums=(0, 1, 2))(x, v, pull),
        strict=True,
    ):
        close(got, want)


def test_a_scan_with_several_results_is_computed_once():
    """Its results are parts of one value, which the gradient reads too."""

    def loss(x, v, pull):
        places, speeds = oscillator(x, v, pull)
        return (places * f.sin(speeds)).sum()

    net = tn.compile(
        lambda *a: tn.value_and_grad(loss, argnums=(0, 1, 2))(*a),
        [tn.TensorSpec(shape, "float64") for shape in ((3,), (3,), (4,))],
    )
    report = net.report()
    assert report.count("[oscillator]") == 1, report
    # Both cotangents of states are carried by one scan as well.
    assert len(re.findall(r"float64\[2, 4, 3\] +\[oscillator_grad\]", report)) == 1, report


def test_several_results_of_different_types():
    @tn.op
    def norms(x):
        def step(t, s, n):
            moved = te.compute((3,), lambda i: te.sin(s[i] + x[t, i]), "moved")
            k = te.reduce_axis(3, "k")
            norm = te.compute((), lambda: n[()] + te.sum(moved[k] * moved[k], axis=k), "norm")
            return moved, norm

        init = [
            te.compute(shape, lambda *i: te.const(0.0, "float64"), "zero") for shape in ((3,), ())
        ]
        return te.scan(x.shape[0], init, step)

    def written_out(x):
        s, n, rows, sums = x[0] * 0.0, 0.0, [], []
        for t in range(x.shape[0]):
            s = f.sin(s + x[t])
            n = (s * s).sum() + n
            rows.append(s)
            sums.append(n)
        return rows, sums

    x = random(4, 3)
    for got, want in zip(norms(x), tn.jit(written_out)(x), strict=True):
        close(got, np.stack([np.asarray(w) for w in want]))

    def loss(x):
        rows, sums = norms(x)
        return (rows * rows * rows).sum() + (sums * sums).sum()

    def expected(x):
        rows, sums = written_out(x)
        return (
            sum((r * r * r).sum() for r in rows[1:])
            + (rows[0] * rows[0] * rows[0]).sum()
            + sum((n * n for n in sums[1:]), sums[0] * sums[0])
        )

    close(tn.grad(loss)(x), tn.grad(expected)(x))


def test_batches():
    x, decay = random(4, 5, 3), random(4, 3)

    def loss(x, decay):
        return f.sin(smooth(x, decay)).sum()

    pairs = list(zip(x, decay, strict=True))
    close(tn.vmap(smooth)(x, decay), np.stack([np.asarray(smooth(*a)) for a in pairs]))
    close(
        tn.vmap(smooth, in_axes=(0, None))(x, decay[0]),
        np.stack([np.asarray(smooth(a, decay[0])) for a in x]),
    )
    gradient = tn.grad(loss, argnums=(0, 1))
    alone = [[np.asarray(g) for g in gradient(*a)] for a in pairs]
    loop = [np.stack(column) for column in zip(*alone, strict=True)]
    for got, want in zip(tn.vmap(gradient)(x, decay), loop, strict=True):
        close(got, want)
    of_batch = tn.grad(lambda x, d: tn.vmap(loss)(x, d).sum(), argnums=(0, 1))(x, decay)
    for got, want in zip(of_batch, loop, strict=True):
        close(got, want)


def test_recurrences_within_loops_and_branches():
    x, decay = random(5, 3), np.full(3, 0.5)

    def network(x):
        smoothed = tn.fori_loop(0, 3, lambda i, v: smooth(v, decay), x)
        return tn.cond(smoothed.sum() > 0, lambda v: running_sum(v), lambda v: v, smoothed)

    want = x
    for _ in range(3):
        want = np.stack(smooth_loop(want, decay))
    close(tn.jit(network)(x), np.cumsum(want, axis=1) if want.sum() > 0 else want)


def test_an_operator_that_scatters():
    add_rows = tn.op(lambda x, at, u: te.scatter(x, [at], u, mode="add"))
    x, at, u = random(4, 2), np.array([1, 3, 1]), random(3, 2)

    def expected(x, u):
        want = x.copy()
        np.add.at(want, at, u)
        return want

    close(add_rows(x, at, u), expected(x, u))

    def loss(x, u):
        return f.sin(add_rows(x * 2.0, at, u)).sum()

    dx, du = tn.grad(loss, argnums=(0, 1))(x, u)
    slope = np.cos(expected(2 * x, u))
    close(dx, 2 * slope)
    close(du, slope[at])


def test_a_state_outside_of_its_scan_is_named():
    leaked = []

    def step(t, s):
        leaked.append(s)
        return te.compute((3,), lambda i: s[i] + 1.0, "next")

    def wrong(x):
        te.scan(2, x, step, name="s")
        return te.compute((3,), lambda i: leaked[0][i], "late")

    with pytest.raises(tn.ExpressionError, match=r"reads 's_before', which is no operand.*E0181"):
        tn.op(wrong)(random(3))
