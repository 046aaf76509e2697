"""Operators that are one Python function."""

import numpy as np
import pytest
from own_operators import (
    banded_attention,
    banded_attention_numpy,
    rational,
    rational_numpy,
    soft_histogram,
    soft_histogram_numpy,
)

import tenon as tn
from tenon import nn, te
from tenon.nn import functional as f

RNG = np.random.default_rng(5)


def random(*shape, dtype=np.float32):
    return RNG.standard_normal(shape).astype(dtype)


OPERATORS = [
    (rational, rational_numpy, (random(3, 5), random(5), random(3), random(2))),
    (rational, rational_numpy, (random(2, 3, 40), random(40), random(3), random(2))),
    (banded_attention, banded_attention_numpy, (*(random(2, 9, 4) for _ in range(3)), 2)),
    (soft_histogram, soft_histogram_numpy, (random(3, 17), np.linspace(-2, 2, 6), 0.5)),
]


def is_array(argument):
    return isinstance(argument, np.ndarray)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("op", "reference", "arguments"), OPERATORS)
def test_operators_run_on_arrays_and_in_networks(op, reference, arguments, dtype):
    arguments = [a.astype(dtype) if is_array(a) else a for a in arguments]
    expected = reference(*(a.astype(np.float64) if is_array(a) else a for a in arguments))
    tolerance = {"rtol": 1e-4, "atol": 1e-5} if dtype == "float32" else {"rtol": 1e-12}
    got = op(*arguments)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, expected, **tolerance)
    arrays = [a for a in arguments if is_array(a)]
    constants = [a for a in arguments if not is_array(a)]
    specs = [tn.TensorSpec(a.shape, dtype) for a in arrays]
    network = tn.compile(lambda *values: op(*values, *constants) * 2.0, specs)
    assert network.num_kernels == 1
    np.testing.assert_array_equal(np.asarray(network(*arrays)), np.asarray(got) * 2)


def test_one_network_serves_every_batch():
    gate, p, q = random(8), random(3), random(2)
    w = random(8, 8)
    network = tn.compile(
        lambda x: rational(f.linear(x, w), gate, p, q), [tn.TensorSpec(["batch", 8])]
    )
    assert network.num_kernels == 1  # after the product, in its kernel
    for batch in (0, 1, 33):
        x = random(batch, 8)
        np.testing.assert_allclose(
            network(x), rational_numpy(x @ w.T, gate, p, q), rtol=1e-3, atol=1e-4
        )


def test_operators_are_compiled_once_for_each_shape():
    @tn.op
    def twice(x):
        return te.compute(x.shape, lambda *i: x[i] * 2, name="twice")

    for _ in range(3):
        np.testing.assert_array_equal(twice(np.ones(4, np.float32)), np.full(4, 2, np.float32))
    twice(np.ones((2, 3), np.float32))
    assert twice._jitted.num_compiled == 2


def test_operators_have_several_results_and_take_trees():
    @tn.op
    def sum_and_difference(pair):
        a, b = pair["a"], pair["b"]
        return {
            "sum": te.compute(a.shape, lambda i: a[i] + b[i]),
            "difference": te.compute(a.shape, lambda i: a[i] - b[i]),
        }

    a, b = random(6), random(6)
    got = sum_and_difference({"a": a, "b": b})
    np.testing.assert_array_equal(got["sum"], a + b)
    np.testing.assert_array_equal(got["difference"], a - b)


def test_operators_are_parts_of_other_expressions():
    @tn.op
    def square(x):
        return te.compute(x.shape, lambda i: x[i] * x[i], name="square")

    @tn.op
    def norm(x):
        s, k = square(x), te.reduce_axis(x.shape[0])
        return te.compute((), lambda: te.sqrt(te.sum(s[k], axis=k)), name="norm")

    np.testing.assert_allclose(norm(np.array([3.0, 4.0], np.float32)), 5.0, rtol=1e-6)


def test_operators_have_learned_parameters_in_modules():
    class Rational(nn.Module):
        def __init__(self, width):
            self.gate = nn.Parameter((width,))
            self.p = nn.Parameter((3,))
            self.q = nn.Parameter((2,))

        def forward(self, x):
            return rational(x, self.gate, self.p, self.q)

    module = Rational(5)
    module.load_state_dict({"gate": random(5), "p": random(3), "q": random(2)})
    x = random(4, 5)
    expected = rational_numpy(x, *(p.data for _, p in module.named_parameters()))
    np.testing.assert_allclose(tn.compile(module, [x])(x), expected, rtol=1e-4, atol=1e-6)
    forward = tn.jit(module.forward)
    np.testing.assert_allclose(forward(x), expected, rtol=1e-4, atol=1e-6)
    module.load_state_dict({"gate": random(5), "p": random(3), "q": random(2)})
    expected = rational_numpy(x, *(p.data for _, p in module.named_parameters()))
    np.testing.assert_allclose(forward(x), expected, rtol=1e-4, atol=1e-6)


def test_mistakes_are_named():
    @tn.op
    def number(x):
        return 3.0

    with pytest.raises(tn.ExpressionError, match=r"operator 'number' returned a float.*E0184"):
        number(random(3))

    other = te.placeholder((3,), "float32", name="other")

    @tn.op
    def stranger(x):
        return te.compute((3,), lambda i: x[i] + other[i])

    with pytest.raises(tn.ExpressionError, match=r"'stranger' reads 'other'.*E0181"):
        stranger(random(3))

    @tn.op
    def misfit(x, y):
        return te.compute(x.shape, lambda i: x[i] + y[i, i])

    with pytest.raises(tn.ExpressionError, match=r"tensor 'y' of shape \[3\] was indexed with 2"):
        misfit(random(3), random(3))
    with pytest.raises(tn.ExpressionError, match=r"neither an array nor a constant.*E0182"):
        tn.jit(lambda x, y: x)(random(3), {1, 2})
    with pytest.raises(tn.ExpressionError, match=r"returned a str.*E0183"):
        tn.jit(lambda x: "x")(random(3))


def test_scatters_are_operators():
    @tn.op
    def add_rows(table, ids, rows):
        return te.scatter(table, [ids], rows, mode="add")

    table, rows, ids = random(5, 3), random(4, 3), np.array([1, 4, 1, 0])
    network = tn.compile(
        lambda table, ids, rows: add_rows(table * 2.0, ids, rows + 1.0) * 3.0, [table, ids, rows]
    )
    assert network.num_kernels == 1
    expected = table * 2
    np.add.at(expected, ids, rows + 1)
    np.testing.assert_allclose(network(table, ids, rows), expected * 3, rtol=1e-5)
    many = np.stack([ids, ids[::-1]])
    batched = tn.vmap(add_rows, in_axes=(None, 0, None))(table, many, rows)
    for one, got in zip(many, np.asarray(batched), strict=True):
        np.testing.assert_array_equal(got, add_rows(table, one, rows))


@tn.op
def scheduled_product(a, b):
    """A product with the user's own schedule, which has no vectors."""
    k = te.reduce_axis(a.shape[1], "k")
    c = te.compute(
        (a.shape[0], b.shape[1]), lambda i, j: te.sum(a[i, k] * b[k, j], axis=k), name="product"
    )
    s = tn.Schedule(tn.function([a, b], [c]))
    i, j, k = s.loops("product")
    s.reorder(k, j, i)
    return s


def test_operators_with_a_schedule_run_as_it_says():
    a, b = random(6, 5), random(5, 7)
    network = tn.compile(lambda a, b: f.tanh(scheduled_product(a * 2.0, b)), [a, b])
    kernels = [name for name, *_ in network.kernels()]
    assert len(kernels) == 3
    assert "product" in kernels
    np.testing.assert_allclose(network(a, b), np.tanh(2 * a @ b), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(scheduled_product(a, b), a @ b, rtol=1e-4, atol=1e-5)
    da = tn.grad(lambda a: (scheduled_product(a, b) ** 2.0).sum())(a)
    np.testing.assert_allclose(da, 2 * (a @ b) @ b.T, rtol=1e-4, atol=1e-4)
    stacked = np.stack([a, 2 * a])
    np.testing.assert_allclose(
        tn.vmap(scheduled_product, (0, None))(stacked, b), stacked @ b, rtol=1e-4, atol=1e-5
    )

    @tn.op
    def two(a):
        tn.function([a], [te.compute(a.shape, lambda i: a[i] * 2)])
        return tn.Schedule(tn.function([a], [te.compute(a.shape, lambda i: a[i] * 2)]))

    with pytest.raises(tn.ExpressionError, match=r"'two' returned a schedule, but made 2.*E0184"):
        two(random(3))


def generator(seed):
    rng = np.random.default_rng(seed)
    return lambda *shape: rng.standard_normal(shape).astype(np.float32)


def descend(loss, params, steps=60, rate=0.1):
    """Train by gradient descent, in place; return the first and the last loss."""

    def step(params):
        value, gradient = tn.value_and_grad(loss)(params)
        return {k: p - rate * gradient[k] for k, p in params.items()}, value

    params = {name: np.array(array) for name, array in params.items()}
    network = tn.compile(step, [params], donate=0)
    values = [float(np.asarray(network(params)[1])) for _ in range(steps)]
    return values[0], values[-1]


def test_a_network_with_a_learned_activation_is_trained():
    random = generator(1)
    x = random(64, 4)
    y = np.maximum(x @ random(4, 3), 0)
    params = {
        "w": random(6, 4) * 0.5,
        "gate": np.zeros(6, np.float32),
        "p": np.array([0.1, 1.0, 0.3], np.float32),
        "q": np.array([0.2, 0.2], np.float32),
        "out": random(3, 6) * 0.5,
    }

    def loss(d):
        hidden = rational(f.linear(x, d["w"]), d["gate"], d["p"], d["q"])
        return ((f.linear(hidden, d["out"]) - y) ** 2.0).mean()

    first, last = descend(loss, params, steps=200)
    assert last < 0.2 * first


def test_a_network_with_banded_attention_is_trained():
    random = generator(1)
    x = random(4, 12, 6)
    y = np.roll(x, 1, axis=1)[:, :, :3]  # what the position before has
    params = {name: random(6, 6) * 0.4 for name in ("q", "k", "v")} | {"out": random(3, 6) * 0.4}
    places = np.eye(12, 6, dtype=np.float32) * 2

    def loss(d):
        q, k = (f.linear(x + places, d[name]) for name in ("q", "k"))
        return (
            (f.linear(banded_attention(q, k, f.linear(x, d["v"]), 2), d["out"]) - y) ** 2.0
        ).mean()

    first, last = descend(loss, params, steps=150, rate=0.3)
    assert last < 0.6 * first


def test_centres_of_a_soft_histogram_are_learned():
    random = generator(1)
    samples = np.concatenate([random(1, 40) * 0.1 - 1, random(1, 80) * 0.1 + 1], 1)
    target = np.array([[40.0, 80.0]], np.float32)

    def loss(d):
        return ((soft_histogram(samples, d["centres"], 0.8) - target) ** 2.0).mean()

    first, last = descend(loss, {"centres": np.array([0.1, 0.2], np.float32)}, rate=1e-4)
    assert last < 0.05 * first
