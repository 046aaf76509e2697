"""Functions of symbolic values."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tenon.nn._batch_norm import batch_norm, batch_norm_of_batch
from tenon.nn._convolution import (
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
)
from tenon.nn._dropout import dropout
from tenon.nn._losses import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    huber_loss,
    l1_loss,
    log_softmax,
    mse_loss,
    nll_loss,
)
from tenon.nn._pooling import (
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    global_avg_pool,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)
from tenon.nn._random import bernoulli, random_normal, random_uniform
from tenon.nn._value import Operand, Value, _binary, along, apply, as_value

__all__ = [
    "attention",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "batch_norm",
    "batch_norm_of_batch",
    "bernoulli",
    "binary_cross_entropy_with_logits",
    "concat",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cos",
    "cross_entropy",
    "dropout",
    "embedding",
    "exp",
    "floor",
    "gelu",
    "global_avg_pool",
    "huber_loss",
    "l1_loss",
    "layer_norm",
    "linear",
    "log",
    "log_softmax",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "maximum",
    "minimum",
    "mse_loss",
    "nll_loss",
    "random_normal",
    "random_uniform",
    "relu",
    "rsqrt",
    "sigmoid",
    "sin",
    "softmax",
    "softplus",
    "sqrt",
    "tanh",
    "where",
]


def linear(x: Value, weight: Operand, bias: Operand | None = None) -> Value:
    """Return ``x @ weight.T + bias`` for a weight ``[N, K]``."""
    y = apply("linear", [x, weight])
    return y if bias is None else apply("add", [y, bias])


def softmax(x: Value, axis: int = -1) -> Value:
    """Return ``exp(x) / sum(exp(x))`` along one axis."""
    return along("softmax", x, axis)


def layer_norm(
    x: Value, weight: Operand | None = None, bias: Operand | None = None, eps: float = 1e-5
) -> Value:
    """Normalise the last axis to mean 0 and variance 1, then scale and shift."""
    operands: list[Operand] = [x]
    if weight is not None:
        operands.append(weight)
    y = apply(
        "layer_norm",
        operands + ([bias] if weight is not None and bias is not None else []),
        eps=float(eps),
    )
    return y + bias if weight is None and bias is not None else y


def embedding(table: Operand, indices: Operand) -> Value:
    """Return rows of a table; an index out of range raises IndexError when the network runs."""
    return apply("embedding", [table, indices])


def attention(
    q: Value,
    k: Value,
    v: Value,
    num_heads: int,
    mask: Value | None = None,
    scale: float | None = None,
) -> Value:
    """Return ``softmax(q k^T * scale) v`` of each head, ``[batch, length, width]`` as the operands.

    Positions of keys whose ``mask`` ``[batch, length]`` is false (zero) have no weight.
    """
    width = int(q.shape[2])
    factor = 1 / math.sqrt(width // num_heads) if scale is None else scale
    operands = [q, k, v] + ([] if mask is None else [mask])
    heads = apply("attention", operands, heads=num_heads, scale=float(factor))
    return heads.transpose(0, 2, 1, 3).reshape(q.shape)


def where(condition: Operand, a: Operand, b: Operand) -> Value:
    """Return a where the condition holds, else b."""
    x = as_value(a, b.dtype if isinstance(b, Value) else None)
    y = as_value(b, a.dtype if isinstance(a, Value) else None)
    return apply("where", [condition, x, y])


def concat(values: Sequence[Operand], axis: int = 0) -> Value:
    """Join along one axis."""
    return apply("concat", list(values), axis=axis)


def maximum(a: Operand, b: Operand) -> Value:
    """Return the larger of two."""
    return _binary("maximum", a, b)


def minimum(a: Operand, b: Operand) -> Value:
    """Return the smaller of two."""
    return _binary("minimum", a, b)


def exp(x: Value) -> Value:
    """Return e to the power of x."""
    return apply("exp", [x])


def log(x: Value) -> Value:
    """Return the natural logarithm."""
    return apply("log", [x])


def sqrt(x: Value) -> Value:
    """Return the square root."""
    return apply("sqrt", [x])


def rsqrt(x: Value) -> Value:
    """Return 1 / sqrt(x)."""
    return apply("rsqrt", [x])


def sin(x: Value) -> Value:
    """Return the sine of x in radians."""
    return apply("sin", [x])


def cos(x: Value) -> Value:
    """Return the cosine of x in radians."""
    return apply("cos", [x])


def floor(x: Value) -> Value:
    """Return the largest integer that is not above x."""
    return apply("floor", [x])


def softplus(x: Value) -> Value:
    """Return log(1 + exp(x)), accurate at both ends."""
    return apply("softplus", [x])


def tanh(x: Value) -> Value:
    """Return the hyperbolic tangent."""
    return apply("tanh", [x])


def sigmoid(x: Value) -> Value:
    """Return 1 / (1 + exp(-x))."""
    return apply("sigmoid", [x])


def relu(x: Value) -> Value:
    """Return max(x, 0)."""
    return apply("relu", [x])


def gelu(x: Value, approximate: str | None = None) -> Value:
    """Return x * (1 + erf(x / sqrt(2))) / 2, or its form with tanh."""
    return apply("gelu_tanh" if approximate == "tanh" else "gelu", [x])
