"""Whether a network is being made on this thread, and what became a constant of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["is_tracing", "note_constant", "tracing"]


class _State(threading.local):
    def __init__(self) -> None:
        self.active: list[list[tuple[Any, Any]]] = []


_state = _State()


@contextmanager
def tracing() -> Iterator[list[tuple[Any, Any]]]:
    """Make a network; gives the parameters that became constants, with their data."""
    constants: list[tuple[Any, Any]] = []
    _state.active.append(constants)
    try:
        yield constants
    finally:
        _state.active.pop()


def is_tracing() -> bool:
    """Return whether a network is being made."""
    return bool(_state.active)


def note_constant(parameter: Any, data: Any) -> None:
    """Remember that a parameter's data are part of the network."""
    for constants in _state.active:
        constants.append((parameter, data))
