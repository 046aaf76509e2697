"""Networks that update donated arguments in place."""

import numpy as np
import pytest

import tenon as tn
from tenon import nn
from tenon.nn import functional as f

RNG = np.random.default_rng(11)


def random(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def loss(params, x, y):
    hidden = f.relu(f.linear(x, params["w0"], params["b0"]))
    return ((f.linear(hidden, params["w1"], params["b1"]) - y) ** 2.0).mean()


def step(params, velocity, x, y):
    value, gradient = tn.value_and_grad(loss)(params, x, y)
    velocity = {k: 0.9 * velocity[k] + g for k, g in gradient.items()}
    return {k: p - 0.05 * velocity[k] for k, p in params.items()}, velocity, value


def parameters():
    return {"w0": random(40, 8), "b0": random(40), "w1": random(3, 40), "b1": random(3)}


def test_a_training_step_updates_parameters_and_state_in_place():
    params = parameters()
    state = {k: np.zeros_like(p) for k, p in params.items()}
    x, y = random(16, 8), random(16, 3)
    batch = [tn.TensorSpec(["batch", 8]), tn.TensorSpec(["batch", 3])]
    plain = tn.compile(step, [params, state, *batch])
    network = tn.compile(step, [params, state, *batch], donate=(0, 1))
    assert network.num_kernels == plain.num_kernels
    tensors = {k: tn.asarray(p.copy()) for k, p in params.items()}
    velocity = {k: tn.asarray(s.copy()) for k, s in state.items()}
    for _ in range(4):
        params, state, expected = plain(params, state, x, y)
        new_params, new_velocity, value = network(tensors, velocity, x, y)
        assert new_params["w0"] is tensors["w0"]
        assert new_velocity["b1"] is velocity["b1"]
        assert (np.asarray(value) == np.asarray(expected)).all()
        for k in params:
            assert (np.asarray(tensors[k]) == np.asarray(params[k])).all(), k
            assert (np.asarray(velocity[k]) == np.asarray(state[k])).all(), k


def test_the_bits_of_training_do_not_depend_on_the_number_of_threads():
    start = parameters()
    x, y = random(300, 8), random(300, 3)
    network = tn.compile(step, [start, start, x, y], donate=(0, 1))
    results = []
    for threads in (1, 2, 3):
        tn.config.threads = threads
        params = {k: p.copy() for k, p in start.items()}
        state = {k: np.zeros_like(p) for k, p in start.items()}
        for _ in range(3):
            network(params, state, x, y)
        results.append(params)
    tn.config.threads = 0
    for other in results[1:]:
        assert all((other[k] == results[0][k]).all() for k in start)


def test_the_parameters_of_a_module_are_updated():
    module = nn.Sequential(nn.Linear(8, 3)).initialize(2)
    x = random(5, 8)

    def descend(module, x):
        gradient = tn.grad(lambda m: (m(x) ** 2.0).sum())(module)
        return {k: p.value() - 0.1 * gradient[k] for k, p in module.named_parameters()}

    network = tn.compile(descend, [module, x], donate=0)
    w, b = (np.array(p.data) for _, p in module.named_parameters())
    network(module, x)
    residual = 2 * (x @ w.T + b)
    np.testing.assert_allclose(module.state_dict()["0.bias"], b - 0.1 * residual.sum(0), rtol=1e-4)
    np.testing.assert_allclose(
        module.state_dict()["0.weight"], w - 0.1 * residual.T @ x, rtol=1e-3, atol=1e-5
    )


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda a, b: (b, a), lambda a, b: (b, a)),
        (lambda a, b: (a + b, b * a), lambda a, b: (a + b, b * a)),
        (lambda a, b: (a.transpose(1, 0) + 1.0, b), lambda a, b: (a.T + 1, b)),
        (lambda a, b: (a @ b, a), lambda a, b: (a @ b, a)),
        (lambda a, b: (a * 2.0, a * 2.0 + b), lambda a, b: (a * 2, a * 2 + b)),
        (lambda a, b: (a + (a @ b), b - a), lambda a, b: (a + a @ b, b - a)),
        (lambda a, b: (a + a.sum(0), b), lambda a, b: (a + a.sum(0), b)),
    ],
)
def test_results_are_right_whatever_reads_the_old_values(function, expected):
    a, b = random(6, 6), random(6, 6)
    want = expected(a.astype(np.float64), b.astype(np.float64))
    network = tn.compile(function, [a, b], donate=(0, 1))
    network(a, b)
    np.testing.assert_allclose(a, want[0], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(b, want[1], rtol=1e-5, atol=1e-5)


def test_a_failed_call_leaves_donated_arrays_as_they_were():
    def update(table, ids):
        return table * 2.0, f.embedding(table, ids).sum()

    table = random(4, 3)
    before = table.copy()
    network = tn.compile(update, [table, tn.TensorSpec(["n"], "int64")], donate=0)
    with pytest.raises(tn.IndexError, match="9"):
        network(table, np.array([1, 9]))
    np.testing.assert_array_equal(table, before)
    network(table, np.array([1, 2]))
    np.testing.assert_array_equal(table, before * 2)


def test_mistakes():
    a = random(3)
    with pytest.raises(tn.ExpressionError, match=r"donate=\(1,\).*1 arguments.*E0198"):
        tn.compile(lambda a: a * 2.0, [a], donate=1)
    with pytest.raises(tn.ExpressionError, match=r"donated argument 0 .* result 0.*E0199"):
        tn.compile(lambda a: a.sum(), [a], donate=0)
    with pytest.raises(tn.ExpressionError, match=r"donated argument 1 .* result 1.*E0199"):
        tn.compile(lambda a, b: (a, a), [a, random(4)], donate=(0, 1))
    network = tn.compile(lambda d: {"x": d["x"] * 2.0}, [{"x": a}], donate=0)
    with pytest.raises(tn.ExpressionError, match=r"form of the inputs: d.*E0155"):
        network({"x": a, "y": a})
    with pytest.raises(tn.ExpressionError, match=r"takes no out=.*E0198"):
        network({"x": a}, out=a)
    frozen = a.copy()
    frozen.flags.writeable = False
    with pytest.raises(tn.ShapeError, match=r"read-only.*E0472"):
        network({"x": frozen})
