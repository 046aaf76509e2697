"""Batch normalisation, with the statistics of a batch or with given ones."""

from __future__ import annotations

from tenon.errors import ShapeError
from tenon.nn import init
from tenon.nn._mode import training_trace
from tenon.nn._module import Module, Parameter
from tenon.nn._value import Operand, Value, _binary, apply, reduce

__all__ = ["BatchNorm", "batch_norm", "batch_norm_of_batch"]


def batch_norm(
    x: Value,
    mean: Operand,
    variance: Operand,
    weight: Operand,
    bias: Operand,
    eps: float = 1e-5,
) -> Value:
    """Return ``(x - mean) / sqrt(variance + eps) * weight + bias`` for each channel.

    S. Ioffe, C. Szegedy: Batch normalization. ICML 2015. After a convolution with constant weights
    it is folded into weights and bias when a network is compiled, which changes the rounding.

    Parameters
    ----------
    x
        ``[..., c]`` floats, channels last.
    mean, variance, weight, bias
        ``[c]``, of x's dtype.
    eps
        Keeps the root away from zero.

    Raises
    ------
    ShapeError
        Statistics or parameters that have not the size of the last axis [E0444].
    DTypeError
        No floats [E0521], or operands of several dtypes [E0537].
    """
    return apply("batch_norm", [x, mean, variance, weight, bias], eps=float(eps))


def batch_norm_of_batch(
    x: Value, weight: Operand, bias: Operand, eps: float = 1e-5
) -> tuple[Value, Value, Value]:
    """Normalise with the mean and variance of the batch itself, as training does.

    Parameters
    ----------
    x
        ``[..., c]`` floats, channels last; statistics run over all axes but the last.
    weight, bias
        ``[c]``.
    eps
        Keeps the root away from zero.

    Returns
    -------
    tuple of Value
        The normalised array, and mean and variance ``[c]`` (the mean of squared distances: divided
        by the count, not the count less one), computed in two passes.

    Raises
    ------
    ShapeError
        x has no axis but its channels [E0447].
    """
    if x.ndim < 2:
        raise ShapeError(
            "E0447", f"batch_norm_of_batch of {x!r}: expected at least 2 axes, [n, ..., channels]"
        )
    axes = list(range(x.ndim - 1))
    mean = reduce("mean", x, axes, False)
    centred = x - mean
    variance = reduce("mean", centred * centred, axes, False)
    scale = apply("rsqrt", [_binary("add", variance, float(eps))])
    return _binary("add", centred * scale * weight, bias), mean, variance


class BatchNorm(Module):
    """Each channel with mean 0 and variance 1 over the batch, scaled and shifted.

    While a training step is traced (and the module is not in `eval` mode) the statistics are those
    of the batch, and the running ones move: ``running = (1 - momentum) * running + momentum *
    batch``. Otherwise the running statistics normalise. Channels are the last axis of arrays of any
    rank.

    Parameters
    ----------
    channels
        The size of the last axis.
    eps
        Added to variances.
    momentum
        The share of a batch in the running statistics.
    """

    def __init__(
        self, channels: int, eps: float = 1e-5, momentum: float = 0.1, dtype: str = "float32"
    ) -> None:
        self.weight = Parameter((channels,), dtype, init.ones)
        self.bias = Parameter((channels,), dtype)
        self.running_mean = Parameter((channels,), dtype, trainable=False)
        self.running_variance = Parameter((channels,), dtype, init.ones, trainable=False)
        self.eps, self.momentum = eps, momentum

    def forward(self, x: Value) -> Value:
        """Return the normalised array."""
        mean, variance = self.running_mean.value(), self.running_variance.value()
        weight, bias = self.weight.value(), self.bias.value()
        if training_trace() is None or not self.training:
            return batch_norm(x, mean, variance, weight, bias, self.eps)
        y, batch_mean, batch_variance = batch_norm_of_batch(x, weight, bias, self.eps)
        keep = 1 - self.momentum
        self.running_mean.assign(mean * keep + batch_mean * self.momentum)
        self.running_variance.assign(variance * keep + batch_variance * self.momentum)
        return y
