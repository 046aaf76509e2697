"""The loop over a data set: `fit`."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tenon.errors import ExpressionError, ModelError
from tenon.nn._module import Module
from tenon.optim import Optimizer
from tenon.training._data import Dataset
from tenon.training._history import History
from tenon.training._metrics import Metric
from tenon.training._progress import Progress, make_progress
from tenon.training._step import Loss, TrainStep, train_step

__all__ = ["fit"]


def fit(
    module: Module,
    x: Any,
    y: Any,
    *,
    loss: Loss,
    optimizer: Optimizer,
    epochs: int,
    batch_size: int = 32,
    seed: int = 0,
    validation_data: tuple[Any, Any] | None = None,
    metrics: Sequence[Metric] | None = None,
    shuffle: bool = True,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: bool | None = None,
) -> History:
    """Train a module on a data set.

    Each epoch passes once over the rows, in an order that the seed decides, in batches; the last
    one has the rows that are left. Equal arguments give equal bits, for any number of threads.
    Afterwards, also after Ctrl-C, the module has the parameters as they are then.

    Parameters
    ----------
    module
        Parameters without data get their first data from the seed; others go on from theirs.
    x
        Inputs ``[rows, ...]``, or a tuple of arrays for a module of several inputs.
    y
        Targets ``[rows, ...]``: integers from 0 up for losses by labels.
    loss
        A function of the module's result and the targets that returns a scalar, such as
        `nn.functional.cross_entropy` or a loss module.
    optimizer
        Of `tenon.optim`.
    epochs
        How many passes, those before a checkpoint included.
    batch_size
        Rows of one update.
    seed
        Of first data, order and dropout; from 0 and below 2^64.
    validation_data
        Inputs and targets for figures after each epoch.
    metrics
        Functions as `tenon.training.accuracy`; by default that one where targets are labels.
    shuffle
        Whether each epoch has another order.
    checkpoint
        A file that holds the state of the training after each epoch.
    resume
        Whether to go on from that file if it exists: the result is, bit for bit, that of a training
        that never stopped.
    progress
        False shows nothing; by default there is a bar on a terminal and else a line for each epoch.

    Returns
    -------
    History
        Loss, metrics and seconds of each epoch.

    Raises
    ------
    ShapeError
        A data set has no rows [E0493], lengths differ [E0494], the loss is no scalar [E0495].
    IndexError
        A label is out of range [E0660].
    ModelError
        The checkpoint is damaged or of another training [E0810 to E0816, E0845 to E0851].
    ExpressionError
        A count is less than 1, or an argument is missing or no pair [E0196].
    ResourceError
        The checkpoint cannot be written [E0828].
    NumericError
        An operator made NaN or infinity, and `config.check_numerics` is on [E0704].

    Examples
    --------
    >>> import numpy as np
    >>> import tenon as tn
    >>> from tenon import nn
    >>> x = tn.random.normal((256, 2), seed=1)
    >>> y = (x[:, 0] * x[:, 1] > 0).astype(np.int64)
    >>> net = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 2))
    >>> history = tn.fit(net, x, y, loss=nn.CrossEntropyLoss(), optimizer=tn.optim.Adam(0.02),
    ...                  epochs=40, progress=False)
    >>> history["accuracy"][-1] > 0.95
    True
    """
    _check_counts(epochs=epochs, batch_size=batch_size)
    if resume and checkpoint is None:
        raise ExpressionError("E0196", "fit: resume=True should come with a checkpoint, got None")
    data = Dataset(x, y, "the training data")
    validation = _validation(validation_data)
    step = train_step(module, loss, optimizer, seed=seed, metrics=metrics)
    history = History()
    facts = {"rows": len(data), "batch_size": batch_size, "shuffle": shuffle}
    path = None if checkpoint is None else Path(checkpoint)
    if path is not None and resume and path.exists():
        history.epochs = _resumed(path, step, facts)
    shown = make_progress(progress, epochs)
    try:
        for epoch in range(len(history), epochs):
            begin = time.perf_counter()
            order_seed = seed if shuffle else None
            figures = _train(step, data, batch_size, order_seed, epoch, shown)
            if validation is not None:
                found = _evaluate(step, validation, batch_size)
                figures |= {f"val_{name}": value for name, value in found.items()}
            figures["seconds"] = time.perf_counter() - begin
            history.append(figures)
            shown.end(epoch, figures)
            if path is not None:
                step.save(path, data=facts, epochs=[_as_json(e) for e in history.epochs])
    finally:
        shown.close()
        step.sync()
    return history


def _validation(pair: Any) -> Dataset | None:
    if pair is None:
        return None
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise ExpressionError(
            "E0196", f"fit: validation_data should be a pair (x, y), got a {type(pair).__name__}"
        )
    return Dataset(pair[0], pair[1], "the validation data")


def _check_counts(**counts: object) -> None:
    for name, count in counts.items():
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise ExpressionError("E0196", f"fit: {name} should be at least 1, got {count!r}")


class _Means:
    """Means over rows of figures that are means over batches."""

    def __init__(self) -> None:
        self._rows = 0
        self._sums: dict[str, float] = {}

    def add(self, num_rows: int, figures: dict[str, float]) -> None:
        self._rows += num_rows
        for name, value in figures.items():
            self._sums[name] = self._sums.get(name, 0.0) + num_rows * value

    def values(self) -> dict[str, float]:
        return {name: total / self._rows for name, total in self._sums.items()}


def _train(
    step: TrainStep, data: Dataset, batch_size: int, seed: int | None, epoch: int, shown: Progress
) -> dict[str, float]:
    means = _Means()
    shown.start(epoch, -(-len(data) // batch_size))
    for inputs, targets in data.batches(batch_size, seed=seed, epoch=epoch):
        loss = step(tuple(inputs), targets)
        means.add(len(targets), {"loss": loss, **step.metrics})
        shown.advance(means.values()["loss"])
    return means.values()


def _evaluate(step: TrainStep, data: Dataset, batch_size: int) -> dict[str, float]:
    means = _Means()
    for inputs, targets in data.batches(max(batch_size, 256)):
        loss = step.evaluate(tuple(inputs), targets)
        means.add(len(targets), {"loss": loss, **step.metrics})
    return means.values()


def _resumed(path: Path, step: TrainStep, facts: dict[str, Any]) -> list[dict[str, float]]:
    found = step.load(path)
    if found.get("data") != facts:
        raise ModelError(
            "E0851",
            f"'{path}' is of a training with {found.get('data')}, expected {facts}\n"
            "  hint: go on with the data and batches that it began with",
        )
    try:
        return [{name: float(value) for name, value in e.items()} for e in found["epochs"]]
    except (KeyError, TypeError, AttributeError, ValueError):
        raise ModelError("E0849", f"'{path}': epochs should be a list of figures") from None


def _as_json(figures: dict[str, float]) -> dict[str, float | str]:
    """Return figures whose NaN and infinities are texts, which JSON can hold."""
    return {k: v if math.isfinite(v) else str(v) for k, v in figures.items()}
