"""`te.scan` and `te.cumsum` against loops in NumPy, compiled."""

import numpy as np
import pytest

import tenon as tn
from tenon import te


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(steps, batch, inputs, size):
    """Build an LSTM cell over time; gates in the order input, forget, cell, output."""
    x = te.placeholder((steps, batch, inputs), "float32", name="x")
    w = te.placeholder((inputs, 4 * size), "float32", name="W")
    u = te.placeholder((size, 4 * size), "float32", name="U")
    h0, c0 = (te.placeholder((batch, size), "float32", name=n) for n in ("h0", "c0"))
    k, r = te.reduce_axis(inputs, name="k"), te.reduce_axis(size, name="r")
    projected = te.compute(
        (steps, batch, 4 * size), lambda t, i, j: te.sum(x[t, i, k] * w[k, j], axis=k), "projected"
    )

    def step(t, h, c):
        gates = te.compute(
            (batch, 4 * size),
            lambda i, j: projected[t, i, j] + te.sum(h[i, r] * u[r, j], axis=r),
            name="gates",
        )
        c_next = te.compute(
            (batch, size),
            lambda i, j: (
                te.sigmoid(gates[i, size + j]) * c[i, j]
                + te.sigmoid(gates[i, j]) * te.tanh(gates[i, 2 * size + j])
            ),
            name="c_next",
        )
        h_next = te.compute(
            (batch, size),
            lambda i, j: te.sigmoid(gates[i, 3 * size + j]) * te.tanh(c_next[i, j]),
            name="h_next",
        )
        return h_next, c_next

    h, c = te.scan(steps, [h0, c0], step, name="lstm")
    assert (h.op, h.dtype, h.name) == ("scan", "float32", "lstm_0")
    return tn.build(tn.function([x, w, u, h0, c0], [h, c]))


def test_lstm_of_symbolic_steps_and_batch():
    kernel = lstm(te.symbol("steps"), te.symbol("batch"), 5, 24)
    random = np.random.default_rng(1)
    w, u = (random.standard_normal((n, 96)).astype(np.float32) * 0.3 for n in (5, 24))
    for steps, batch in [(7, 6), (1, 1), (0, 2)]:
        x = random.standard_normal((steps, batch, 5)).astype(np.float32)
        h, c = (random.standard_normal((batch, 24)).astype(np.float32) for _ in "hc")
        got_h, got_c = (np.asarray(v) for v in kernel(x, w, u, h, c))
        assert got_h.shape == got_c.shape == (steps, batch, 24)
        for t in range(steps):
            gates = x[t] @ w + h @ u
            i, f, g, o = (gates[:, n * 24 : (n + 1) * 24] for n in range(4))
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            np.testing.assert_allclose(got_h[t], h, rtol=2e-5, atol=2e-6)
            np.testing.assert_allclose(got_c[t], c, rtol=2e-5, atol=2e-6)


def test_last_state_only_and_one_state():
    n = te.symbol("n")
    x = te.placeholder((n, 3), "int64", name="x")
    start = te.placeholder((3,), "int64", name="start")

    def step(t, s):
        return te.compute((3,), lambda i: s[i] * 3 + x[t, i], name="next")

    out = te.scan(n, start, step, last=True)
    kernel = tn.build(tn.function([x, start], [out]))
    for size in (4, 0):
        a, s = np.arange(3 * size).reshape(size, 3), np.array([1, 2, 3])
        got = np.asarray(kernel(a, s))
        for row in a:
            s = s * 3 + row
        np.testing.assert_array_equal(got, s)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int8"])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_running_sums(dtype, axis):
    x = te.placeholder((5, 40, 7), dtype, name="x")
    kernel = tn.build(tn.function([x], [te.cumsum(x, axis)]))
    a = (np.random.default_rng(2).standard_normal((5, 40, 7)) * 9).astype(dtype)
    np.testing.assert_array_equal(np.asarray(kernel(a)), np.cumsum(a, axis=axis, dtype=dtype))


@pytest.mark.parametrize("threads", [1, 2])
def test_bits_do_not_depend_on_the_number_of_threads(threads):
    """Running sums over columns, which threads share."""
    x = te.placeholder((64, 4096), "float32", name="x")
    kernel = tn.build(tn.function([x], [te.cumsum(x)]))
    a = np.random.default_rng(3).standard_normal((64, 4096)).astype(np.float32)
    before = tn.config.threads
    try:
        tn.config.threads = threads
        got = np.asarray(kernel(a))
    finally:
        tn.config.threads = before
    np.testing.assert_array_equal(got, np.cumsum(a, axis=0, dtype=np.float32))


def test_mistakes():
    start = te.placeholder((2,), "float32", name="start")
    with pytest.raises(tn.ExpressionError, match=r"gives 2 tensors, expected 1.*\[E0116\]"):
        te.scan(3, start, lambda t, s: (s, s))
    with pytest.raises(tn.ExpressionError, match=r"a step of scan 'y' .* got 3 \[E0118\]"):
        te.scan(3, start, lambda t, s: 3, name="y")
    with pytest.raises(tn.ShapeError, match=r"shape \[3\] after a step.*\[E0408\]"):
        te.scan(3, start, lambda t, s: te.compute((3,), lambda i: s[0]))
    with pytest.raises(tn.DTypeError, match=r"dtype int64 after a step.*\[E0509\]"):
        te.scan(3, start, lambda t, s: te.compute((2,), lambda i: t + i))
    leaked = []

    def step(t, s):
        leaked.append(te.compute((2,), lambda i: s[i] + 1, name="leaked"))
        return leaked[0]

    te.scan(3, start, step)
    with pytest.raises(tn.ExpressionError, match=r"outside of the scan's step.*\[E0117\]"):
        tn.function([start], [leaked[0]])
