"""What happened in each epoch of a training: `History`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from tenon.errors import ExpressionError
from tenon.training._chart import sparkline, svg_chart

__all__ = ["History"]


class History:
    """The figures of each epoch: ``loss`` and metrics, the same with ``val_`` for the validation
    data, and ``seconds``.

    Losses and metrics of training are means over the rows of the epoch, each taken before the
    update of its batch; those of the validation data are taken after the epoch.
    """  # noqa: D205

    epochs: list[dict[str, float]]
    """A dict for each epoch."""

    def __init__(self) -> None:
        self.epochs = []

    def append(self, figures: Mapping[str, float]) -> None:
        """Add an epoch."""
        self.epochs.append(dict(figures))

    def __len__(self) -> int:
        return len(self.epochs)

    def __iter__(self) -> Iterator[dict[str, float]]:
        return iter(self.epochs)

    def keys(self) -> list[str]:
        """Return the names of the figures."""
        return list(self.epochs[0]) if self.epochs else []

    def __getitem__(self, name: str) -> list[float]:
        """Return one figure over the epochs.

        Raises
        ------
        ExpressionError
            There is no figure of that name [E0195].
        """
        if name not in self.keys():
            raise ExpressionError(
                "E0195", f"the history has {', '.join(self.keys()) or 'no epochs'}, not {name!r}"
            )
        return [figures[name] for figures in self.epochs]

    def plot(self, path: str | os.PathLike[str] | None = None) -> str:
        """Draw the figures over the epochs.

        Parameters
        ----------
        path
            If given, a chart of the losses is written there as SVG, which every browser shows.

        Returns
        -------
        str
            A line of blocks for each figure, with its first, best and last value, for a terminal.
        """
        names = [name for name in self.keys() if name != "seconds"]
        if path is not None:
            losses = {name: self[name] for name in names if name.endswith("loss")}
            Path(path).write_text(svg_chart(losses, "Loss by epoch"), encoding="utf-8")
        width = max((len(name) for name in names), default=0)
        lines = []
        for name in names:
            values = self[name]
            best = min(values) if name.endswith("loss") else max(values)
            lines.append(
                f"{name:<{width}}  {sparkline(values)}  {values[0]:.4g} -> {values[-1]:.4g}"
                f"  (best {best:.4g})"
            )
        return "\n".join(lines)

    def __repr__(self) -> str:
        last = ", ".join(
            f"{k}={v:.4g}" for k, v in (self.epochs[-1] if self.epochs else {}).items()
        )
        return f"<tenon.History of {len(self)} epochs{': ' + last if last else ''}>"
