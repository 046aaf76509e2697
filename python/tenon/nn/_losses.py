"""Losses: what a network's results are worth against targets."""

from __future__ import annotations

from typing import Literal

import numpy as np

from tenon import _core, te
from tenon.errors import DTypeError, ExpressionError, ShapeError
from tenon.nn._value import Operand, Value, along, apply, as_value

__all__ = [
    "Reduction",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "huber_loss",
    "l1_loss",
    "log_softmax",
    "mse_loss",
    "nll_loss",
]

Reduction = Literal["mean", "sum", "none"]
"""Mean or sum over all elements (rows for losses by labels), or one value for each."""


def log_softmax(x: Value, axis: int = -1) -> Value:
    """Return ``x - log(sum(exp(x)))`` along one axis, without overflow: ``[...]`` as ``x``."""
    return along("log_softmax", x, axis)


def nll_loss(log_probabilities: Value, labels: Operand, reduction: Reduction = "mean") -> Value:
    """Return minus the log-probability of the label.

    Parameters
    ----------
    log_probabilities
        Floats ``[..., classes]``, as `log_softmax` returns.
    labels
        Integers ``[...]`` from 0 and below ``classes``; computing the loss of others raises
        IndexError [E0651].
    reduction
        ``"mean"`` and ``"sum"`` give a scalar, ``"none"`` ``[...]``.

    Raises
    ------
    ShapeError
        The shapes do not fit [E0491].
    DTypeError
        Labels are no integers, or log-probabilities no floats [E0546].
    ExpressionError
        The reduction is unknown [E0193].
    """
    labels = as_value(labels)
    check_labels("nll_loss", log_probabilities, labels)
    return _reduced("nll_loss", -_at_labels(log_probabilities, labels), reduction)


def cross_entropy(
    logits: Value, labels: Operand, label_smoothing: float = 0.0, reduction: Reduction = "mean"
) -> Value:
    """Return the cross-entropy between labels and ``softmax(logits)``.

    For each row ``log(sum(exp(x))) - (1 - a) * x[label] - a * mean(x)`` with smoothing ``a``
    (C. Szegedy et al.: Rethinking the Inception architecture, CVPR 2016, section 7), computed by
    `log_softmax`: finite for all finite logits.

    Parameters
    ----------
    logits
        Floats ``[..., classes]``.
    labels
        Integers ``[...]`` from 0 and below ``classes``; computing the loss of others raises
        IndexError [E0651].
    label_smoothing
        From 0 to 1: the part of each label that is spread over all classes.
    reduction
        ``"mean"`` and ``"sum"`` give a scalar, ``"none"`` ``[...]``.

    Raises
    ------
    ShapeError, DTypeError
        As `nll_loss` [E0491, E0546].
    ExpressionError
        The reduction is unknown [E0193], or the smoothing is out of range [E0194].
    """
    labels = as_value(labels)
    check_labels("cross_entropy", logits, labels)
    if not 0 <= label_smoothing <= 1:
        raise ExpressionError(
            "E0194",
            f"cross_entropy: label_smoothing should be from 0 to 1, got {label_smoothing!r}",
        )
    scores = log_softmax(logits)
    loss = (label_smoothing - 1.0) * _at_labels(scores, labels)
    if label_smoothing:
        loss = loss - label_smoothing * scores.mean(-1)
    return _reduced("cross_entropy", loss, reduction)


def mse_loss(prediction: Value, target: Operand, reduction: Reduction = "mean") -> Value:
    """Return the squared difference.

    Parameters
    ----------
    prediction, target
        Floats of one shape and dtype.
    reduction
        ``"mean"`` and ``"sum"`` give a scalar, ``"none"`` the shape of the operands.

    Raises
    ------
    ShapeError
        The shapes differ [E0492].
    DTypeError
        The dtypes differ, or are no floats [E0547].
    ExpressionError
        The reduction is unknown [E0193].
    """
    difference = _difference("mse_loss", prediction, target)
    return _reduced("mse_loss", difference * difference, reduction)


def l1_loss(prediction: Value, target: Operand, reduction: Reduction = "mean") -> Value:
    """Return the absolute difference; operands and errors are those of `mse_loss`."""
    return _reduced("l1_loss", abs(_difference("l1_loss", prediction, target)), reduction)


def huber_loss(
    prediction: Value, target: Operand, delta: float = 1.0, reduction: Reduction = "mean"
) -> Value:
    """Return ``d^2 / 2`` where ``|d| <= delta``, and ``delta * (|d| - delta / 2)`` beyond.

    P. Huber: Robust estimation of a location parameter, 1964. Operands and errors are those of
    `mse_loss`; a `delta` that is not positive is an ExpressionError [E0194].
    """
    if not delta > 0:
        raise ExpressionError("E0194", f"huber_loss: delta should be positive, got {delta!r}")
    size = abs(_difference("huber_loss", prediction, target))
    inner, outer = 0.5 * (size * size), delta * (size - 0.5 * delta)
    return _reduced("huber_loss", apply("where", [size <= delta, inner, outer]), reduction)


def binary_cross_entropy_with_logits(
    logits: Value, target: Operand, reduction: Reduction = "mean"
) -> Value:
    """Return ``-t * log(sigmoid(x)) - (1 - t) * log(1 - sigmoid(x))``.

    Computed as ``t * softplus(-x) + (1 - t) * softplus(x)``, whose terms have one sign: it neither
    overflows nor cancels. Targets ``t`` are floats from 0 to 1; operands and errors are those of
    `mse_loss`.
    """
    name = "binary_cross_entropy_with_logits"
    target = as_value(target)
    _check_pair(name, logits, target)
    positive, negative = apply("softplus", [-logits]), apply("softplus", [logits])
    return _reduced(name, target * positive + (1.0 - target) * negative, reduction)


def _difference(name: str, prediction: Value, target: Operand) -> Value:
    target = as_value(target)
    _check_pair(name, prediction, target)
    return prediction - target


def _check_pair(name: str, prediction: Value, target: Value) -> None:
    if not _same_shape(prediction.shape, target.shape):
        raise ShapeError(
            "E0492",
            f"{name}: prediction and target should have one shape, got {prediction!r} and"
            f" {target!r}",
        )
    if prediction.dtype != target.dtype or not _is_float(prediction):
        raise DTypeError(
            "E0547",
            f"{name}: prediction and target should be floats of one dtype, got {prediction.dtype}"
            f" and {target.dtype}",
        )


def check_labels(name: str, scores: Value, labels: Value) -> None:
    if scores.ndim == 0 or not _same_shape(scores.shape[:-1], labels.shape):
        raise ShapeError(
            "E0491",
            f"{name}: labels should have the shape of the scores without their last axis, got"
            f" scores {scores!r} and labels {labels!r}",
        )
    if _core.numpy_dtype(labels.dtype).kind not in "iu" or not _is_float(scores):
        raise DTypeError(
            "E0546",
            f"{name}: expected float scores and integer labels, got {scores.dtype} and"
            f" {labels.dtype}",
        )


def _same_shape(a: tuple[object, ...], b: tuple[object, ...]) -> bool:
    return len(a) == len(b) and all(_core.same_extent(x, y) for x, y in zip(a, b, strict=True))


def _is_float(value: Value) -> bool:
    return value.dtype.startswith(("float", "bfloat"))


def _at_labels(scores: Value, labels: Value) -> Value:
    """Return each row's element at its label, which is checked when the network runs.

    The derivative compares instead of adding at places that data decide, which is no scatter.
    """
    table = te.placeholder(scores.shape, scores.dtype, name="scores")
    index = te.placeholder(labels.shape, labels.dtype, name="labels")

    def element(*row: te.Expr) -> te.Expr:
        place = (*row, index[row])
        return table[place]

    picked = te.compute(labels.shape, element, name="at_labels")
    (value,) = _core.graph_expression(
        "at_labels", [scores._core, labels._core], [table, index], [picked]
    )

    def rule(
        residuals: list[_core.GraphValue], cotangent: _core.GraphValue
    ) -> list[_core.GraphValue | None]:
        given, g = Value(residuals[0]).cast("int64"), Value(cotangent)
        row = tuple(given.shape)
        is_label = given.reshape(*row, 1) == np.arange(int(scores.shape[-1]))
        nothing = as_value(0.0, g.dtype)
        return [apply("where", [is_label, g.reshape(*row, 1), nothing])._core]

    return Value(_core.graph_custom_vjp(value, [scores._core], [labels._core], rule))


def _reduced(name: str, loss: Value, reduction: Reduction) -> Value:
    if reduction not in ("mean", "sum", "none"):
        raise ExpressionError(
            "E0193", f"{name}: reduction should be 'mean', 'sum' or 'none', got {reduction!r}"
        )
    if reduction == "none" or loss.ndim == 0:
        return loss
    return loss.mean() if reduction == "mean" else loss.sum()
