"""Figures that people read beside the loss."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tenon import _core
from tenon.nn._losses import check_labels
from tenon.nn._value import Value, apply

__all__ = ["Metric", "accuracy", "is_by_labels"]

Metric = Callable[[Value, Value], Value]
"""Takes a module's result and the targets of a batch and returns a scalar, a mean over its rows."""


def accuracy(scores: Value, labels: Value) -> Value:
    """Return the share of rows whose largest score is at the label; of equal ones the first counts.

    Parameters
    ----------
    scores
        Floats ``[..., classes]``.
    labels
        Integers ``[...]``.

    Returns
    -------
    Value
        A float32 scalar.

    Raises
    ------
    ShapeError, DTypeError
        As `functional.cross_entropy` [E0491, E0546].
    """
    check_labels("accuracy", scores, labels)
    num_classes = int(scores.shape[-1])
    is_top = scores == scores.max(-1, keepdims=True)
    places = apply("where", [is_top, np.arange(num_classes), np.array(num_classes)])
    is_right = places.min(-1) == labels.cast("int64")
    return is_right.cast("float32").mean()


def is_by_labels(scores: Value, targets: Value) -> bool:
    """Return whether the targets are a label for each row of scores."""
    is_integer = _core.numpy_dtype(targets.dtype).kind in "iu"
    return is_integer and targets.ndim + 1 == scores.ndim and isinstance(scores.shape[-1], int)
