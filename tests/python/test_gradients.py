"""grad, vjp, jvp, vmap and their compositions; own rules; mistakes."""

import numpy as np
import pytest
from own_operators import banded_attention, rational, soft_histogram

import tenon as tn
from tenon import nn, te
from tenon.nn import functional as f

RNG = np.random.default_rng(3)


def random(*shape):
    return RNG.standard_normal(shape)


W1, W2, B = random(6, 4), random(3, 6), random(6)
GATE, P, Q = random(4), random(3), random(2)
CENTRES = np.linspace(-2, 2, 5)


def mlp(x):
    return f.tanh(f.linear(f.tanh(f.linear(x, W1, B)), W2)).sum()


def histogram(x):
    return (soft_histogram(x.reshape(1, 4), CENTRES, 0.7) ** 2.0).sum()


def attention(x):
    rows = x.reshape(1, 4, 1) * W1[:, :2].reshape(1, 1, 12)[:, :, :3]
    return f.tanh(banded_attention(rows, rows, rows, 1)).sum()


def recurrence(x):
    last, squares = tn.scan(lambda h, e: (f.tanh(h * P[0] + e * Q[1]), h * h), x[0], x)
    return squares.sum() + last


def iterated(x):
    return tn.fori_loop(0, 3, lambda i, v: f.sin(v * (i.cast("float64") + 0.7)), x).sum()


def branches(x):
    return tn.cond(x[0] > 0, lambda v: f.sin(v).sum(), lambda v: (v * v * v).mean(), x)


def running(x):
    y = te_running(x)
    return (y * y).sum()


@tn.op
def te_running(x):
    def step(t, s):
        return te.compute((), lambda: te.sin(s[()] * 0.5 + x[t]), "next")

    zero = te.compute((), lambda: te.const(0.0, x.dtype), "zero")
    return te.scan(x.shape[0], zero, step, name="running")


FUNCTIONS = {
    "polynomial": lambda x: (x * x * x - 2.0 * x).sum(),
    "mlp": mlp,
    "softmax": lambda x: (f.softmax(x) * f.softmax(2.0 * x)).sum(),
    "log_softmax": lambda x: f.log_softmax(f.tanh(x))[1:3].sum(),
    "layer_norm": lambda x: f.sigmoid(f.layer_norm(x, eps=0.1)).sum(),
    "quadratic": lambda x: (x.reshape(1, 4) @ W1[:4, :] @ x.reshape(4, 1)).sum() * f.exp(x[0]),
    "division": lambda x: (f.exp(x) / (1.0 + x * x)).mean(),
    "rational": lambda x: rational(x, GATE, P, Q).sum(),
    "histogram": histogram,
    "attention": attention,
    "scan": recurrence,
    "fori_loop": iterated,
    "cond": branches,
    "te.scan": running,
}
POINTS = random(3, 4)
CASES = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)


def hessian_product(function, x, v):
    return tn.jvp(tn.grad(function), [x], [v])[1]


@CASES
def test_second_order(function):
    x, v = POINTS[0], random(4)
    gradient = tn.grad(function)
    step = 1e-5
    expected = (np.asarray(gradient(x + step * v)) - np.asarray(gradient(x - step * v))) / (
        2 * step
    )
    forward_over_reverse = hessian_product(function, x, v)
    scale = max(1.0, abs(expected).max())
    np.testing.assert_allclose(forward_over_reverse, expected, atol=1e-6 * scale)
    reverse_over_reverse = tn.grad(lambda x: (gradient(x) * v).sum())(x)
    np.testing.assert_allclose(reverse_over_reverse, forward_over_reverse, atol=1e-11 * scale)


@CASES
def test_batches_of_gradients_are_gradients_of_batches_are_loops(function):
    gradient = tn.grad(function)
    loop = np.stack([gradient(x) for x in POINTS])
    np.testing.assert_allclose(tn.vmap(gradient)(POINTS), loop, rtol=1e-12, atol=1e-14)
    batched = tn.vmap(function)
    np.testing.assert_allclose(
        tn.grad(lambda x: batched(x).sum())(POINTS), loop, rtol=1e-12, atol=1e-14
    )
    products = tn.vmap(lambda x: hessian_product(function, x, POINTS[0]))(POINTS)
    loop = np.stack([hessian_product(function, x, POINTS[0]) for x in POINTS])
    np.testing.assert_allclose(products, loop, rtol=1e-11, atol=1e-13)


def test_variables_of_nested_gradients_are_told_apart():
    inner = tn.grad(lambda x: x * tn.grad(lambda y: x + y)(x))
    assert inner(3.0).numpy() == 1
    assert tn.grad(lambda x: tn.grad(lambda y: x * y * y)(x))(3.0).numpy() == 12


def test_trees_argnums_and_aux():
    def loss(params, x, scale):
        y = f.linear(x, params["w"], params["b"][0])
        return (y * y).sum() * scale, {"y": y}

    w, b, x = random(3, 4), random(3), random(5, 4)
    both = tn.value_and_grad(loss, argnums=(0, 2), has_aux=True)
    (value, aux), (gradient, by_scale) = both({"w": w, "b": [b]}, x, 2.0)
    y = x @ w.T + b
    np.testing.assert_allclose(value, 2 * (y * y).sum(), rtol=1e-12)
    np.testing.assert_allclose(aux["y"], y, rtol=1e-12)
    np.testing.assert_allclose(gradient["w"], 4 * y.T @ x, rtol=1e-12)
    np.testing.assert_allclose(gradient["b"][0], 4 * y.sum(0), rtol=1e-12)
    np.testing.assert_allclose(by_scale, (y * y).sum(), rtol=1e-12)
    gradient, aux = tn.grad(loss, has_aux=True)({"w": w, "b": [b]}, x, scale=1.0)
    np.testing.assert_allclose(gradient["w"], 2 * y.T @ x, rtol=1e-12)


def test_the_gradient_of_a_module_has_the_names_of_its_parameters():
    module = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)).initialize(1)
    x = random(5, 4).astype(np.float32)

    def loss(module, x):
        return (module(x) ** 2.0).sum()

    gradient = tn.grad(loss)(module, x)
    assert {name: g.shape for name, g in gradient.items()} == {
        name: p.shape for name, p in module.named_parameters()
    }
    by_name = tn.grad(lambda p: (nn.functional_call(module, p, x) ** 2.0).sum())
    for name, g in by_name(module.state_dict()).items():
        np.testing.assert_array_equal(g, gradient[name])
    with pytest.raises(tn.ModelError, match=r"should not have 'wrong'.*E0841"):
        nn.functional_call(module, {"wrong": x}, x)


def test_vjp_and_jvp_of_trees():
    def function(a, b):
        return {"product": a @ b, "sum": [a.sum()]}

    a, b, g = random(2, 3), random(3, 4), random(2, 4)
    result, pull = tn.vjp(function, a, b)
    np.testing.assert_allclose(result["product"], a @ b, rtol=1e-12)
    da, db = pull({"product": g, "sum": [np.float64(2)]})
    np.testing.assert_allclose(da, g @ b.T + 2, rtol=1e-12)
    np.testing.assert_allclose(db, a.T @ g, rtol=1e-12)
    da2, db2 = random(2, 3), random(3, 4)
    _, tangent = tn.jvp(function, (a, b), (da2, db2))
    np.testing.assert_allclose(tangent["product"], da2 @ b + a @ db2, rtol=1e-12)
    np.testing.assert_allclose(tangent["sum"][0], da2.sum(), rtol=1e-12)


def test_axes_of_batches():
    a, b = random(4, 5, 3), random(3, 6)
    got = tn.vmap(lambda x, y: x @ y, in_axes=(1, None), out_axes=2)(a, b)
    expected = np.moveaxis(np.moveaxis(a, 1, 0) @ b, 0, 2)
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    nested = tn.vmap(tn.vmap(lambda x, y: (x * y).sum(), (None, 0)), (0, None))
    np.testing.assert_allclose(nested(a[:, 0], a[0]), a[:, 0] @ a[0].T, rtol=1e-12)
    constant = tn.vmap(lambda x: (x, np.ones(2)), out_axes=(0, 0))(b)[1]
    np.testing.assert_array_equal(constant, np.ones((3, 2)))
    shared = tn.vmap(lambda d: d["x"] * d["s"], in_axes=({"x": 0, "s": None},))
    np.testing.assert_allclose(shared({"x": b, "s": 2.0}), 2 * b)


def test_derivatives_within_a_compiled_network():
    network = tn.compile(
        lambda x: tn.vmap(tn.grad(mlp))(x), [tn.TensorSpec(["batch", 4], "float64")]
    )
    for batch in (1, 3):
        expected = np.stack([tn.grad(mlp)(x) for x in POINTS[:batch]])
        np.testing.assert_allclose(network(POINTS[:batch]), expected, rtol=1e-12)


def test_gradients_over_a_symbolic_batch():
    def loss(w, b, x):
        return f.relu(f.linear(x, w, b)).sum()

    specs = [tn.TensorSpec([6, 4]), tn.TensorSpec([6]), tn.TensorSpec(["batch", "length", 4])]
    network = tn.compile(lambda *args: tn.grad(loss, argnums=(0, 1, 2))(*args), specs)
    w, b = W1.astype(np.float32), B.astype(np.float32)
    for batch, length in ((2, 3), (1, 1), (5, 7)):
        x = random(batch, length, 4).astype(np.float32)
        mask = (x @ w.T + b > 0).astype(np.float32)
        dw, db, dx = network(w, b, x)
        np.testing.assert_allclose(dw, np.einsum("bln,blk->nk", mask, x), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(db, mask.sum((0, 1)), rtol=1e-6)
        np.testing.assert_allclose(dx, mask @ w, rtol=1e-5, atol=1e-6)


def test_masks_of_relu_and_sums_of_biases_are_fused():
    def loss(params, x):
        for i in range(2):
            x = f.relu(f.linear(x, params[f"w{i}"], params[f"b{i}"]))
        return (x * x).sum()

    params = {"w0": W1, "b0": B, "w1": W2, "b1": random(3)}
    step = tn.jit(lambda params, x: tn.value_and_grad(loss)(params, x))
    step(params, POINTS)
    (entry,) = step._entries.values()
    kernels = [name for name, *_ in entry.core.calls]
    # Weights in the order of their product, two layers, the loss, two masks (the inner one after
    # its product), gradients of two weights and two biases.
    assert sum(name.startswith("matmul_add_relu") for name in kernels) == 2
    assert len(kernels) <= 11, kernels


def test_the_bits_do_not_depend_on_the_number_of_threads():
    w, x = random(80, 70).astype(np.float32), random(90, 70).astype(np.float32)
    gradient = tn.grad(lambda w: f.tanh(f.linear(x, w)).sum())
    results = []
    for threads in (1, 2, 3):
        tn.config.threads = threads
        results.append(np.asarray(gradient(w)))
    tn.config.threads = 0
    assert all((r == results[0]).all() for r in results)


def test_stop_gradient():
    x = random(4)
    got = tn.grad(lambda x: (x * tn.stop_gradient(x * x)).sum())(x)
    np.testing.assert_allclose(got, x * x)
    assert tn.stop_gradient({"x": x})["x"] is x


def test_own_rules():
    calls = []

    @tn.custom_vjp
    def log1p_exp(x):
        return f.log(1.0 + f.exp(x))

    def forward(x):
        return log1p_exp._function(x), (x, 2)

    def backward(residuals, g):
        x, two = residuals
        calls.append(two)
        return (g * f.sigmoid(x),)

    log1p_exp.defvjp(forward, backward)
    x = np.array([0.5, 800.0])
    np.testing.assert_allclose(log1p_exp(x[:1]), np.log1p(np.exp(x[:1])))
    np.testing.assert_allclose(tn.grad(lambda x: log1p_exp(x).sum())(x), 1 / (1 + np.exp(-x)))
    assert calls == [2]
    np.testing.assert_allclose(tn.jvp(log1p_exp, [x], [x])[1], x / (1 + np.exp(-x)))
    batch = random(3, 2)
    expected = 1 / (1 + np.exp(-batch))
    np.testing.assert_allclose(
        tn.vmap(tn.grad(lambda x: log1p_exp(x).sum()))(batch), expected, rtol=1e-12
    )
    batched = tn.vmap(log1p_exp)
    np.testing.assert_allclose(tn.grad(lambda x: batched(x).sum())(batch), expected, rtol=1e-12)
    second = tn.grad(tn.grad(log1p_exp))(0.25)
    s = 1 / (1 + np.exp(-0.25))
    np.testing.assert_allclose(second, s * (1 - s), rtol=1e-6)


def test_rules_of_operators():
    @tn.op
    def cube(x, factor):
        return te.compute(x.shape, lambda i: x[i] * x[i] * x[i] * factor, name="cube")

    @cube.def_vjp
    def cube_vjp(g, result, x, factor):
        return g * result * 3.0 / x, None

    x = random(5)
    np.testing.assert_allclose(tn.grad(lambda x: cube(x, 2.0).sum())(x), 6 * x * x, rtol=1e-12)
    np.testing.assert_allclose(cube(x, 2.0), 2 * x**3, rtol=1e-12)


def test_rules_within_expressions_are_kept():
    @tn.op
    def op(x, y):
        rounded = te.custom_vjp(
            lambda a: te.compute(a.shape, lambda i: te.round(a[i]), name="rounded"),
            lambda g, result, a: [te.compute(g.shape, lambda i: g[i] * a[i], name="rounded_grad")],
        )
        scaled = te.compute(x.shape, lambda i: x[i] * y[i], name="scaled")
        fixed = te.stop_gradient(te.compute(x.shape, lambda i: x[i] + 1.0, name="fixed"))
        z = rounded(scaled)
        return te.compute(x.shape, lambda i: z[i] * fixed[i], name="z")

    x, y = random(4), random(4)
    dx, dy = tn.grad(lambda x, y: op(x, y).sum(), argnums=(0, 1))(x, y)
    np.testing.assert_allclose(dx, (x + 1) * x * y * y, rtol=1e-12)
    np.testing.assert_allclose(dy, (x + 1) * x * y * x, rtol=1e-12)


def test_own_operators_are_differentiated():
    x = {"x": random(3, 4), "gate": random(4), "p": random(3), "q": random(2)}

    def loss(d):
        return f.tanh(rational(d["x"], d["gate"], d["p"], d["q"])).sum()

    gradient = tn.grad(loss)(x)
    run = tn.jit(loss)
    for name, array in x.items():
        direction = random(*array.shape)
        ahead, behind = (run({**x, name: array + s * 1e-6 * direction}) for s in (1, -1))
        expected = (np.asarray(ahead) - np.asarray(behind)) / 2e-6
        assert np.vdot(gradient[name], direction) == pytest.approx(float(expected), rel=1e-6)


def test_mistakes():
    x = random(3)
    with pytest.raises(tn.DTypeError, match=r"with respect to 'n' of type int64\[3\].*E0541"):
        tn.grad(lambda n: n.cast("float32").sum())(np.arange(3))
    with pytest.raises(tn.DTypeError, match=r"with respect to 's', a str.*E0543"):
        tn.grad(lambda s: 1.0)("x")
    with pytest.raises(tn.DTypeError, match=r"derivative of a bool\[\].*E0541"):
        tn.grad(lambda x: x[0] > 0.0)(x)
    with pytest.raises(tn.ShapeError, match=r"gradient of a float64\[3\] that is no scalar.*E0487"):
        tn.grad(lambda x: x * 2.0)(x)
    with pytest.raises(tn.ExpressionError, match=r"gradient of a tuple needs cotangents.*E0187"):
        tn.grad(lambda x: (x.sum(), x.sum()))(x)
    with pytest.raises(tn.ExpressionError, match=r"returned a str.*E0183"):
        tn.grad(lambda x: "loss")(x)
    with pytest.raises(tn.ExpressionError, match=r"argnums=1.*1 positional.*E0186"):
        tn.grad(lambda x: x.sum(), argnums=1)(x)
    with pytest.raises(tn.ExpressionError, match=r"has_aux=True.*pair.*E0187"):
        tn.grad(lambda x: x.sum(), has_aux=True)(x)
    pull = tn.vjp(lambda x: x * 2.0, x)[1]
    with pytest.raises(tn.ShapeError, match=r"cotangent of a float64\[3\].*float64\[4\].*E0488"):
        pull(random(4))
    with pytest.raises(tn.DTypeError, match=r"cotangent of a float64\[3\].*float32\[3\].*E0542"):
        pull(x.astype(np.float32))
    with pytest.raises(tn.ExpressionError, match=r"form of the result.*E0187"):
        pull({"x": x})
    with pytest.raises(tn.ShapeError, match=r"tangent of a float64\[3\].*E0488"):
        tn.jvp(lambda x: x, [x], [random(2)])
    with pytest.raises(tn.ShapeError, match=r"batch of 3 at axis 0, others of 2.*E0489"):
        tn.vmap(lambda a, b: a + b)(random(2), x)
    with pytest.raises(tn.ShapeError, match=r"argument 'a' of vmap has 1 dimensions.*E0489"):
        tn.vmap(lambda a: a, in_axes=1)(x)
    with pytest.raises(tn.ExpressionError, match=r"in_axes=\(0,\) should have.*2 parts.*E0188"):
        tn.vmap(lambda a, b: a + b, in_axes=(0,))(x, x)
    with pytest.raises(tn.ExpressionError, match=r"maps no argument.*E0188"):
        tn.vmap(lambda a: a, in_axes=None)(x)
    with pytest.raises(tn.ExpressionError, match=r"depends on the batch.*E0188"):
        tn.vmap(lambda a: a, out_axes=None)(x)
    with pytest.raises(tn.ExpressionError, match=r"'nothing' has no rule.*E0189"):
        tn.custom_vjp(nothing)(x)
    with pytest.raises(
        tn.ExpressionError,
        match=r"'lossy' at .*test_gradients.py:\d+ has no derivative: .*'x'.*E0185\][^$]*def_vjp",
    ):
        tn.grad(lambda x: lossy(x).sum())(x)
    with pytest.warns(UserWarning, match="does not depend on 'y'"):
        zero = tn.grad(lambda x, y: x.sum(), argnums=1)(x, random(2, 2))
    np.testing.assert_array_equal(zero, np.zeros((2, 2)))


def nothing(x):
    return x


@tn.op
def lossy(x):
    """Its gradient by hand does not know of all that it reads."""
    scaled = te.compute(x.shape, lambda i: x[i] * 2.0, name="scaled")
    product = te.custom_vjp(
        lambda s: te.compute(s.shape, lambda i: s[i] * x[i], name="product"),
        lambda g, y, s: [g],
    )
    return product(scaled)


def test_own_rules_that_do_not_fit():
    def with_rule(backward):
        function = tn.custom_vjp(lambda x: x)
        function.defvjp(lambda x: (x, None), backward)
        return tn.grad(lambda x: function(x).sum())

    x = random(3)
    with pytest.raises(tn.ExpressionError, match=r"each of its 1 arguments.*E0189"):
        with_rule(lambda _, g: (g, g))(x)
    with pytest.raises(tn.ExpressionError, match=r"2 cotangents for an argument of 1.*E0189"):
        with_rule(lambda _, g: ([g, g],))(x)
    with pytest.raises(tn.ShapeError, match=r"cotangent of a float64\[3\].*E0488"):
        with_rule(lambda _, g: (g.sum(),))(x)


def test_long_and_shared_computations_stay_small():
    def squarings(x):
        for _ in range(60):
            x = x * x
        return x.sum()

    ones = np.ones(3)
    np.testing.assert_array_equal(tn.grad(squarings)(ones), np.full(3, 2.0**60))
    second = tn.grad(lambda x: tn.grad(squarings)(x).sum())(ones)
    np.testing.assert_allclose(second, np.full(3, 2.0**60 * (2.0**60 - 1)), rtol=1e-12)

    def chain(x):
        for _ in range(2000):
            x = x * 0.999 + 0.5
        return x.sum()

    x = 0.0
    for _ in range(2000):
        x = x * 0.999 + 0.5
    np.testing.assert_allclose(tn.jit(chain)(np.zeros(2)), 2 * x, rtol=1e-12)
