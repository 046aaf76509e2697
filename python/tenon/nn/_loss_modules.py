"""Losses as modules: their settings are fixed when they are made."""

from __future__ import annotations

from tenon.nn import _losses as losses
from tenon.nn._module import Module
from tenon.nn._value import Value

__all__ = [
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "HuberLoss",
    "L1Loss",
    "MSELoss",
    "NLLLoss",
]


class CrossEntropyLoss(Module):
    """Cross-entropy of logits and labels; see `functional.cross_entropy`."""

    def __init__(self, label_smoothing: float = 0.0, reduction: losses.Reduction = "mean") -> None:
        self.label_smoothing = label_smoothing
        self.reduction: losses.Reduction = reduction

    def forward(self, logits: Value, labels: Value) -> Value:
        """Return the loss of ``[..., classes]`` for integers ``[...]``."""
        return losses.cross_entropy(logits, labels, self.label_smoothing, self.reduction)


class NLLLoss(Module):
    """Minus the log-probability of labels; see `functional.nll_loss`."""

    def __init__(self, reduction: losses.Reduction = "mean") -> None:
        self.reduction: losses.Reduction = reduction

    def forward(self, log_probabilities: Value, labels: Value) -> Value:
        """Return the loss of ``[..., classes]`` for integers ``[...]``."""
        return losses.nll_loss(log_probabilities, labels, self.reduction)


class MSELoss(Module):
    """Squared differences; see `functional.mse_loss`."""

    def __init__(self, reduction: losses.Reduction = "mean") -> None:
        self.reduction: losses.Reduction = reduction

    def forward(self, prediction: Value, target: Value) -> Value:
        """Return the loss of two arrays of one shape."""
        return losses.mse_loss(prediction, target, self.reduction)


class L1Loss(Module):
    """Absolute differences; see `functional.l1_loss`."""

    def __init__(self, reduction: losses.Reduction = "mean") -> None:
        self.reduction: losses.Reduction = reduction

    def forward(self, prediction: Value, target: Value) -> Value:
        """Return the loss of two arrays of one shape."""
        return losses.l1_loss(prediction, target, self.reduction)


class HuberLoss(Module):
    """Squares of small differences, multiples of large ones; see `functional.huber_loss`."""

    def __init__(self, delta: float = 1.0, reduction: losses.Reduction = "mean") -> None:
        self.delta = delta
        self.reduction: losses.Reduction = reduction

    def forward(self, prediction: Value, target: Value) -> Value:
        """Return the loss of two arrays of one shape."""
        return losses.huber_loss(prediction, target, self.delta, self.reduction)


class BCEWithLogitsLoss(Module):
    """Binary cross-entropy; see `functional.binary_cross_entropy_with_logits`."""

    def __init__(self, reduction: losses.Reduction = "mean") -> None:
        self.reduction: losses.Reduction = reduction

    def forward(self, logits: Value, target: Value) -> Value:
        """Return the loss of two arrays of one shape."""
        return losses.binary_cross_entropy_with_logits(logits, target, self.reduction)
