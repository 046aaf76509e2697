"""Dropout: zeros at random places while a training step is traced."""

from __future__ import annotations

from tenon import _core
from tenon.errors import ExpressionError
from tenon.nn._mode import training_trace
from tenon.nn._module import Module
from tenon.nn._random import source_of
from tenon.nn._value import Value, apply, as_value

__all__ = ["Dropout", "dropout"]


def dropout(x: Value, rate: float, seed: Value, stream: int, step: Value) -> Value:
    """Return x with zeros at random places, and the others divided by the share that stays.

    N. Srivastava et al.: Dropout: a simple way to prevent neural networks from overfitting. JMLR
    2014. Element ``i`` in row-major order stays where the first word of Philox 4x32-10 at the
    counter ``(i mod 2^32, i // 2^32, stream, step)`` is at least ``rate * 2^32``: the same elements
    for any number of threads, and for a batch as for its rows in their places.

    Parameters
    ----------
    x
        Floats of any shape.
    rate
        The share of zeros, from 0 and below 1.
    seed
        uint32 ``[2]``: the key, the low word first.
    stream
        A number of its own for each use in a network, less than 2^32.
    step
        An int64 scalar, which makes other zeros in each step.

    Raises
    ------
    ExpressionError
        The rate is out of range [E0194].
    """
    if not 0 <= rate < 1:
        raise ExpressionError("E0194", f"dropout: rate should be from 0 and below 1, got {rate!r}")
    if rate == 0:
        return x
    kept = _core.graph_dropout_mask(source_of(seed, stream, step), x.shape, rate)
    return apply("where", [Value(kept), x * (1 / (1 - rate)), as_value(0.0, x.dtype)])


class Dropout(Module):
    """Zeros at random places in training, the identity in use; see `functional.dropout`.

    Parameters
    ----------
    rate
        The share of zeros, from 0 and below 1.

    Raises
    ------
    ExpressionError
        The rate is out of range [E0194].
    """

    def __init__(self, rate: float = 0.5) -> None:
        if not 0 <= rate < 1:
            raise ExpressionError(
                "E0194", f"Dropout: rate should be from 0 and below 1, got {rate!r}"
            )
        self.rate = float(rate)

    def forward(self, x: Value) -> Value:
        """Return an array of the same shape."""
        trace = training_trace()
        if trace is None or not self.training or self.rate == 0:
            return x
        return dropout(x, self.rate, trace.seed, trace.next_stream(), trace.step)
