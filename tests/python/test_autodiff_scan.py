"""Derivatives through `te.scan`: both modes against central differences, and of derivatives."""

import numpy as np
import pytest
from derivatives import check, interpret

import tenon as tn
from tenon import te

RNG = np.random.default_rng(23)


def normal(*shape):
    return np.asarray(0.7 * RNG.normal(size=shape))


def index(i):
    """An index as a value."""
    return te.cast(i, "float64")


def axis(extent, name="k"):
    return te.reduce_axis(extent, name)


def rnn(x, w, h0):
    """Plain recurrence: weights in every step, inputs by the step."""
    k = axis(w.shape[0])

    def step(t, h):
        return te.compute(
            h0.shape, lambda j: te.tanh(x[t, j] + te.sum(h[k] * w[k, j], axis=k)), "next"
        )

    return te.scan(x.shape[0], h0, step, name="h")


def lstm(x, u, h0, c0):
    """Two states, one tensor of the step between them."""
    size = h0.shape[0]
    r = axis(size, "r")

    def step(t, h, c):
        gates = te.compute(
            (4 * size,), lambda j: x[t, j] + te.sum(h[r] * u[r, j], axis=r), name="gates"
        )
        c_next = te.compute(
            (size,),
            lambda i: (
                te.sigmoid(gates[size + i]) * c[i]
                + te.sigmoid(gates[i]) * te.tanh(gates[2 * size + i])
            ),
            name="c_next",
        )
        h_next = te.compute(
            (size,), lambda i: te.sigmoid(gates[3 * size + i]) * te.tanh(c_next[i]), name="h_next"
        )
        return h_next, c_next

    return te.scan(x.shape[0], [h0, c0], step, name="lstm")


def exchange(x, a0, b0):
    """Each state becomes the other; one of them is an operand of nothing else."""

    def step(t, a, b):
        return te.compute((2,), lambda i: te.sin(b[i]) + x[t, i], "a"), a

    return te.scan(x.shape[0], [a0, b0], step)[1]


def counted(x, h0):
    """An integer state chooses what is read and by what it is multiplied."""

    def step(t, h, n):
        following = te.compute((), lambda: (n[()] * 3 + 1) % 5, "n_next")
        factor = te.compute((), lambda: index(n[()]) * 0.3, "factor")
        return te.compute((3,), lambda i: h[i] * factor[()] + x[n[()], i], "next"), following

    zero = te.compute((), lambda: te.const(2, "int64"), "zero")
    return te.scan(4, [h0, zero], step)[0]


def nested(x, s0):
    """A row is a recurrence of its own, from twice the state before."""

    def outer(t, s):
        twice = te.compute((), lambda: s[()] * 2.0 * te.tanh(x[t, 0]), "twice")

        def inner(u, r):
            return te.compute((), lambda: te.sin(r[()] * x[t, u] + index(t)), "add")

        return te.scan(x.shape[1], twice, inner, name="row", last=True)

    return te.scan(x.shape[0], s0, outer, name="rows")


def window_of_step(x, s0):
    """A domain and an index that the step decides."""

    def step(t, s):
        k = te.reduce_axis((0, t + 1), "k")
        return te.compute(
            (4,), lambda i: te.tanh(te.sum(x[k] * s[(i + t) % 4], axis=k)) + s[i] * 0.5, "next"
        )

    return te.scan(x.shape[0], s0, step)


def lifted_of_step(x, s0):
    """A reduction over the step's domain inside a larger expression, twice."""

    def step(t, s):
        k, m = te.reduce_axis((0, t + 1), "k"), axis(3, "m")
        return te.compute(
            (3,), lambda i: te.sum(x[k] * s[i], axis=k) * te.sin(te.sum(s[m], axis=m)), "next"
        )

    return te.scan(x.shape[0], s0, step)


def extremes(x, s0):
    """A product, a maximum, and a select on the step."""

    def step(t, s):
        k, m = axis(3), axis(3, "m")
        top = te.compute((), lambda: te.max(s[m] * x[t, m], axis=m), "top")
        both = te.compute((), lambda: te.prod(s[k] + 1.0, axis=k), "both")
        return te.compute(
            (3,), lambda i: te.select(t > 1, te.sin(both[()]) * s[i], top[()] + 0.5 * s[i]), "n"
        )

    return te.scan(x.shape[0], s0, step)


def scattered(x, at, s0):
    """Each step adds to places that data decide, and reads at such."""

    def step(t, s):
        one = te.compute((1,), lambda i: x[t] * s[at[(t + 1) % 4]], "one")
        place = te.compute((1,), lambda i: at[t], "place")
        return te.scatter(s, [place], one, "add", name="bump")

    return te.scan(x.shape[0], s0, step)


def marked(x, w, s0):
    """Gradients written by hand within a step, also for what only they name."""
    double = te.custom_vjp(
        lambda a, b: te.compute(a.shape, lambda i: 2.0 * te.sin(a[i]) * b[i], name="double"),
        lambda g, y, a, b: [
            te.compute(a.shape, lambda i: 2.0 * te.cos(a[i]) * b[i] * g[i], name="da"),
            te.compute(a.shape, lambda i: 2.0 * te.sin(a[i]) * g[i], name="db"),
        ],
    )

    def step(t, s):
        moved = te.compute((3,), lambda i: s[i] + x[t, i], "moved")
        turned = double(moved, w)
        return te.compute((3,), lambda i: 0.4 * turned[i], "next")

    return te.scan(x.shape[0], s0, step)


def both_results(x, u, h0, c0):
    h, c = lstm(x, u, h0, c0)
    return te.compute(h.shape, lambda t, i: h[t, i] * c[x.shape[0] - 1 - t, i] + h[0, i], "y")


def in_the_middle(x, w, h0):
    """Init and inputs are computed from one variable, and the states are read in many ways."""
    start = te.compute(h0.shape, lambda i: te.sin(h0[i]) * w[i, 0], "start")
    inputs = te.compute(x.shape, lambda t, i: x[t, i] * h0[i], "inputs")
    h = rnn(inputs, w, start)
    k = axis(x.shape[0], "k")
    return te.compute(
        h0.shape, lambda i: te.sum(h[k, i] * h[x.shape[0] - 1 - k, 0], axis=k) + h[2, i], "y"
    )


PROGRAMS = {
    "rnn": (rnn, [(5, 3), (3, 3), (3,)]),
    "rnn of one step": (rnn, [(1, 3), (3, 3), (3,)]),
    "lstm": (lstm, [(4, 8), (2, 8), (2,), (2,)]),
    "one of two results": (lambda *a: lstm(*a)[1], [(4, 8), (2, 8), (2,), (2,)]),
    "both results": (both_results, [(4, 8), (2, 8), (2,), (2,)]),
    "exchange": (exchange, [(4, 2), (2,), (2,)]),
    "counted": (counted, [(5, 3), (3,)]),
    "nested": (nested, [(3, 4), ()]),
    "window of the step": (window_of_step, [(5,), (4,)]),
    "lifted of the step": (lifted_of_step, [(4,), (3,)]),
    "extremes": (extremes, [(4, 3), (3,)]),
    "scattered": (scattered, [(4,), np.array([2, 0, 2, 1]), (3,)]),
    "marked": (marked, [(3, 3), (3,), (3,)]),
    "in the middle": (in_the_middle, [(4, 3), (3, 3), (3,)]),
    "cumsum": (lambda x: te.cumsum(x), [(6,)]),
    "cumsum of columns": (lambda x: te.cumsum(x, 1), [(2, 5, 3)]),
    "last state": (
        lambda x, s: te.scan(3, s, lambda t, v: te.compute((), lambda: v[()] * x[t]), last=True),
        [(3,), ()],
    ),
    "no dependence on the state": (
        lambda x, s: te.scan(3, s, lambda t, v: te.compute((2,), lambda i: te.exp(x[t, i]))),
        [(3, 2), (2,)],
    ),
}


def arrays_of(name):
    return [normal(*a) if isinstance(a, tuple) else a for a in PROGRAMS[name][1]]


# A state that nothing reads gives its init no derivative.
@pytest.mark.filterwarnings("ignore:.*its derivative is zero:UserWarning")
@pytest.mark.parametrize("name", PROGRAMS)
def test_both_modes(name):
    check(PROGRAMS[name][0], *arrays_of(name))


def total(ys):
    """Sum the sines of all elements to a scalar."""
    parts = []
    for y in ys if isinstance(ys, list | tuple) else [ys]:
        axes = [te.reduce_axis(e, f"k{d}") for d, e in enumerate(y.shape)]
        parts.append(
            te.compute(
                (),
                lambda y=y, axes=axes: (
                    te.sum(te.sin(y[tuple(axes)]), axis=axes) if axes else te.sin(y[()])
                ),
                name="part",
            )
        )
    return te.compute((), lambda: sum((p[()] for p in parts[1:]), parts[0][()]), name="total")


SECOND_ORDER = ["rnn", "both results", "nested", "extremes", "scattered", "in the middle", "cumsum"]


@pytest.mark.parametrize("name", SECOND_ORDER)
def test_second_order(name):
    """Forward and reverse mode of a gradient against differences of the gradient."""
    make = PROGRAMS[name][0]

    def gradients(*inputs):
        floats = [x for x in inputs if x.dtype == "float64"]
        return te.grad(total(make(*inputs)), floats)

    check(gradients, *arrays_of(name))


@pytest.mark.filterwarnings("ignore:.*its derivative is zero:UserWarning")
@pytest.mark.parametrize("name", PROGRAMS)
def test_batches(name):
    """vmap(grad), grad(vmap) and jvp(grad) equal loops over the batch."""
    make = PROGRAMS[name][0]
    batch = [arrays_of(name) for _ in range(3)]
    inputs = [te.placeholder(a.shape, a.dtype, name=f"x{i}") for i, a in enumerate(batch[0])]
    smooth = [i for i, x in enumerate(inputs) if x.dtype == "float64"]
    variables = [inputs[i] for i in smooth]
    tangents = [te.placeholder(x.shape, x.dtype, name="t") for x in variables]
    directions = [[normal(*x.shape) for x in variables] for _ in range(3)]
    loss = total(make(*inputs))
    gradients = list(te.grad(loss, variables))
    turned = list(te.jvp(gradients, variables, tangents))
    loop = [
        interpret([*inputs, *tangents], [loss, *gradients, *turned], [*a, *d])
        for a, d in zip(batch, directions, strict=True)
    ]
    expected = [np.stack(column) for column in zip(*loop, strict=True)]
    stacked = [np.stack(column) for column in zip(*batch, strict=True)]
    stacked_directions = [np.stack(column) for column in zip(*directions, strict=True)]

    many, outputs = te.vmap([loss, *gradients, *turned], [*inputs, *tangents], 3)
    found = interpret(many, outputs, [*stacked, *stacked_directions])
    for got, want in zip(found, expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-13)

    many, (losses,) = te.vmap([loss], inputs, 3)
    k = axis(3)
    sum_of = te.compute((), lambda: te.sum(losses[k], axis=k), name="sum")
    of_batch = te.grad(sum_of, [many[i] for i in smooth])
    for got, want in zip(
        interpret(many, of_batch, stacked), expected[1 : 1 + len(smooth)], strict=True
    ):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-13)


def test_states_that_no_batch_reaches_stay_as_they_are():
    x = te.placeholder((4,), "float64", name="x")
    w = te.placeholder((4,), "float64", name="w")

    def step(t, a, b):
        following = te.compute((), lambda: b[()] * w[t], "b_next")
        return te.compute((), lambda: a[()] + x[t] * b[()], "a_next"), following

    one = te.compute((), lambda: te.const(1.0, "float64"), "one")
    a, b = te.scan(4, [one, one], step, name="s")
    (xs, same), outputs = te.vmap([a, b], [x, w], 2, [True, False])
    assert same == w
    text = str(tn.function([xs, w], outputs, name="f"))
    assert "alloc s_1: float64[4]" in text
    values, weights = normal(2, 4), normal(4)
    for n, row in enumerate(values):
        alone = interpret([x, w], [a, b], [row, weights])
        for got, want in zip(interpret([xs, w], outputs, [values, weights]), alone, strict=True):
            np.testing.assert_array_equal(got[n], want)


def test_symbolic_steps_compiled():
    n = te.symbol("n")
    x = te.placeholder((n, 3), "float64", name="x")
    w = te.placeholder((3, 3), "float64", name="w")
    h0 = te.placeholder((3,), "float64", name="h0")
    g = te.placeholder((n, 3), "float64", name="g")
    h = rnn(x, w, h0)
    kernel = tn.build(tn.function([x, w, h0, g], [h, *te.vjp(h, [x, w, h0], g)]))
    for steps in (4, 1, 0):
        a, b, c, d = normal(steps, 3), normal(3, 3), normal(3), normal(steps, 3)
        _, dx, dw, dh = (np.asarray(v) for v in kernel(a, b, c, d))
        states = [c]
        for row in a:
            states.append(np.tanh(row + states[-1] @ b))
        later = np.zeros(3)
        want_x, want_w = np.zeros_like(a), np.zeros_like(b)
        for t in reversed(range(steps)):
            inside = (later + d[t]) * (1 - states[t + 1] ** 2)
            want_x[t] = inside
            want_w += np.outer(states[t], inside)
            later = b @ inside
        np.testing.assert_allclose(dx, want_x, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(dw, want_w, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(dh, later, rtol=1e-12, atol=1e-14)


def test_weights_get_one_product_after_the_loop_and_no_state_is_computed_again():
    shapes = {"x": (8, 3), "w": (3, 3), "h0": (3,), "g": (8, 3)}
    x, w, h0, g = (te.placeholder(s, "float32", name=n) for n, s in shapes.items())
    text = str(tn.function([x, w, h0, g], list(te.vjp(rnn(x, w, h0), [w], g)), name="f"))
    assert text.count("tanh(") == 1
    block = text[text.index("block w_grad {") :]
    assert "reduction vb in 0..8" in block
    assert "ordered" not in block
    assert "[8, 3, 3]" not in text


@pytest.mark.parametrize("name", ["both results", "nested", "lifted of the step", "scattered"])
def test_compiled(name):
    """Kernels of both modes have the values of the interpreter."""
    arrays = arrays_of(name)
    inputs = [te.placeholder(a.shape, a.dtype, name=f"x{i}") for i, a in enumerate(arrays)]
    variables = [x for x in inputs if x.dtype == "float64"]
    gradients = list(te.grad(total(PROGRAMS[name][0](*inputs)), variables))
    tangents = list(te.jvp(gradients, variables, variables))
    kernel = tn.build(tn.function(inputs, [*gradients, *tangents], name="f"))
    expected = interpret(inputs, [*gradients, *tangents], arrays)
    for got, want in zip(kernel(*arrays), expected, strict=True):
        np.testing.assert_allclose(np.asarray(got), want, rtol=1e-11, atol=1e-12)


def test_stop_gradient_within_a_step():
    x = te.placeholder((3,), "float64", name="x")
    s0 = te.placeholder((), "float64", name="s0")

    def step(t, s):
        held = te.stop_gradient(te.compute((), lambda: te.sin(s[()]), "held"))
        return te.compute((), lambda: s[()] * x[t] + held[()], "next")

    last = te.scan(3, s0, step, last=True)
    a, s = np.array([0.3, -0.7, 1.1]), 0.4
    dx, ds = interpret([x, s0], te.grad(last, [x, s0]), [a, np.asarray(s)])
    states = [s]
    for v in a:
        states.append(states[-1] * v + np.sin(states[-1]))
    np.testing.assert_allclose(ds, np.prod(a), rtol=1e-14)
    np.testing.assert_allclose(
        dx, [states[0] * a[1] * a[2], states[1] * a[2], states[2]], rtol=1e-14
    )
