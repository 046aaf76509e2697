"""How long calls take."""

from __future__ import annotations

import statistics
from typing import NamedTuple

__all__ = ["Timing", "summarize"]


class Timing(NamedTuple):
    """Seconds per call."""

    median: float
    spread: float
    """The middle half of the samples lies within this range."""


def summarize(samples: list[float]) -> Timing:
    """Reduce samples, in seconds per call, to their median and the range of their middle half."""
    if len(samples) < 2:
        return Timing(samples[0], 0.0)
    low, median, high = statistics.quantiles(samples, n=4)
    return Timing(median, high - low)
