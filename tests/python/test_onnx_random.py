"""ONNX operators that draw: numbers of Tenon's generator, the same in each call."""

import numpy as np
import onnx_graphs as onnx
import pytest
from onnx_models import compiled, one_node, run

import tenon as tn


def key(seed):
    """The seed of tn.random that stands for the attribute `seed`."""
    return (1 << 32) + int(np.float32(seed).view(np.uint32))


def test_a_seed_gives_the_numbers_of_the_library():
    got = run("RandomUniform", [], shape=[3, 5], low=-1.0, high=4.0, seed=2.5)
    np.testing.assert_array_equal(got, tn.random.uniform((3, 5), -1, 4, seed=key(2.5)))
    got = run("RandomNormal", [], shape=[3, 5], mean=1.0, scale=2.0, seed=2.5, dtype=11)
    expected = tn.random.normal((3, 5), 1, 2, seed=key(2.5), dtype="float64")
    np.testing.assert_allclose(got, expected, rtol=1e-14)


def test_like_takes_shape_and_dtype_of_its_operand():
    x = np.zeros((4, 6), np.float64)
    got = run("RandomUniformLike", [x], seed=1.0, sizes={0: ["n", 6]})
    assert got.dtype == np.float64
    np.testing.assert_array_equal(got, tn.random.uniform((4, 6), seed=key(1.0), dtype="float64"))
    assert run("RandomNormalLike", [x], seed=1.0, dtype=1).dtype == np.float32
    with pytest.raises(tn.ModelError, match="random numbers should be floats"):
        run("RandomNormalLike", [np.zeros(3, np.int64)])


def test_nodes_without_a_seed_draw_other_numbers_and_calls_the_same():
    nodes = [
        onnx.node("RandomUniformLike", "x", "a"),
        onnx.node("RandomUniformLike", "x", "b"),
    ]
    x = {"x": np.zeros(1000, np.float32)}
    network = onnx.network(onnx.model(nodes, x, outputs="a b"))
    a, b = (r.numpy() for r in network(**x))
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.1
    again = [r.numpy() for r in network(**x)]
    np.testing.assert_array_equal(again, [a, b])


def test_dropout_in_training_mode():
    x = np.random.default_rng(0).standard_normal((200, 300)).astype("float32")
    operands = [x, np.float32(0.25), np.array(True)]
    y, mask = run("Dropout", operands, constants=(1, 2), outputs=2, seed=3)
    places = np.arange(x.size).reshape(x.shape)
    words = tn.random.philox4x32((places, 0, 0, 0), tn.random.seed_words((1 << 32) + 3))[0]
    np.testing.assert_array_equal(mask, words >= 2**30)
    np.testing.assert_allclose(y, np.where(mask, x / 0.75, 0), rtol=1e-6)
    y, mask = run("Dropout", [x], opset=6, outputs=2, ratio=0.5)
    assert mask.dtype == np.float32
    assert abs(mask.mean() - 0.5) < 0.01
    np.testing.assert_array_equal(y, x * mask * 2)
    with pytest.raises(tn.ModelError, match="the ratio is 1"):
        run("Dropout", [x, np.float32(1), np.array(True)], constants=(1, 2))


def test_bernoulli_draws_with_the_given_probability():
    p = np.repeat(np.array([[0.0], [0.2], [1.0]], np.float32), 20_000, axis=1)
    got = run("Bernoulli", [p], seed=1.0, dtype=6)
    assert got.dtype == np.int32
    np.testing.assert_array_equal(got, tn.random.uniform(p.shape, seed=key(1.0)) < p)


def test_multinomial_draws_classes_with_their_probabilities():
    p = np.array([[0.1, 0.2, 0.7], [0.5, 0.5, 0.0]])
    with np.errstate(divide="ignore"):
        scores = (np.log(p) + 3).astype(np.float32)  # not normalised
    got = run("Multinomial", [scores], sample_size=20_000, seed=1.0)
    assert (got.dtype, got.shape) == (np.int32, (2, 20_000))
    shares = np.stack([np.bincount(row, minlength=3) / 20_000 for row in got])
    np.testing.assert_allclose(shares, p, atol=0.0107)  # 3 standard deviations
    assert run("Multinomial", [scores], dtype=7).shape == (2, 1)
    with pytest.raises(tn.ModelError, match=r"expected logarithms of probabilities \[N, C\]"):
        run("Multinomial", [scores[0]])


def test_a_body_draws_nothing():
    from onnx import TensorProto, helper

    info = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            helper.make_node("RandomUniformLike", ["h"], ["r"]),
            helper.make_node("Add", ["h", "r"], ["next"]),
            helper.make_node("Identity", ["go"], ["go_on"]),
        ],
        "body",
        [
            info("t", TensorProto.INT64, []),
            info("go", TensorProto.BOOL, []),
            info("h", TensorProto.FLOAT, [3]),
        ],
        [info("go_on", TensorProto.BOOL, []), info("next", TensorProto.FLOAT, [3])],
    )
    loop = helper.make_node("Loop", ["count", "", "x"], ["y"], body=body)
    x = {"count": np.array(5), "x": np.zeros(3, np.float32)}
    with pytest.raises(tn.UnsupportedError, match="each iteration would draw the same"):
        onnx.network(onnx.model([loop], x))(**x)


def test_compiled_models_keep_their_numbers():
    model = one_node("RandomNormal", [], shape=[8])
    first, second = (np.asarray(compiled(model)()) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert len(set(first)) == 8
