"""Learning rates as functions of the number of updates, computed in the step program."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tenon.errors import ExpressionError
from tenon.nn import functional as f
from tenon.nn._value import Value

__all__ = ["Schedule", "constant", "cosine_decay", "step_decay"]

Schedule = Callable[[Value], Any]
"""Takes the number of updates made before, a float64 scalar, and returns a rate of that type."""


def constant(rate: float) -> Schedule:
    """Return the schedule that is always `rate`."""
    return lambda step: step * 0.0 + rate


def cosine_decay(
    rate: float, num_steps: int, *, warmup_steps: int = 0, final_rate: float = 0.0
) -> Schedule:
    """Return half a cosine from `rate` to `final_rate`, after a linear rise.

    I. Loshchilov, F. Hutter: SGDR: stochastic gradient descent with warm restarts. ICLR 2017,
    equation 5, without restarts. Update ``t`` of the rise has ``rate * (t + 1) / warmup_steps``;
    from `num_steps` on the rate is `final_rate`.

    Raises
    ------
    ExpressionError
        Not 0 <= warmup_steps < num_steps [E0191].
    """
    if not 0 <= warmup_steps < num_steps:
        raise ExpressionError(
            "E0191",
            "cosine_decay should have 0 <= warmup_steps < num_steps, got"
            f" warmup_steps={warmup_steps}, num_steps={num_steps}",
        )

    def schedule(step: Value) -> Value:
        part = f.minimum((step - warmup_steps) / float(num_steps - warmup_steps), 1.0)
        decayed = final_rate + (rate - final_rate) * 0.5 * (1.0 + f.cos(part * math.pi))
        if warmup_steps == 0:
            return decayed
        rising = (step + 1.0) * (rate / warmup_steps)
        return f.where(step < float(warmup_steps), rising, decayed)

    return schedule


def step_decay(rate: float, every: int, factor: float = 0.1) -> Schedule:
    """Return `rate`, multiplied by `factor` after each `every` updates.

    Raises
    ------
    ExpressionError
        `every` is less than 1, or `factor` is not positive [E0191].
    """
    if every < 1 or not factor > 0:
        raise ExpressionError(
            "E0191",
            f"step_decay should have every >= 1 and factor > 0, got every={every}, factor={factor}",
        )

    def schedule(step: Value) -> Value:
        return rate * f.exp(f.floor(step / float(every)) * math.log(factor))

    return schedule
