"""Optimisers, compiled, against twins in NumPy and float64 over 50 steps."""

import math

import numpy as np
import pytest

import tenon as tn
from tenon import optim

STEPS = 50
SHAPES = {"w": (7, 5), "b": (5,)}


def leaves(tree):
    """The leaves of nested dicts, in the order of their keys."""
    if not isinstance(tree, dict):
        return [tree]
    return [leaf for key in sorted(tree) for leaf in leaves(tree[key])]


def like(tree, values):
    if not isinstance(tree, dict):
        return next(values)
    return {key: like(tree[key], values) for key in sorted(tree)}


def run(optimizer, gradient, change=None):
    """The parameters after each step of a compiled update."""
    rng = np.random.default_rng(1)
    params = {name: rng.standard_normal(shape) for name, shape in SHAPES.items()}
    trees = {"params": params, "grads": params, "state": optimizer.init(params)}

    def update(*values):
        t = like(trees, iter(values))
        return leaves(list_of(optimizer.update(t["params"], t["grads"], t["state"])))

    network = tn.compile(update, leaves(trees))
    history = []
    for step in range(STEPS):
        if change is not None:
            change(step, trees["state"])
        trees["grads"] = {name: gradient(p, step) for name, p in trees["params"].items()}
        results = network(*leaves(trees))
        kept = {"params": trees["params"], "state": trees["state"]}
        new = like(kept, iter(np.asarray(r) for r in results))
        trees["params"], trees["state"] = new["params"], new["state"]
        history.append(new["params"])
    assert trees["state"]["step"] == STEPS
    return history


def list_of(pair):
    return {"params": pair[0], "state": pair[1]}


def gradient(p, step):
    return 2 * p + np.sin(3 * p + step)


def twin(rule):
    """The parameters after each step of ``rule(p, g, memory, t)``, which changes its memory."""
    rng = np.random.default_rng(1)
    params = {name: rng.standard_normal(shape) for name, shape in SHAPES.items()}
    memory = {name: {} for name in params}
    history = []
    for step in range(STEPS):
        params = {
            name: rule(p, gradient(p, step), memory[name], step + 1) for name, p in params.items()
        }
        history.append(params)
    return history


def sgd(rate, mu=0.0, nesterov=False, decay=0.0):
    def rule(p, g, memory, t):
        g = g + decay * p
        v = memory["v"] = mu * memory.get("v", 0.0) + g
        return p - rate * (g + mu * v if nesterov else v)

    return rule


def adam(rate, b1=0.9, b2=0.999, eps=1e-8, l2=0.0, decay=0.0):
    def rule(p, g, memory, t):
        alpha = rate(t - 1) if callable(rate) else rate
        g = g + l2 * p
        m = memory["m"] = b1 * memory.get("m", 0.0) + (1 - b1) * g
        v = memory["v"] = b2 * memory.get("v", 0.0) + (1 - b2) * g**2
        step = (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
        return p - alpha * step - alpha * decay * p

    return rule


def cosine(t):
    if t < 5:
        return 0.1 * (t + 1) / 5
    return 0.01 + 0.09 * (1 + math.cos(math.pi * min((t - 5) / 35, 1))) / 2


TWINS = {
    "sgd": (optim.SGD(0.05), sgd(0.05)),
    "momentum": (
        optim.SGD(0.05, momentum=0.9, weight_decay=0.1),
        sgd(0.05, 0.9, decay=0.1),
    ),
    "nesterov": (optim.SGD(0.05, momentum=0.8, nesterov=True), sgd(0.05, 0.8, nesterov=True)),
    "adam": (optim.Adam(0.05, weight_decay=0.1), adam(0.05, l2=0.1)),
    "adam_betas": (
        optim.Adam(0.05, betas=(0.8, 0.95), eps=1e-3),
        adam(0.05, b1=0.8, b2=0.95, eps=1e-3),
    ),
    "adamw": (optim.AdamW(0.05, weight_decay=0.2), adam(0.05, decay=0.2)),
    "cosine": (
        optim.AdamW(optim.cosine_decay(0.1, 40, warmup_steps=5, final_rate=0.01)),
        adam(cosine, decay=0.01),
    ),
    "step_decay": (
        optim.Adam(optim.step_decay(0.1, every=10, factor=0.5)),
        adam(lambda t: 0.1 * 0.5 ** (t // 10)),
    ),
    "constant": (optim.Adam(optim.constant(0.02)), adam(0.02)),
}


@pytest.mark.parametrize("case", TWINS)
def test_fifty_compiled_steps_equal_the_twin(case):
    optimizer, rule = TWINS[case]
    for got, expected in zip(run(optimizer, gradient), twin(rule), strict=True):
        for name in expected:
            np.testing.assert_allclose(got[name], expected[name], rtol=1e-10, atol=1e-12)


def test_the_learning_rate_changes_without_compilation():
    def change(step, state):
        state["learning_rate"] = np.array(0.1 if step < 20 else 0.01)

    got = run(optim.Adam(0.5), gradient, change)
    expected = twin(adam(lambda t: 0.1 if t < 20 else 0.01))
    np.testing.assert_allclose(got[-1]["w"], expected[-1]["w"], rtol=1e-10)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optim.SGD(-1), r"SGD: learning_rate should be .* got -1 \[E0192\]"),
        (lambda: optim.SGD(0.1, momentum=1), r"SGD: momentum should be .* got 1 \[E0192\]"),
        (lambda: optim.SGD(0.1, nesterov=True), r"nesterov=True should have a momentum"),
        (lambda: optim.Adam(betas=(0.9, 1.0)), r"Adam: betas\[1\] should be .* got 1.0"),
        (lambda: optim.AdamW(weight_decay="a"), r"AdamW: weight_decay should be .* got 'a'"),
        (lambda: optim.cosine_decay(0.1, 5, warmup_steps=5), r"got warmup_steps=5.*\[E0191\]"),
        (lambda: optim.step_decay(0.1, 0), r"step_decay should have every >= 1.*\[E0191\]"),
    ],
)
def test_settings_are_checked(make, message):
    with pytest.raises(tn.ExpressionError, match=message):
        make()


def test_an_optimizer_is_part_of_a_function_of_ones_own():
    optimizer = optim.SGD(0.1, momentum=0.9)

    def loss_of(params, x):
        weight, (bias,) = params
        return ((x @ weight + bias) ** 2.0).sum()

    @tn.jit
    def step(params, state, x):
        loss, grads = tn.value_and_grad(loss_of)(params, x)
        params, state = optimizer.update(params, grads, state)
        return params, state, loss

    rng = np.random.default_rng(0)
    x, w, b = rng.standard_normal((4, 3)) / 4, rng.standard_normal((3, 2)), np.ones(2)
    params = [w, (b,)]
    state = optimizer.init(params)
    velocity = [0.0, 0.0]
    for _ in range(5):
        params, state, loss = step(params, state, x)
        y = x @ w + b
        assert float(np.asarray(loss)) == pytest.approx((y**2).sum())
        velocity = [0.9 * v + g for v, g in zip(velocity, (2 * x.T @ y, 2 * y.sum(0)), strict=True)]
        w, b = w - 0.1 * velocity[0], b - 0.1 * velocity[1]
        np.testing.assert_allclose(np.asarray(params[0]), w, rtol=1e-10)
        np.testing.assert_allclose(np.asarray(params[1][0]), b, rtol=1e-10)
