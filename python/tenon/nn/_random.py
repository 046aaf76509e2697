"""Random numbers in networks: the numbers of `tenon.random`, drawn by kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tenon import _core
from tenon.nn._value import Value
from tenon.random import checked

__all__ = ["bernoulli", "random_normal", "random_uniform"]


def source_of(seed: Value, stream: int, step: Value) -> tuple[Any, int, Any]:
    """Return the operands that say where numbers come from; the stream is checked [E0190]."""
    return seed._core, checked(stream, 32, "stream"), step._core


def random_uniform(
    shape: Sequence[Any],
    low: float = 0.0,
    high: float = 1.0,
    *,
    seed: Value,
    stream: int,
    step: Value,
    dtype: object = "float32",
) -> Value:
    """Return uniform numbers of [low, high), bit-equal to those of `tenon.random.uniform`.

    The same for any number of threads and every CPU: a function of the operands. What should
    differ from call to call is `step`.

    Parameters
    ----------
    shape
        Sizes, which may be symbols.
    seed
        uint32 ``[2]``: the key, the low word first.
    stream
        A number of its own for each use in a network, less than 2^32.
    step
        An int64 scalar; its lower 32 bits count.

    Raises
    ------
    ExpressionError
        The stream is out of range [E0190].
    ShapeError, DTypeError
        `seed` or `step` is not of this form [E0486, E0540].
    """
    source = source_of(seed, stream, step)
    return Value(_core.graph_random_uniform(source, tuple(shape), dtype, low, high))


def random_normal(
    shape: Sequence[Any],
    mean: float = 0.0,
    std: float = 1.0,
    *,
    seed: Value,
    stream: int,
    step: Value,
    dtype: object = "float32",
) -> Value:
    """Return normally distributed numbers, those of `tenon.random.normal`.

    Both compute in float64; logarithm and cosine are Tenon's here and NumPy's there, so that
    results may differ in their last bit. Operands and errors are those of `random_uniform`.
    """
    source = source_of(seed, stream, step)
    return Value(_core.graph_random_normal(source, tuple(shape), dtype, mean, std))


def bernoulli(p: Value, *, seed: Value, stream: int, step: Value) -> Value:
    """Return bools of the shape of `p`, true with the probability that `p` has there.

    An element is true where the number of `random_uniform` there, in [0, 1), is below `p`. Operands
    and errors are those of `random_uniform`.
    """
    return Value(_core.graph_bernoulli(source_of(seed, stream, step), p._core))
