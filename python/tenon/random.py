"""Random numbers from counters: the same bits for the same key, wherever and in whatever order.

The generator is Philox 4x32-10 (J. Salmon, M. Moraes, R. Dror, D. Shaw: Parallel random numbers: as
easy as 1, 2, 3. SC 2011): a function of a 128-bit counter and a 64-bit key, without state. An
element of an array is a counter, so that threads, vector lanes and batches share nothing and no
order changes a bit. The functions of arrays here run in NumPy; `philox4x32` also takes tensor
expressions, and `tenon.nn.functional` has `random_uniform`, `random_normal` and `bernoulli`, which
draw the same numbers in networks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tenon import _core, te
from tenon.errors import ExpressionError

__all__ = ["bits", "normal", "permutation", "philox4x32", "uniform"]

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (np.uint64(0x9E3779B9), np.uint64(0xBB67AE85))
_ROUNDS = 10
_WORD_BITS = np.uint64(32)
_MASK = np.uint64(0xFFFFFFFF)

Words = tuple[Any, Any, Any, Any]


def philox4x32(counter: Sequence[Any], key: Sequence[Any]) -> Words:
    """Return the four 32-bit words of Philox 4x32-10.

    Parameters
    ----------
    counter
        Four uint32 words, the least significant first: all `te.Expr`, or NumPy arrays that
        broadcast, or integers.
    key
        Two words, of the kind of the counter's.

    Returns
    -------
    tuple
        Four expressions, or four uint32 arrays.

    Examples
    --------
    >>> [hex(int(word)) for word in philox4x32((0, 0, 0, 0), (0, 0))]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    if any(isinstance(word, te.Expr) for word in (*counter, *key)):
        drawn = _core.philox4x32([_word(x) for x in counter], [_word(x) for x in key])
        return drawn[0], drawn[1], drawn[2], drawn[3]
    # In 64 bits, so that no product and no sum overflows.
    c0, c1, c2, c3 = (np.asarray(x, np.uint64) for x in counter)
    k0, k1 = (np.asarray(x, np.uint64) for x in key)
    for i in range(_ROUNDS):
        if i > 0:
            k0, k1 = (k0 + _WEYL[0]) & _MASK, (k1 + _WEYL[1]) & _MASK
        first, second = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (
            second >> _WORD_BITS ^ c1 ^ k0,
            second & _MASK,
            first >> _WORD_BITS ^ c3 ^ k1,
            first & _MASK,
        )
    shape = np.broadcast_shapes(*(word.shape for word in (c0, c1, c2, c3)))
    a, b, c, d = (np.broadcast_to(word.astype(np.uint32), shape) for word in (c0, c1, c2, c3))
    return a, b, c, d


def _word(x: Any) -> te.Expr:
    return te.cast(x, "uint32") if isinstance(x, te.Expr) else te.const(int(x), "uint32")


def bits(
    shape: Sequence[int] | int, seed: int, stream: int = 0, step: int = 0
) -> npt.NDArray[np.uint32]:
    """Return uniform 32-bit words.

    Element ``i`` in row-major order is word ``i % 4`` of the counter ``(i // 4, 0, stream, step)``
    under the key ``seed``.

    Parameters
    ----------
    shape
        Of the result.
    seed
        At least 0 and less than 2^64.
    stream, step
        Less than 2^32. Other streams and steps are independent.

    Raises
    ------
    ExpressionError
        A seed, stream or step is out of its range [E0190].
    """
    low, high = seed_words(seed)
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    size = math.prod(sizes)
    blocks = np.arange(-(-size // 4), dtype=np.uint64)
    counter = (
        blocks & _MASK,
        blocks >> _WORD_BITS,
        checked(stream, 32, "stream"),
        checked(step, 32, "step"),
    )
    words = np.stack(philox4x32(counter, (low, high)), axis=-1)
    return words.reshape(-1)[:size].reshape(sizes)


def seed_words(seed: int) -> tuple[int, int]:
    """Return the low and the high word of a seed, checked."""
    value = checked(seed, 64, "seed")
    return value & 0xFFFFFFFF, value >> 32


def checked(value: int, num_bits: int, what: str) -> int:
    """Return an integer of so many bits; [E0190] for anything else."""
    is_int = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not is_int or not 0 <= value < 1 << num_bits:
        raise ExpressionError(
            "E0190", f"a {what} should be an integer from 0 to 2^{num_bits} - 1, got {value!r}"
        )
    return int(value)


def uniform(
    shape: Sequence[int] | int,
    low: float = 0.0,
    high: float = 1.0,
    *,
    seed: int,
    stream: int = 0,
    step: int = 0,
    dtype: object = "float32",
) -> npt.NDArray[Any]:
    """Return uniform numbers of [low, high): the upper 24 bits of `bits`, scaled in float64.

    Raises
    ------
    ExpressionError
        As `bits` [E0190].
    """
    fractions = (bits(shape, seed, stream, step) >> np.uint32(8)) * 2.0**-24
    values: npt.NDArray[Any] = low + (high - low) * fractions
    return values.astype(_core.numpy_dtype(dtype))


def normal(
    shape: Sequence[int] | int,
    mean: float = 0.0,
    std: float = 1.0,
    *,
    seed: int,
    stream: int = 0,
    step: int = 0,
    dtype: object = "float32",
) -> npt.NDArray[Any]:
    """Return normally distributed numbers (G. Box, M. Muller: A note on the generation of random
    normal deviates, 1958), computed in float64.

    Raises
    ------
    ExpressionError
        As `bits` [E0190].
    """  # noqa: D205
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    words = bits((math.prod(sizes), 2), seed, stream, step)
    radius = np.sqrt(-2 * np.log((words[:, 0] + 1.0) * 2.0**-32))  # of (0, 1]
    turn = words[:, 1] * (2 * math.pi * 2.0**-32)
    values: npt.NDArray[Any] = mean + std * radius * np.cos(turn)
    return values.reshape(sizes).astype(_core.numpy_dtype(dtype))


def permutation(n: int, *, seed: int, stream: int = 0, step: int = 0) -> npt.NDArray[np.int64]:
    """Return the integers below `n` in random order: sorted by 64 random bits each.

    Raises
    ------
    ExpressionError
        As `bits` [E0190].
    """
    words = bits((n, 2), seed, stream, step).astype(np.uint64)
    return np.argsort(words[:, 0] << np.uint64(32) | words[:, 1], kind="stable")
