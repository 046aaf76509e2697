"""Data sets in memory: checked, shuffled, cut into batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tenon import _core, random
from tenon.errors import IndexError, ShapeError

__all__ = ["Dataset", "check_label_range"]

_SHUFFLE_STREAM = 0x73687566

Array = npt.NDArray[Any]


class Dataset:
    """Inputs and targets of equal length.

    Parameters
    ----------
    x
        An array ``[rows, ...]``, or a tuple of them for a module of several inputs.
    y
        An array ``[rows, ...]``.
    what
        For messages.

    Raises
    ------
    ShapeError
        There are no rows [E0493], or the lengths differ [E0494].
    """

    def __init__(self, x: Any, y: Any, what: str) -> None:
        self.inputs = [as_array(part) for part in (x if isinstance(x, tuple) else [x])]
        self.targets = as_array(y)
        for array in [*self.inputs, self.targets]:
            if array.ndim == 0 or len(array) == 0:
                raise ShapeError(
                    "E0493",
                    f"{what} should have at least one row, got an array of shape"
                    f" {list(array.shape)}",
                )
        lengths = [len(part) for part in self.inputs]
        if any(length != len(self.targets) for length in lengths):
            raise ShapeError(
                "E0494",
                f"{what}: inputs and targets should have equally many rows, got"
                f" {', '.join(map(str, lengths))} and {len(self.targets)}",
            )

    def __len__(self) -> int:
        return len(self.targets)

    def batches(
        self, batch_size: int, *, seed: int | None = None, epoch: int = 0
    ) -> Iterator[tuple[list[Array], Array]]:
        """Iterate over batches, in an order that the seed and the epoch decide if there is a seed.

        Batches of one epoch share their memory. The last one has the rows that are left.
        """
        if seed is None:
            for begin in range(0, len(self), batch_size):
                end = begin + batch_size
                yield [part[begin:end] for part in self.inputs], self.targets[begin:end]
            return
        order = random.permutation(len(self), seed=seed, stream=_SHUFFLE_STREAM, step=epoch)
        parts = [*self.inputs, self.targets]
        size = min(batch_size, len(self))
        room = [np.empty((size, *part.shape[1:]), part.dtype) for part in parts]
        for begin in range(0, len(self), batch_size):
            rows = order[begin : begin + batch_size]
            filled = [space[: len(rows)] for space in room]
            for part, space in zip(parts, filled, strict=True):
                np.take(part, rows, axis=0, out=space, mode="clip")  # "raise" would copy
            yield filled[:-1], filled[-1]


def as_array(values: Any) -> Array:
    """Return a row-major array of an array or nested lists, without a copy where it is one."""
    if isinstance(values, np.ndarray):
        array: Array = values
    elif isinstance(values, _core.Tensor) or hasattr(values, "__dlpack__"):
        array = _core.asarray(values).numpy()
    else:
        array = np.asarray(values)
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)


def check_label_range(labels: Array, num_classes: int, what: Sequence[str] | str) -> None:
    """Raise unless all labels are from 0 and below `num_classes`.

    Raises
    ------
    IndexError
        The first label out of range is named [E0660].
    """
    if labels.size == 0 or (labels.min() >= 0 and labels.max() < num_classes):
        return
    place = int(np.flatnonzero((labels < 0) | (labels >= num_classes))[0])
    at = ", ".join(str(i) for i in np.unravel_index(place, labels.shape))
    raise IndexError(
        "E0660",
        f"{what}: label {labels.flat[place]} at [{at}] should be from 0 to {num_classes - 1}, the"
        f" classes of the module's result",
    )
