"""The fifty operators of benchmark runs: a fixed list of functions that compute what they say."""

import numpy as np
import pytest

import tenon as tn
from tenon._operator_suite import operators


def test_there_are_fifty_and_names_are_unique():
    names = [operator.name for operator in operators()]
    assert len(names) == len(set(names)) == 50


def test_arguments_are_the_same_each_time():
    (first,) = operators(["argmax_of_37"])
    (again,) = operators(["argmax_of_37"])
    np.testing.assert_array_equal(first.arguments[0], again.arguments[0])


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="no operator 'conv9d'"):
        operators(["conv9d"])


def softmax(x, axis):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def window(x, w, stride, dilation):
    """Sum over windows of NHWC images, term by term."""
    out = (x.shape[1] - dilation * (w.shape[0] - 1) - 1) // stride + 1
    y = np.zeros((x.shape[0], out, out, w.shape[3]))
    for r in range(w.shape[0]):
        for s in range(w.shape[1]):
            rows = slice(r * dilation, r * dilation + stride * (out - 1) + 1, stride)
            columns = slice(s * dilation, s * dilation + stride * (out - 1) + 1, stride)
            y += x[:, rows, columns, :] @ w[r, s]
    return y


def padded_flip(x):
    return np.pad(x[::-1, ::-1], ((2, 2), (3, 3)))


REFERENCES = {
    "product_both_transposed": lambda a, b: (b.astype("float64") @ a).T,
    "products_of_few_rows": lambda a, b: a.astype("float64") @ b,
    "bilinear": lambda x, w, y: np.einsum("bi,oij,bj->bo", x, w, y),
    "distances": lambda x, y: ((x[:, None] - y[None]) ** 2).sum(-1),
    "conv_stride_3": lambda x, w: window(x, w, 3, 1),
    "conv_dilated": lambda x, w: window(x, w, 1, 2),
    "softmax_of_10": lambda x: softmax(x, 1),
    "softmax_over_rows": lambda x: softmax(x, 0),
    "transpose_201": lambda x: x.transpose(2, 0, 1),
    "heads_apart": lambda x: x.transpose(0, 2, 1, 3),
    "gather_rows": lambda x, rows: x[rows],
    "flip_and_pad": padded_flip,
}


@pytest.mark.parametrize("name", REFERENCES)
def test_operators_compute_what_they_say(name):
    (operator,) = operators([name])
    result = np.asarray(tn.build(operator.function)(*operator.arguments))
    expected = REFERENCES[name](*operator.arguments)
    np.testing.assert_allclose(result, expected, rtol=2e-4, atol=2e-3)
    assert operator.operations >= 0
    assert operator.bytes > 0
