"""Showing how a training goes on: a bar on a terminal, a line for each epoch elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

__all__ = ["Progress", "make_progress"]

_SECONDS_BETWEEN_DRAWINGS = 0.1


class Progress:
    """Shows nothing; the base of those that do."""

    def start(self, epoch: int, num_batches: int) -> None:
        """Begin an epoch."""

    def advance(self, loss: float) -> None:
        """Count a batch, after which the mean loss of the epoch is `loss`."""

    def end(self, epoch: int, figures: Mapping[str, float]) -> None:
        """End an epoch."""

    def close(self) -> None:
        """Give the terminal back."""


class LineProgress(Progress):
    """A line for each epoch."""

    def __init__(self, num_epochs: int) -> None:
        self._num_epochs = num_epochs

    def end(self, epoch: int, figures: Mapping[str, float]) -> None:
        """Print the figures."""
        print(describe(epoch, self._num_epochs, figures), flush=True)


class BarProgress(Progress):
    """A bar with the loss and the time that is left, and a line for each epoch above it."""

    def __init__(self, num_epochs: int) -> None:
        from rich import progress  # takes 60 ms to import, which only a terminal needs

        self._num_epochs = num_epochs
        self._bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn("loss {task.fields[loss]:.4g}"),
            progress.TimeRemainingColumn(),
            auto_refresh=False,  # no thread beside the computation
            transient=True,
        )
        self._bar.start()
        self._task: Any = None
        self._drawn = 0.0

    def start(self, epoch: int, num_batches: int) -> None:
        """Begin the bar anew."""
        if self._task is not None:
            self._bar.remove_task(self._task)
        name = f"epoch {epoch + 1}/{self._num_epochs}"
        self._task = self._bar.add_task(name, total=num_batches, loss=float("nan"))

    def advance(self, loss: float) -> None:
        """Move the bar; drawing is rare enough not to be felt."""
        self._bar.update(self._task, advance=1, loss=loss)
        now = time.monotonic()
        if now - self._drawn >= _SECONDS_BETWEEN_DRAWINGS:
            self._drawn = now
            self._bar.refresh()

    def end(self, epoch: int, figures: Mapping[str, float]) -> None:
        """Print the figures above the bar."""
        self._bar.console.print(describe(epoch, self._num_epochs, figures), highlight=False)

    def close(self) -> None:
        """Remove the bar."""
        self._bar.stop()


def describe(epoch: int, num_epochs: int, figures: Mapping[str, float]) -> str:
    """Return the line of an epoch."""
    parts = [f"{name} {value:.4f}" for name, value in figures.items() if name != "seconds"]
    width = len(str(num_epochs))
    seconds = figures.get("seconds", 0.0)
    return f"epoch {epoch + 1:>{width}}/{num_epochs}  {'  '.join(parts)}  {seconds:.2f} s"


def make_progress(show: bool | None, num_epochs: int) -> Progress:
    """Return what shows the progress; by default by whether there is a terminal."""
    if show is False:
        return Progress()
    return BarProgress(num_epochs) if sys.stdout.isatty() else LineProgress(num_epochs)
