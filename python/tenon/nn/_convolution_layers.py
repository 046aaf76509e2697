"""Convolution and pooling modules."""

from __future__ import annotations

from typing import Any

import numpy as np

from tenon.nn import _convolution as conv
from tenon.nn import _pooling as pool
from tenon.nn import init
from tenon.nn._convolution import Numbers, Padding, per_axis
from tenon.nn._module import Module, Parameter
from tenon.nn._value import Value

__all__ = [
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "GlobalAvgPool",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
]


def he_uniform(shape: tuple[int, ...], **options: Any) -> np.ndarray[Any, Any]:
    """Return `init.he_uniform` for a weight [window..., inputs, outputs]."""
    rank = len(shape) - 2
    values = init.he_uniform((shape[-1], shape[-2], *shape[:-2]), **options)
    return np.ascontiguousarray(values.transpose(*range(2, rank + 2), 1, 0))


class _Conv(Module):
    _rank = 0
    _function: Any = None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Numbers,
        stride: Numbers = 1,
        padding: Padding = 0,
        dilation: Numbers = 1,
        groups: int = 1,
        bias: bool = True,
        dtype: str = "float32",
    ) -> None:
        window = per_axis("kernel_size", kernel_size, self._rank)
        self.weight = Parameter(
            (*window, in_channels // max(groups, 1), out_channels), dtype, he_uniform
        )
        self.bias = Parameter((out_channels,), dtype) if bias else None
        self.stride, self.padding, self.dilation = stride, padding, dilation
        self.groups = groups

    def forward(self, x: Value) -> Value:
        """Return the convolution of channels-last arrays."""
        result = type(self)._function(
            x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )
        assert isinstance(result, Value)
        return result


class Conv1d(_Conv):
    """Convolution of ``[n, w, c]``; ``weight`` is ``[kw, c / groups, oc]``. See `conv1d`."""

    _rank = 1
    _function = staticmethod(conv.conv1d)


class Conv2d(_Conv):
    """Convolution of ``[n, h, w, c]``; ``weight`` is ``[kh, kw, c / groups, oc]``. See `conv2d`."""

    _rank = 2
    _function = staticmethod(conv.conv2d)


class Conv3d(_Conv):
    """Convolution of ``[n, d, h, w, c]``; ``weight`` is ``[kd, kh, kw, c / groups, oc]``."""

    _rank = 3
    _function = staticmethod(conv.conv3d)


class _ConvTranspose(Module):
    _rank = 0
    _function: Any = None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Numbers,
        stride: Numbers = 1,
        padding: Padding = 0,
        output_padding: Numbers = 0,
        dilation: Numbers = 1,
        groups: int = 1,
        bias: bool = True,
        dtype: str = "float32",
    ) -> None:
        window = per_axis("kernel_size", kernel_size, self._rank)
        self.weight = Parameter(
            (*window, in_channels // max(groups, 1), out_channels), dtype, he_uniform
        )
        self.bias = Parameter((out_channels,), dtype) if bias else None
        self.stride, self.padding, self.dilation = stride, padding, dilation
        self.output_padding, self.groups = output_padding, groups

    def forward(self, x: Value) -> Value:
        """Return the transposed convolution of channels-last arrays."""
        result = type(self)._function(
            x,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self.output_padding,
            self.dilation,
            self.groups,
        )
        assert isinstance(result, Value)
        return result


class ConvTranspose1d(_ConvTranspose):
    """Transposed convolution of ``[n, w, c]``. See `conv_transpose1d`."""

    _rank = 1
    _function = staticmethod(conv.conv_transpose1d)


class ConvTranspose2d(_ConvTranspose):
    """Transposed convolution of ``[n, h, w, c]``. See `conv_transpose2d`."""

    _rank = 2
    _function = staticmethod(conv.conv_transpose2d)


class ConvTranspose3d(_ConvTranspose):
    """Transposed convolution of ``[n, d, h, w, c]``. See `conv_transpose3d`."""

    _rank = 3
    _function = staticmethod(conv.conv_transpose3d)


class _MaxPool(Module):
    _function: Any = None

    def __init__(
        self,
        window: Numbers,
        stride: Numbers | None = None,
        padding: Padding = 0,
        dilation: Numbers = 1,
    ) -> None:
        self.window, self.stride = window, stride
        self.padding, self.dilation = padding, dilation

    def forward(self, x: Value) -> Value:
        """Return the largest element of each window."""
        result = type(self)._function(x, self.window, self.stride, self.padding, self.dilation)
        assert isinstance(result, Value)
        return result


class _AvgPool(Module):
    _function: Any = None

    def __init__(
        self,
        window: Numbers,
        stride: Numbers | None = None,
        padding: Padding = 0,
        count_padding: bool = True,
    ) -> None:
        self.window, self.stride = window, stride
        self.padding, self.count_padding = padding, count_padding

    def forward(self, x: Value) -> Value:
        """Return the mean of each window."""
        result = type(self)._function(x, self.window, self.stride, self.padding, self.count_padding)
        assert isinstance(result, Value)
        return result


class MaxPool1d(_MaxPool):
    """The largest of each window of ``[n, w, c]``. See `max_pool1d`."""

    _function = staticmethod(pool.max_pool1d)


class MaxPool2d(_MaxPool):
    """The largest of each window of ``[n, h, w, c]``. See `max_pool2d`."""

    _function = staticmethod(pool.max_pool2d)


class MaxPool3d(_MaxPool):
    """The largest of each window of ``[n, d, h, w, c]``. See `max_pool3d`."""

    _function = staticmethod(pool.max_pool3d)


class AvgPool1d(_AvgPool):
    """The mean of each window of ``[n, w, c]``. See `avg_pool1d`."""

    _function = staticmethod(pool.avg_pool1d)


class AvgPool2d(_AvgPool):
    """The mean of each window of ``[n, h, w, c]``. See `avg_pool2d`."""

    _function = staticmethod(pool.avg_pool2d)


class AvgPool3d(_AvgPool):
    """The mean of each window of ``[n, d, h, w, c]``. See `avg_pool3d`."""

    _function = staticmethod(pool.avg_pool3d)


class GlobalAvgPool(Module):
    """The mean over all spatial axes: ``[n, c]`` for ``[n, spatial..., c]``."""

    def forward(self, x: Value) -> Value:
        """Return the mean of each channel."""
        return pool.global_avg_pool(x)
