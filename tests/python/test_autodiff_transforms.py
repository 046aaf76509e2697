"""Derivatives of derivatives, batches, gradients written by hand."""

import numpy as np
import pytest
from derivatives import check, dot, interpret, placeholders

import tenon as tn
from tenon import te

RNG = np.random.default_rng(11)


def total(y, name="total"):
    """Sum a tensor of rank 1 to a scalar."""
    k = te.reduce_axis(y.shape[0], "k")
    return te.compute((), lambda: te.sum(y[k], axis=k), name=name)


def of_elements(f):
    return lambda x: total(te.compute(x.shape, lambda i: f(x[i]), name="y"))


def of_window(x):
    n, r = x.shape[0], te.reduce_axis(3, "r")
    y = te.compute((n - 2,), lambda i: te.tanh(te.sum(x[i + r] * x[i + 2 - r], axis=r)), name="y")
    return total(y)


def of_quadratic_form(x):
    n = x.shape[0]
    i, j = te.reduce_axis(n, "i"), te.reduce_axis(n, "j")
    return te.compute(
        (),
        lambda: te.sum(x[i] * te.exp(x[j] * 0.3) * te.cast(i + 2 * j, "float64"), axis=[i, j]),
        name="y",
    )


def of_softmax(x):
    k, m = te.reduce_axis(x.shape[0], "k"), te.reduce_axis(x.shape[0], "m")
    top = te.compute((), lambda: te.max(x[k], axis=k), name="top")
    e = te.compute(x.shape, lambda i: te.exp(x[i] - top[()]), name="e")
    sum_of = te.compute((), lambda: te.sum(e[m], axis=m), name="s")
    return total(te.compute(x.shape, lambda i: e[i] / sum_of[()] * te.cast(i, "float64"), name="y"))


def of_product(x):
    k = te.reduce_axis(x.shape[0], "k")
    return te.compute((), lambda: te.prod(x[k], axis=k), name="y")


SCALARS = {
    "exp": of_elements(lambda x: te.exp(0.5 * x)),
    "tanh": of_elements(te.tanh),
    "gelu": of_elements(te.gelu),
    "sin_of_square": of_elements(lambda x: te.sin(x * x)),
    "rational": of_elements(lambda x: x / (1 + x * x)),
    "pow": of_elements(lambda x: te.pow(te.abs(x), 2.5)),
    "window": of_window,
    "quadratic_form": of_quadratic_form,
    "softmax": of_softmax,
    "product": of_product,
}


def point(n=6):
    return np.array([0.7, -1.2, 0.4, 1.9, -0.6, 0.25])[:n]


@pytest.mark.parametrize("name", SCALARS)
def test_second_order(name):
    """Forward and reverse mode of a gradient against differences of the gradient."""
    check(lambda x: te.grad(SCALARS[name](x), x)[0], point())


def test_third_order():
    def second(x):
        (first,) = te.grad(of_elements(lambda v: te.sin(v) * v)(x), x)
        return te.grad(total(first, "again"), x)[0]

    check(second, point())


@pytest.mark.parametrize("name", SCALARS)
def test_batches_of_derivatives(name):
    """vmap(grad), grad(vmap), jvp(grad) equal loops over the batch."""
    points = np.stack([point(), point()[::-1].copy(), 0.5 * point()])
    directions = RNG.normal(size=points.shape)
    x = te.placeholder((6,), "float64", name="x")
    t = te.placeholder((6,), "float64", name="t")
    y = SCALARS[name](x)
    (gradient,) = te.grad(y, x)
    (turned,) = te.jvp(gradient, x, t)
    loop = [
        interpret([x, t], [y, gradient, turned], [p, d])
        for p, d in zip(points, directions, strict=True)
    ]
    values, gradients, turns = (np.stack(column) for column in zip(*loop, strict=True))

    (xs, ts), outputs = te.vmap([y, gradient, turned], [x, t], 3)
    found = interpret([xs, ts], outputs, [points, directions])
    assert np.array_equal(found[0], values)
    assert np.array_equal(found[1], gradients)
    assert np.array_equal(found[2], turns)

    (xs,), (ys,) = te.vmap([y], [x], 3)
    (of_batch,) = te.grad(total(ys), xs)
    (found,) = interpret([xs], [of_batch], [points])
    np.testing.assert_allclose(found, gradients, rtol=1e-12, atol=1e-14)


def test_vmap_computes_once_what_has_no_batch():
    a = te.placeholder((4, 3), "float64", name="a")
    b = te.placeholder((3,), "float64", name="b")
    k = te.reduce_axis(3, "k")
    scaled = te.compute((4, 3), lambda i, j: 2 * a[i, j], name="scaled")
    y = te.compute((4,), lambda i: te.sum(scaled[i, k] * b[k], axis=k), name="y")
    n = te.symbol("n")
    (same, bs), (ys, twice) = te.vmap([y, scaled], [a, b], n, [False, True])
    assert same == a
    f = tn.function([a, bs], [ys, twice], name="f")
    assert str(f).count("block scaled\n") == 1
    values, vectors = RNG.normal(size=(4, 3)), RNG.normal(size=(5, 3))
    ys, twice = interpret([a, bs], [ys, twice], [values, vectors])
    np.testing.assert_allclose(ys, 2 * vectors @ values.T, rtol=1e-12)
    assert np.array_equal(twice, np.broadcast_to(2 * values, (5, 4, 3)))
    with pytest.raises(tn.ExpressionError, match=r"vmap: 2 inputs but 1 statements.*E0160"):
        te.vmap([y], [a, b], 3, [True])


def test_intermediate_tensors_are_variables():
    x = te.placeholder((3,), "float64", name="x")
    h = te.compute((3,), lambda i: te.exp(x[i]), name="h")
    y = te.compute((3,), lambda i: h[i] * h[i] * x[i], name="y")
    g = te.placeholder((3,), "float64", name="g")
    dh, dx = te.vjp(y, [h, x], g)
    values = np.array([0.1, 0.5, -1.0])
    found_h, found_x = interpret([x, g], [dh, dx], [values, np.ones(3)])
    e = np.exp(values)
    np.testing.assert_allclose(found_h, 2 * e * values, rtol=1e-12)
    np.testing.assert_allclose(found_x, 2 * e * values * e + e * e, rtol=1e-12)


def test_results_are_tensors_of_their_own():
    """Sums pass their cotangent on: each input gets a copy that a function can return."""
    a, b, g = (te.placeholder((3,), "float64", name=n) for n in "abg")
    y = te.compute((3,), lambda i: a[i] + b[i], name="y")
    da, db = interpret([g], te.vjp(y, [a, b], g), [np.arange(3.0)])
    assert np.array_equal(da, np.arange(3.0))
    assert np.array_equal(db, np.arange(3.0))


def test_ties_follow_the_convention():
    x = te.placeholder((4,), "float64", name="x")
    k = te.reduce_axis(4, "k")
    at = np.array([1.0, 3.0, 3.0, 3.0])
    for reduce, values in ((te.max, at), (te.min, -at)):
        y = te.compute((), lambda reduce=reduce: reduce(x[k], axis=k), name="y")
        (found,) = interpret([x], te.grad(y, x), [values])
        assert np.array_equal(found, [0, 1, 0, 0])
    a, b = te.placeholder((1,), "float64", name="a"), te.placeholder((1,), "float64", name="b")
    for f in (te.minimum, te.maximum):
        y = total(te.compute((1,), lambda i, f=f: f(a[i], b[i]), name="y"))
        da, db = interpret([a, b], te.grad(y, [a, b]), [np.ones(1), np.ones(1)])
        assert (da[0], db[0]) == (1, 0)


@pytest.mark.parametrize("zeros", [[], [3], [3, 17]])
def test_products_of_many_terms(zeros):
    """Right for zeros, of both orders, in kernels of symbolic size."""
    n = te.symbol("n")
    x, v = te.placeholder((n,), "float64", name="x"), te.placeholder((n,), "float64", name="v")
    (gradient,) = te.grad(of_product(x), x)
    (turned,) = te.jvp(gradient, x, v)
    kernel = tn.build(tn.function([x, v], [gradient, turned], name="f"))
    values, direction = RNG.uniform(0.7, 1.4, 20), RNG.normal(size=20)
    values[zeros] = 0
    without = [np.prod(np.delete(values, i)) for i in range(20)]
    hessian = [
        [np.prod(np.delete(values, [i, j])) if i != j else 0 for j in range(20)] for i in range(20)
    ]
    found, product = (np.asarray(r) for r in kernel(values, direction))
    np.testing.assert_allclose(found, without, rtol=1e-12)
    np.testing.assert_allclose(product, hessian @ direction, rtol=1e-11, atol=1e-13)
    one, none = (np.asarray(r) for r in kernel(np.array([3.0]), np.array([2.0])))
    assert (one, none) == ([1.0], [0.0])


def test_select_never_multiplies_what_is_not_taken():
    """sqrt at 0 has an infinite slope, which the mask keeps away."""
    x = te.placeholder((2,), "float64", name="x")
    y = te.compute((2,), lambda i: te.select(x[i] > 0, te.sqrt(x[i]) * x[i] * 3.0, 0.0), name="y")
    (found,) = interpret([x], te.grad(total(y), x), [np.array([0.0, 4.0])])
    assert np.array_equal(found, [0, 9])


def test_narrow_floats_round_once():
    x = te.placeholder((64,), "bfloat16", name="x")
    k = te.reduce_axis(64, "k")
    y = te.compute((), lambda: te.sum(x[k] * x[k], axis=k, dtype="float32"), name="y")
    (dx,) = te.grad(y, x)
    assert dx.dtype == "bfloat16"
    b = te.placeholder((1,), "bfloat16", name="b")
    wide = te.compute((64,), lambda i: te.cast(b[0], "float32"), name="wide")
    (db,) = te.grad(total(wide), b)
    (found,) = interpret([], [db], [])
    assert float(found[0]) == 64


def test_stop_gradient():
    x = te.placeholder((3,), "float64", name="x")
    h = te.compute((3,), lambda i: x[i] * x[i], name="h")
    s = te.stop_gradient(h)
    y = te.compute((3,), lambda i: s[i] * x[i], name="y")
    values = np.array([1.0, 2.0, 3.0])
    (found,) = interpret([x], te.grad(total(y), x), [values])
    assert np.array_equal(found, values * values)
    t = te.placeholder((3,), "float64", name="t")
    (found,) = interpret([x, t], te.jvp(y, x, t), [values, np.ones(3)])
    assert np.array_equal(found, values * values)


def clipped_exp():
    """exp, with half its true gradient."""
    return te.custom_vjp(
        lambda x, scale: te.compute(x.shape, lambda i: te.exp(x[i]) * scale[i], name="e"),
        lambda g, y, x, scale: [
            te.compute(x.shape, lambda i: 0.5 * g[i] * y[i], name="dx"),
            None,
        ],
    )


def test_custom_vjp():
    x = te.placeholder((3,), "float64", name="x")
    scale = te.placeholder((3,), "float64", name="scale")
    y = clipped_exp()(x, scale)
    values, factors, g = RNG.normal(size=(3, 3))
    inputs = [x, scale]
    cotangent = te.placeholder((3,), "float64", name="g")
    with pytest.warns(UserWarning, match="no output depends on input 'scale'"):
        dx, dscale = te.vjp(y, inputs, cotangent)
    found_y, found, none = interpret([*inputs, cotangent], [y, dx, dscale], [values, factors, g])
    np.testing.assert_allclose(found_y, np.exp(values) * factors, rtol=1e-14)
    np.testing.assert_allclose(found, 0.5 * g * np.exp(values) * factors, rtol=1e-14)
    assert not none.any()
    # Forward mode is the transpose of the rule.
    t = placeholders("t", [values])
    (tangent,) = te.jvp(y, [x], t)
    (forward,) = interpret([*inputs, *t], [tangent], [values, factors, factors])
    np.testing.assert_allclose(dot([forward], [g]), dot([found], [factors]), rtol=1e-14)
    # And a batch of it has the rule for each of its elements.
    (xs, gs), (batch,) = te.vmap([dx], [x, cotangent], 2)
    twice = interpret(
        [xs, scale, gs], [batch], [np.stack([values, 2 * values]), factors, np.stack([g, g])]
    )[0]
    np.testing.assert_allclose(twice[0], found, rtol=1e-14)
    (xs,), (ys,) = te.vmap([y], [x], 2)
    gs = te.placeholder((2, 3), "float64", name="gs")
    (dxs,) = te.vjp(ys, xs, gs)
    twice = interpret(
        [xs, scale, gs], [dxs], [np.stack([values, 2 * values]), factors, np.stack([g, g])]
    )[0]
    np.testing.assert_allclose(twice[0], found, rtol=1e-14)
    np.testing.assert_allclose(twice[1], 0.5 * g * np.exp(2 * values) * factors, rtol=1e-14)


def test_mistakes_in_rules_are_named():
    x = te.placeholder((3,), "float64", name="x")
    g = te.placeholder((3,), "float64", name="g")

    def double(rule):
        body = lambda a: te.compute((3,), lambda i: a[i] * 2.0, name="double")  # noqa: E731
        return te.custom_vjp(body, rule)(x)

    with pytest.raises(tn.ExpressionError, match=r"vjp of 'double' gives 2 cotangents.*1.*E0163"):
        te.vjp(double(lambda g, y, x: [g, g]), x, g)
    wrong = te.compute((2,), lambda i: g[i], name="wrong")
    with pytest.raises(tn.ShapeError, match=r"cotangent of 'x' has shape \[2\].*E0430"):
        te.vjp(double(lambda g, y, x: [wrong]), x, g)
    hidden = te.custom_vjp(
        lambda a: te.compute((3,), lambda i: a[i] * x[i], name="hidden"), lambda g, y, a: [g]
    )
    a = te.compute((3,), lambda i: te.exp(x[i]), name="a")
    with pytest.raises(tn.GradientError, match=r"'hidden' has a vjp of its own.*'x'.*E0164"):
        te.vjp(hidden(a), x, g)
    square = double(lambda g, y, x: [te.compute((3,), lambda i: g[i] * g[i], name="s")])
    with pytest.raises(tn.GradientError, match=r"'double' is not linear in the cotangent.*E0165"):
        te.jvp(square, x, g)


def test_batches_of_scatters_and_gathers():
    x = te.placeholder((4, 2), "float64", name="x")
    at = te.placeholder((3,), "int64", name="at")
    u = te.placeholder((3, 2), "float64", name="u")
    y = te.scatter(
        x, [at], te.compute((3, 2), lambda i, j: u[i, j] * x[at[i], j], name="ux"), "add"
    )
    values, places = RNG.normal(size=(2, 4, 2)), np.array([[3, 0, 3], [1, 1, 2]])
    updates = RNG.normal(size=(3, 2))
    (xs, ats, _), (ys,) = te.vmap([y], [x, at, u], 2, [True, True, False])
    (found,) = interpret([xs, ats, u], [ys], [values, places, updates])
    for n in range(2):
        (one,) = interpret([x, at, u], [y], [values[n], places[n], updates])
        assert np.array_equal(found[n], one)


def test_ties_of_scatters_go_to_init_first():
    x, u = te.placeholder((2,), "float64", name="x"), te.placeholder((3,), "float64", name="u")
    at = te.placeholder((3,), "int64", name="at")
    y = te.scatter(x, [at], u, mode="max")
    arrays = [np.array([5.0, 1.0]), np.array([0, 1, 1]), np.array([5.0, 2.0, 2.0])]
    dx, du = interpret([x, at, u], te.grad(total(y), [x, u]), arrays)
    assert np.array_equal(dx, [1, 0])
    assert np.array_equal(du, [0, 1, 0])
