"""Long sums have the bits of their definition in networks and derivatives too.

tests/rules/chain_order_test.cpp proves the kernels; here the reference adds float32 products that
are exact, so that NumPy can follow the order term by term.
"""

import numpy as np
import pytest

import tenon as tn
from tenon import nn, te

BLOCK = 4096


def numbers(*shape, seed=0):
    """Floats of few bits: their products are exact, their sums are not."""
    rng = np.random.default_rng(seed)
    return (rng.integers(-2000, 2000, shape) * 2.0 ** rng.integers(-9, 9, shape)).astype(np.float32)


def chain(terms):
    """Sum ``terms`` [k, ...] in blocks of 4096, each ascending, added left to right."""
    total = np.zeros(terms.shape[1:], np.float32)
    for first in range(0, len(terms), BLOCK):
        block = np.zeros_like(total)
        for term in terms[first : first + BLOCK]:
            block = block + term
        total = total + block
    return total


def product(a, b):
    """The matrix product of [m, k] and [k, n]."""
    return chain(a.T[:, :, None] * b[:, None, :])


def linear(features, results):
    layer = nn.Linear(features, results)
    layer.load_state_dict(
        {"weight": numbers(results, features, seed=1), "bias": numbers(results, seed=2)}
    )
    return layer


def test_layers_with_packed_weights_and_an_epilogue():
    layer = linear(5000, 67)
    network = tn.compile(nn.Sequential(layer, nn.ReLU()), [tn.TensorSpec(["batch", 5000])])
    assert network.num_kernels == 1
    weight, bias = layer.weight.data, layer.bias.data
    for batch in (1, 3, 8):
        x = numbers(batch, 5000, seed=3)
        expected = np.maximum(product(x, weight.T) + bias, 0)
        np.testing.assert_array_equal(np.asarray(network(x)), expected)


@pytest.mark.parametrize("batch", [100, 4096, 5000, 9000])
def test_gradients_over_a_long_batch(batch):
    def loss(weight, bias, x, dy):
        return (nn.functional.linear(x, weight, bias) * dy).sum()

    x, dy = numbers(batch, 7, seed=4), numbers(batch, 5, seed=5)
    weight, bias = numbers(5, 7, seed=6), numbers(5, seed=7)
    specs = [
        tn.TensorSpec([5, 7]),
        tn.TensorSpec([5]),
        tn.TensorSpec(["batch", 7]),
        tn.TensorSpec(["batch", 5]),
    ]
    network = tn.compile(tn.grad(loss, argnums=(0, 1)), specs)
    by_weight, by_bias = network(weight, bias, x, dy)
    np.testing.assert_array_equal(np.asarray(by_weight), product(dy.T, x))
    np.testing.assert_array_equal(np.asarray(by_bias), chain(dy))


def test_derivatives_of_tensor_expressions():
    k = te.reduce_axis(3, name="k")
    x = te.placeholder((6000, 3), "float32", name="x")
    w = te.placeholder((3, 4), "float32", name="w")
    y = te.compute((6000, 4), lambda i, j: te.sum(x[i, k] * w[k, j], axis=k), name="y")
    by_y = te.placeholder((6000, 4), "float32", name="by_y")
    (by_w,) = te.vjp(y, w, by_y)
    a, dy = numbers(6000, 3, seed=1), numbers(6000, 4, seed=3)
    got = tn.build(tn.function([x, by_y], [by_w], name="derivative"))(a, dy)
    np.testing.assert_array_equal(np.asarray(got), product(a.T, dy))


def test_sums_whose_length_changes_with_an_axis_keep_their_tiles():
    x = te.placeholder((2, 40, 8), "float32", name="x")
    w = te.placeholder((5, 8, 16), "float32", name="w")
    k, c = te.reduce_axis(5, name="k"), te.reduce_axis(8, name="c")
    y = te.compute(
        (2, 18, 16), lambda n, i, o: te.sum(x[n, 2 * i + k, c] * w[k, c, o], axis=(k, c)), name="y"
    )
    by_y = te.placeholder((2, 18, 16), "float32", name="by_y")
    (by_x,) = te.vjp(y, x, by_y)
    kernel = tn.build(tn.function([w, by_y], [by_x], name="derivative"))
    assert "register" in str(kernel.loops)  # one block; the rule for windows is not refused
    b, dy = numbers(5, 8, 16, seed=2), numbers(2, 18, 16, seed=3)
    expected = np.zeros((2, 40, 8))
    for i in range(18):
        expected[:, 2 * i : 2 * i + 5] += np.einsum("no,kco->nkc", dy[:, i], b, dtype=np.float64)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(np.asarray(kernel(b, dy)) / scale, expected / scale, atol=1e-6)
