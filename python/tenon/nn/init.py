"""First values of parameters, a function of shape, seed and name.

Weights are ``[outputs, inputs, window...]``: fan-in and fan-out are inputs and outputs times the
size of the window. Convolution modules turn the axes of what they get.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tenon import _core, random
from tenon.errors import ShapeError

__all__ = [
    "Initializer",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "normal",
    "ones",
    "zeros",
]

Initializer = Callable[..., npt.NDArray[Any]]
"""Called as ``f(shape, seed=..., stream=..., dtype=...)``."""


def zeros(
    shape: Sequence[int], *, seed: int = 0, stream: int = 0, dtype: object = "float32"
) -> npt.NDArray[Any]:
    """Return zeros."""
    return np.zeros(tuple(shape), _core.numpy_dtype(dtype))


def ones(
    shape: Sequence[int], *, seed: int = 0, stream: int = 0, dtype: object = "float32"
) -> npt.NDArray[Any]:
    """Return ones."""
    return np.ones(tuple(shape), _core.numpy_dtype(dtype))


def normal(
    shape: Sequence[int],
    *,
    seed: int = 0,
    stream: int = 0,
    dtype: object = "float32",
    std: float = 0.02,
) -> npt.NDArray[Any]:
    """Return normally distributed numbers of mean 0."""
    return random.normal(shape, 0.0, std, seed=seed, stream=stream, dtype=dtype)


def glorot_uniform(
    shape: Sequence[int], *, seed: int = 0, stream: int = 0, dtype: object = "float32"
) -> npt.NDArray[Any]:
    """Return uniform numbers of variance ``2 / (fan_in + fan_out)``.

    X. Glorot, Y. Bengio: Understanding the difficulty of training deep feedforward neural networks.
    AISTATS 2010, equation 16. Keeps the variance of activations and gradients through layers that
    are linear around zero, such as tanh.
    """
    fan_in, fan_out = _fans(shape)
    bound = math.sqrt(6 / (fan_in + fan_out))
    return random.uniform(shape, -bound, bound, seed=seed, stream=stream, dtype=dtype)


def glorot_normal(
    shape: Sequence[int], *, seed: int = 0, stream: int = 0, dtype: object = "float32"
) -> npt.NDArray[Any]:
    """Return normally distributed numbers of variance ``2 / (fan_in + fan_out)``."""
    fan_in, fan_out = _fans(shape)
    return normal(
        shape, seed=seed, stream=stream, dtype=dtype, std=math.sqrt(2 / (fan_in + fan_out))
    )


def he_uniform(
    shape: Sequence[int], *, seed: int = 0, stream: int = 0, dtype: object = "float32"
) -> npt.NDArray[Any]:
    """Return uniform numbers of variance ``2 / fan_in``.

    K. He, X. Zhang, S. Ren, J. Sun: Delving deep into rectifiers. ICCV 2015, section 2.2. Keeps the
    variance through layers that ReLU follows.
    """
    bound = math.sqrt(6 / _fans(shape)[0])
    return random.uniform(shape, -bound, bound, seed=seed, stream=stream, dtype=dtype)


def he_normal(
    shape: Sequence[int], *, seed: int = 0, stream: int = 0, dtype: object = "float32"
) -> npt.NDArray[Any]:
    """Return normally distributed numbers of variance ``2 / fan_in``."""
    return normal(shape, seed=seed, stream=stream, dtype=dtype, std=math.sqrt(2 / _fans(shape)[0]))


def _fans(shape: Sequence[int]) -> tuple[int, int]:
    if len(shape) < 2:
        raise ShapeError(
            "E0490",
            f"a weight of shape {list(shape)} has no fan-in: it should have outputs and inputs\n"
            "  hint: nn.init.zeros, ones and normal take any shape",
        )
    window = math.prod(shape[2:])
    return max(shape[1] * window, 1), max(shape[0] * window, 1)
