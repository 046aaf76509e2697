"""Arrays of the runtime: `asarray`, `from_dlpack`."""

from __future__ import annotations

from typing import Any

import numpy as np

from tenon import _core
from tenon._core import Tensor
from tenon.errors import DTypeError

__all__ = ["asarray", "from_dlpack"]


def asarray(values: Any, dtype: object = None) -> Tensor:
    """Make a tensor of an array, a number or nested lists.

    Parameters
    ----------
    values
        A `Tensor`, a NumPy array or anything with ``__dlpack__``, whose memory is shared; or
        numbers and nested lists, which NumPy reads.
    dtype
        Of the result. Elements of another dtype are converted, which copies them.

    Raises
    ------
    DTypeError
        There is no such dtype [E0501, E0515].
    TargetError
        The array is on a device [E0925].
    """
    is_array = isinstance(values, (Tensor, np.ndarray)) or hasattr(values, "__dlpack__")
    if dtype is None:
        return _core.asarray(values if is_array else np.asarray(values))
    wanted = _core.numpy_dtype(dtype)
    tensor = _core.asarray(values if is_array else np.asarray(values, wanted))
    if tensor.numpy().dtype == wanted:
        return tensor
    return _core.asarray(tensor.numpy().astype(wanted))


def from_dlpack(array: Any) -> Tensor:
    """Share the memory of any array that has ``__dlpack__``.

    Raises
    ------
    DTypeError
        The object has no ``__dlpack__`` [E0512], or its dtype does not exist here [E0515].
    TargetError
        The array is on a device [E0925].
    """
    if not hasattr(array, "__dlpack__"):
        raise DTypeError(
            "E0512",
            f"expected an array with __dlpack__, got {type(array).__name__}\n"
            "  hint: tn.asarray takes numbers and lists",
        )
    return _core.asarray(array)
