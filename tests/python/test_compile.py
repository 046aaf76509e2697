"""Networks through tn.compile against NumPy."""

import numpy as np
import pytest

import tenon as tn
from tenon import nn, te
from tenon.nn import functional as f


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def fill(module, seed=1):
    rng = np.random.default_rng(seed)
    module.load_state_dict(
        {
            name: rng.standard_normal(p.shape, dtype=np.float32) * 0.3
            for name, p in module.named_parameters()
        }
    )
    return module


def run(function, *arrays):
    return np.asarray(tn.compile(function, list(arrays))(*arrays))


def test_mlp_of_any_batch_is_two_kernels():
    mlp = fill(nn.Sequential(nn.Linear(24, 70), nn.ReLU(), nn.Linear(70, 5)))
    network = tn.compile(mlp, [tn.TensorSpec(["batch", 24], name="x")])
    assert network.num_kernels == 2
    w = {name: p.data.astype(np.float64) for name, p in mlp.named_parameters()}
    for batch in (0, 1, 7, 64):
        x = random(batch, 24)
        expected = np.maximum(x @ w["0.weight"].T + w["0.bias"], 0) @ w["2.weight"].T + w["2.bias"]
        np.testing.assert_allclose(np.asarray(network(x=x)), expected, rtol=2e-4, atol=2e-5)
    assert "linear_add_relu" in network.report()
    x = random(9, 24)
    assert (np.asarray(network(x))[4:5] == np.asarray(network(x[4:5]))).all()


def test_elementwise_with_broadcasting():
    x, y = random(3, 1, 5), random(4, 5, seed=1)
    got = run(lambda x, y: f.where(x < y, f.tanh(x) - 2 * y, x / (abs(y) + 1.0)), x, y)
    expected = np.where(x < y, np.tanh(x) - 2 * y, x / (np.abs(y) + 1))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_movement():
    x = random(2, 3, 8)
    np.testing.assert_array_equal(
        run(lambda x: x.reshape(2, 3, 4, 2).transpose(0, 2, 1, 3).reshape(8, -1), x),
        x.reshape(2, 3, 4, 2).transpose(0, 2, 1, 3).reshape(8, -1),
    )
    np.testing.assert_array_equal(run(lambda x: x[1, :, 2:5], x), x[1, :, 2:5])
    np.testing.assert_array_equal(
        run(lambda x: f.concat([x[:, :1], x, x[:, 1:] * 1.0], axis=1), x),
        np.concatenate([x[:, :1], x, x[:, 1:]], 1),
    )


@pytest.mark.parametrize("axis", [0, 1, -1, (0, 2), None])
@pytest.mark.parametrize("op", ["sum", "mean", "max", "min"])
def test_reductions(op, axis):
    x = random(3, 5, 70)
    got = run(lambda x: getattr(x, op)(axis, keepdims=True), x)
    expected = getattr(x.astype(np.float64), op)(axis, keepdims=True)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_softmax_and_layer_norm_of_a_sum_are_one_kernel_each():
    x, y, w, b = random(4, 6, 40), random(4, 6, 40, seed=1), random(40, seed=2), random(40, seed=3)
    network = tn.compile(lambda x, y: f.layer_norm(x + y, w, b), [x, y])
    assert network.num_kernels == 1
    s = x.astype(np.float64) + y
    c = s - s.mean(-1, keepdims=True)
    expected = c / np.sqrt((c**2).mean(-1, keepdims=True) + 1e-5) * w + b
    np.testing.assert_allclose(np.asarray(network(x, y)), expected, rtol=1e-4, atol=1e-5)
    e = np.exp(x - x.max(-1, keepdims=True))
    np.testing.assert_allclose(
        run(f.softmax, x), e / e.sum(-1, keepdims=True), rtol=1e-5, atol=1e-7
    )
    e = np.exp(x - x.max(1, keepdims=True))
    np.testing.assert_allclose(
        run(lambda x: f.softmax(x, 1), x), e / e.sum(1, keepdims=True), rtol=1e-5, atol=1e-7
    )


def test_embedding_is_checked():
    table = random(10, 6)
    network = tn.compile(lambda i: f.embedding(table, i), [tn.TensorSpec(["n"], "int64")])
    np.testing.assert_array_equal(np.asarray(network(np.array([3, 9, 0]))), table[[3, 9, 0]])
    with pytest.raises(tn.IndexError, match="10"):
        network(np.array([3, 10]))


def test_attention_with_mask_and_merged_projections():
    module = fill(nn.MultiHeadAttention(32, 4))
    network = tn.compile(
        lambda x, mask: module(x, mask),
        [tn.TensorSpec(["b", "s", 32]), tn.TensorSpec(["b", "s"], "bool")],
    )
    assert network.num_kernels == 3
    w = {name: p.data.astype(np.float64) for name, p in module.named_parameters()}
    for b, s in [(1, 1), (2, 7), (3, 33)]:
        x, mask = random(b, s, 32), np.ones((b, s), bool)
        mask[-1, s // 2 + 1 :] = False
        q, k, v = (
            (x @ w[f"{n}.weight"].T + w[f"{n}.bias"]).reshape(b, s, 4, 8).transpose(0, 2, 1, 3)
            for n in ("query", "key", "value")
        )
        scores = np.where(mask[:, None, None], q @ k.transpose(0, 1, 3, 2) / np.sqrt(8), -np.inf)
        e = np.exp(scores - scores.max(-1, keepdims=True))
        heads = (e / e.sum(-1, keepdims=True) @ v).transpose(0, 2, 1, 3).reshape(b, s, 32)
        expected = heads @ w["output.weight"].T + w["output.bias"]
        np.testing.assert_allclose(np.asarray(network(x, mask)), expected, rtol=1e-4, atol=1e-4)


def test_batched_matmul_and_several_results():
    a, b = random(2, 3, 5), random(2, 5, 4, seed=1)
    network = tn.compile(lambda a, b: (a @ b, a, a + 1), [a, b])
    c, same, more = network(a, b)
    np.testing.assert_allclose(np.asarray(c), a @ b, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(np.asarray(same), a)
    np.testing.assert_array_equal(np.asarray(more), a + 1)


def test_equal_values_are_computed_once_and_dead_ones_never():
    def function(x):
        f.exp(x)
        return f.tanh(x).sum(0) + f.tanh(x).sum(0)

    network = tn.compile(function, [tn.TensorSpec([8, 8])])
    assert network.num_kernels == 2 or network.num_kernels == 1
    assert "exp" not in network.report()


def test_workspace_depends_on_the_shapes():
    mlp = fill(nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 16)))
    network = tn.compile(mlp, [tn.TensorSpec(["batch", 16])])
    assert network.workspace_bytes([1, 16]) >= 256
    assert network.workspace_bytes([100, 16]) >= 25600


def test_mistakes_are_named():
    x = nn.Value(tn._core.graph_input([2, 3], "float32", "x"))
    with pytest.raises(tn.ShapeError, match=r"linear of float32\[2, 3\] 'x' and float32\[4, 5\]"):
        f.linear(x, np.zeros((4, 5), np.float32))
    with pytest.raises(tn.ShapeError, match=r"add of .*cannot be broadcast"):
        x + np.zeros((4, 5), np.float32)
    with pytest.raises(tn.DTypeError, match="add of"):
        x + np.zeros((2, 3), np.int64)
    with pytest.raises(tn.ShapeError, match="reshape of"):
        x.reshape(4, 2)
    with pytest.raises(tn.ExpressionError, match="E0153"):
        bool(x)
    module = nn.Linear(3, 4)
    good = {"weight": np.zeros((4, 3), np.float32), "bias": np.zeros(4, np.float32)}
    for weights, match in [
        ({"weight": good["weight"]}, r"lacks 'bias' \[E0840\]"),
        ({**good, "more": 1}, r"should not have 'more' \[E0841\]"),
        (
            {**good, "bias": np.zeros(3, np.float32)},
            r"'bias' should be float32 \[4\], got float32 \[3\]",
        ),
    ]:
        with pytest.raises(tn.ModelError, match=match):
            module.load_state_dict(weights)


def test_symbols_need_an_input():
    n = te.symbol("n")
    with pytest.raises(tn.ExpressionError, match="E0152"):
        tn.compile(lambda x: x.reshape(1, -1)[:, :n], [tn.TensorSpec([4, 4])])


def test_what_uses_no_input_is_computed_once():
    table = random(8, 6)

    def function(x):
        scaled = f.tanh(nn.functional.embedding(table, np.array([1, 3, 5])) * 2.0)
        return x + scaled.transpose(1, 0)

    network = tn.compile(function, [tn.TensorSpec(["n", 6, 3])])
    assert [operators for _, operators, *_ in network.kernels()] == [["add"]]
    x = random(4, 6, 3, seed=1)
    expected = x + np.tanh(table[[1, 3, 5]] * 2).T
    np.testing.assert_allclose(np.asarray(network(x)), expected, rtol=1e-6, atol=1e-6)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


S = tn.TensorSpec
Q, W = random(2, 9, 16), random(6, 16, seed=2)


@pytest.mark.parametrize(
    ("function", "specs", "arrays", "expected", "num_kernels"),
    [
        (
            lambda q, k, v: f.softmax(q @ k.transpose(0, 2, 1) / 4.0) @ v,
            [S(["b", "s", 16])] * 3,
            [Q, Q, Q],
            lambda q, k, v: softmax(q @ k.transpose(0, 2, 1) / 4) @ v,
            4,
        ),
        (lambda x: x.mean(1), [S(["b", "s", 16])], [Q], lambda x: x.mean(1), 1),
        (
            lambda x, w: f.linear(x, w),
            [S(["b", "s", 16]), S([6, 16])],
            [Q, W],
            lambda x, w: x @ w.T,
            2,
        ),
        (lambda x: x @ W.T.copy(), [S(["b", "s", 16])], [Q], lambda x: x @ W.T, 1),
        (
            lambda x, y: f.linear(f.concat([x, y], 1), W),
            [S(["b", "s", 16]), S(["b", "t", 16])],
            [Q, Q[:, :4]],
            lambda x, y: np.concatenate([x, y], 1) @ W.T,
            2,
        ),
        (
            lambda x: x / f.sqrt((x * x).sum(-1, keepdims=True)),
            [S(["b", "s", 16])],
            [Q],
            lambda x: x / np.sqrt((x * x).sum(-1, keepdims=True)),
            1,
        ),
        (lambda x: x.transpose(1, 0) + x, [S(["n", "n"])], [Q[0, :, :9]], lambda x: x.T + x, 1),
    ],
)
def test_networks_against_numpy(function, specs, arrays, expected, num_kernels):
    network = tn.compile(function, specs)
    assert network.num_kernels == num_kernels
    np.testing.assert_allclose(
        np.asarray(network(*arrays)), expected(*arrays), rtol=1e-4, atol=1e-5
    )


def test_merged_dimensions_are_read_as_they_lie():
    x, y = random(3, 4, 5, 6), random(3, 7, seed=1)

    def function(x, y):
        rows = x.reshape(x.shape[0], -1)
        both = rows.sum(1) + x.reshape(x.shape[0], 20, 6).max((1, 2)) + x.sum((1, 2, 3))
        return rows.transpose() @ y, both, (rows * 2.0).reshape(-1)

    specs = [tn.TensorSpec(["n", 4, 5, 6]), tn.TensorSpec(["n", 7])]
    product, both, flat = map(np.asarray, tn.compile(function, specs)(x, y))
    rows = x.reshape(3, 120).astype(np.float64)
    np.testing.assert_allclose(product, rows.T @ y, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(both, 2 * rows.sum(1) + rows.max(1), rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(flat, x.ravel() * 2)


@pytest.mark.parametrize(
    "key",
    [
        np.s_[::2],
        np.s_[::-1],
        np.s_[:, ::-2, 1:4:2],
        np.s_[3:1],
        np.s_[10:],
        np.s_[..., -1::-3],
        np.s_[3:0:-1, None, 2],
    ],
    ids=str,
)
def test_slices_are_those_of_numpy(key):
    x = np.arange(60, dtype=np.float32).reshape(4, 3, 5)
    np.testing.assert_array_equal(tn.jit(lambda a: a[key] + 0.0)(x), x[key])


def test_a_slice_of_a_symbolic_size_has_step_1():
    with pytest.raises(tn.ShapeError, match=r"slice of a symbolic size has step 1 \[E0422\]"):
        tn.compile(lambda a: a[::2], [tn.TensorSpec(("n",))])
    with pytest.raises(tn.ShapeError, match=r"a slice has the step 0 \[E0422\]"):
        tn.jit(lambda a: a[::0])(np.ones(3))
