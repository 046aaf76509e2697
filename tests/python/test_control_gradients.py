"""Derivatives through branches and loops, against differences and loops written out."""

import numpy as np
import pytest

import tenon as tn
from tenon.nn import functional as f


def random(*shape):
    return np.random.default_rng(len(shape) + sum(shape)).standard_normal(shape)


def recurrence(w, b, h, xs, scan=tn.scan):
    """A loss that depends on all states, the last one, the weights and the inputs."""

    def step(h, x):
        h = f.tanh(f.linear(h, w) + x * b)
        return h, (h * h).sum()

    last, losses = scan(step, h, xs)
    return losses.sum() + (last * x_weights).sum()


x_weights = random(2, 3)


def written_out(w, b, h, xs):
    total = 0.0
    for t in range(xs.shape[0]):
        h = f.tanh(f.linear(h, w) + xs[t] * b)
        total = (h * h).sum() + total
    return total + (h * x_weights).sum()


def arguments():
    return random(3, 3) * 0.5, random(3), random(2, 3), random(5, 2, 3)


def close(got, expected, tolerance=1e-10):
    np.testing.assert_allclose(np.asarray(got), np.asarray(expected), tolerance, tolerance)


@pytest.mark.parametrize("reverse", [False, True])
def test_reverse_mode_through_scan_is_that_of_the_loop_written_out(reverse):
    w, b, h, xs = arguments()

    def scan(step, h, xs):
        return tn.scan(step, h, xs, reverse=reverse)

    value, grads = tn.value_and_grad(
        lambda w, b, h, xs: recurrence(w, b, h, xs, scan), argnums=(0, 1, 2, 3)
    )(w, b, h, xs)
    ordered = xs[::-1].copy() if reverse else xs
    expected, wanted = tn.value_and_grad(written_out, argnums=(0, 1, 2, 3))(w, b, h, ordered)
    close(value, expected)
    for got, want in zip(grads[:3], wanted[:3], strict=True):
        close(got, want)
    close(grads[3], np.asarray(wanted[3])[::-1] if reverse else wanted[3])


def test_reverse_mode_equals_central_differences():
    args = arguments()
    grads = tn.grad(recurrence, argnums=(0, 1, 2, 3))(*args)
    direction = [random(*a.shape) for a in args]
    loss = tn.jit(recurrence)
    step = 1e-6
    high, low = (
        float(np.asarray(loss(*[a + s * d for a, d in zip(args, direction, strict=True)])))
        for s in (step, -step)
    )
    slope = sum(float((np.asarray(g) * d).sum()) for g, d in zip(grads, direction, strict=True))
    assert abs(slope - (high - low) / (2 * step)) < 1e-6 * abs(slope)


def test_forward_mode_equals_reverse_mode_also_of_gradients():
    args = arguments()
    direction = [random(*a.shape) for a in args]
    grads = tn.grad(recurrence, argnums=(0, 1, 2, 3))(*args)
    slope = sum((np.asarray(g) * d).sum() for g, d in zip(grads, direction, strict=True))
    close(tn.jvp(recurrence, args, direction)[1], slope)
    _, b, h, xs = args

    def curvature(scan_loss):
        return tn.jvp(tn.grad(lambda w: scan_loss(w, b, h, xs)), [args[0]], [direction[0]])[1]

    close(curvature(recurrence), curvature(written_out), 1e-9)


def test_bounded_loops_that_use_their_iteration():
    def loss(x):
        return tn.fori_loop(0, 4, lambda i, v: f.sin(v) * (i.cast("float64") + 1.0), x).sum()

    def expected(x):
        for i in range(4):
            x = f.sin(x) * (i + 1.0)
        return x.sum()

    x = random(3)
    close(tn.grad(loss)(x), tn.grad(expected)(x))
    close(
        tn.grad(lambda x: tn.grad(loss)(x).sum())(x),
        tn.grad(lambda x: tn.grad(expected)(x).sum())(x),
    )


def test_loops_within_loops():
    def loss(x):
        def outer(s, row):
            inner, _ = tn.scan(lambda p, e: (f.sin(p * e), p), s, row)
            return inner, inner * inner

        last, ys = tn.scan(outer, x[0, 0], x)
        return last + ys.sum()

    def expected(x):
        s = x[0, 0]
        total = 0.0
        for i in range(3):
            for j in range(2):
                s = f.sin(s * x[i, j])
            total = s * s + total
        return s + total

    x = random(3, 2)
    close(tn.grad(loss)(x), tn.grad(expected)(x))


def test_the_forward_loop_runs_once_and_weights_are_laid_out_before_it():
    w, b, h, xs = arguments()
    net = tn.compile(
        lambda w, b, h, xs: tn.value_and_grad(recurrence, argnums=(0, 2))(w, b, h, xs),
        [tn.TensorSpec(a.shape, "float64") for a in (w, b, h, xs)],
    )
    report = net.report()
    assert report.count("(scan;") == 1, report
    assert report.count("(scan_grad;") == 1, report


def test_gradients_of_what_all_iterations_use_are_sums_after_the_loop():
    """One product for a weight, not one for each iteration; also without any loop backwards."""
    w, b, h, xs = arguments()
    net = tn.compile(
        lambda w, b, h, xs: tn.value_and_grad(recurrence, argnums=(0, 1))(w, b, h, xs),
        [tn.TensorSpec(a.shape, "float64") for a in (w, b, h, xs)],
    )
    assert "(scan_grad; 1 states" in net.report(), net.report()  # the cotangent of h alone

    def elementwise(w, xs):
        return tn.scan(lambda s, x: (s, f.linear(x, w)), xs[0], xs)[1].sum()

    net = tn.compile(
        lambda w, xs: tn.grad(elementwise)(w, xs),
        [tn.TensorSpec(a.shape, "float64") for a in (w, xs)],
    )
    assert "scan_grad" not in net.report(), net.report()
    close(net(w, xs), np.tile(xs.sum(axis=(0, 1)), (3, 1)))


def test_weights_used_several_times_and_in_several_ways():
    """Sums of terms, transposes, outer products and element-wise uses (which the loop carries)."""

    def loss(w, v, xs, scan=True):
        def step(h, x):
            two = f.linear(h, w) + f.linear(x, w.transpose(1, 0)) * 0.5
            return f.tanh(two * v + (w * w).sum() * 0.1 + v[0]), (two * w[0]).sum()

        if scan:
            last, ys = tn.scan(step, xs[0] * 0.0, xs)
            return last.sum() + ys.sum()
        h, total = xs[0] * 0.0, 0.0
        for t in range(xs.shape[0]):
            h, y = step(h, xs[t])
            total = y + total
        return h.sum() + total

    for shape in [(4, 3), (4, 2, 3)]:
        args = random(3, 3) * 0.4, random(3), random(*shape)
        got = tn.grad(loss, argnums=(0, 1, 2))(*args)
        want = tn.grad(lambda *a: loss(*a, scan=False), argnums=(0, 1, 2))(*args)
        for g, e in zip(got, want, strict=True):
            close(g, e)

        def curvature(of, args=args):
            return tn.jvp(tn.grad(lambda w: of(w, *args[1:])), [args[0]], [np.ones((3, 3))])[1]

        close(curvature(loss), curvature(lambda *a: loss(*a, scan=False)), 1e-9)


def test_branches():
    def loss(x, y):
        return tn.cond(x.sum() > 0, lambda a: (f.sin(a) * y).sum(), lambda a: (a * a * a).sum(), x)

    x, y = np.abs(random(4)), random(4)
    for a in (x, -x):
        gx, gy = tn.grad(loss, argnums=(0, 1))(a, y)
        close(gx, np.cos(a) * y if a.sum() > 0 else 3 * a * a)
        close(gy, np.sin(a) if a.sum() > 0 else np.zeros(4))
        slope = tn.jvp(loss, [a, y], [np.ones(4), np.ones(4)])[1]
        close(slope, (np.asarray(gx) + np.asarray(gy)).sum())


def test_a_loop_that_ends_by_data_has_a_forward_derivative_only():
    def root(a):
        return tn.while_loop(lambda x: abs(x * x - a) > 1e-13 * a, lambda x: (x + a / x) * 0.5, a)

    a = np.array(7.0)
    slope = tn.jvp(root, [a], [np.array(1.0)])[1]
    assert abs(float(np.asarray(slope)) - 0.5 / np.sqrt(7.0)) < 1e-9
    with pytest.raises(
        tn.GradientError, match=r"while_loop at .*test_control_gradients.py:\d+: .*\[E0174\]"
    ):
        tn.grad(root)(a)
