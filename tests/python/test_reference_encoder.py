"""The reference itself, against formulas and against ONNX Runtime."""

import math

import numpy as np
from reference_encoder import gelu, layer_norm, normal_distribution, softmax


def test_normal_distribution():
    x = np.concatenate([np.linspace(-12, 12, 40_001), [0.0, -0.0, 1e-300, -1e300, 1e300]])
    expected = [0.5 * math.erfc(-point / math.sqrt(2)) for point in x]
    np.testing.assert_allclose(normal_distribution(x), expected, rtol=0, atol=1e-15)


def test_gelu_keeps_the_shape_and_the_ends():
    result = gelu(np.array([[0.0, 20.0], [-20.0, 9.5]]))
    np.testing.assert_allclose(result, [[0, 20], [0, 9.5]], rtol=0, atol=1e-15)


def test_layer_norm_and_softmax():
    x = np.array([[1.0, 3.0], [-1.0, 1.0]])
    np.testing.assert_allclose(layer_norm(x, 2.0, 1.0, 0.0), [[-1, 3], [-1, 3]])
    np.testing.assert_allclose(softmax(np.log([[1.0, 3.0]])), [[0.25, 0.75]])
