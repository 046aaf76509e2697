"""What modules do while a training step is traced: random numbers and running values."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tenon.nn._module import Parameter
    from tenon.nn._value import Value

__all__ = ["TrainingTrace", "tracing_training", "training_trace"]


class TrainingTrace:
    """One tracing of modules for training.

    Parameters
    ----------
    seed
        uint32 ``[2]``: the words of the seed, the low one first.
    step
        int64 scalar: the number of updates made before.
    """

    def __init__(self, seed: Value, step: Value) -> None:
        self.seed = seed
        self.step = step
        self.updates: dict[Parameter, Value] = {}
        self._num_streams = 0

    def next_stream(self) -> int:
        """Return a number of its own for each use of random numbers, in the order of tracing."""
        self._num_streams += 1
        return self._num_streams - 1


class _State(threading.local):
    def __init__(self) -> None:
        self.active: list[TrainingTrace] = []


_state = _State()


@contextmanager
def tracing_training(trace: TrainingTrace) -> Iterator[TrainingTrace]:
    """Trace modules for training within the context, on this thread."""
    _state.active.append(trace)
    try:
        yield trace
    finally:
        _state.active.pop()


def training_trace() -> TrainingTrace | None:
    """Return the training trace that is being made, or None: modules are traced for use."""
    return _state.active[-1] if _state.active else None
