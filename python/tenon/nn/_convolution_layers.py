"""Convolution modules."""

from __future__ import annotations

from typing import Any

from tenon.nn._convolution import Numbers, Padding, conv1d, conv2d, conv3d, per_axis
from tenon.nn._module import Module, Parameter
from tenon.nn._value import Value

__all__ = ["Conv1d", "Conv2d", "Conv3d"]


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
        self.weight = Parameter((*window, in_channels // max(groups, 1), out_channels), dtype)
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
    _function = staticmethod(conv1d)


class Conv2d(_Conv):
    """Convolution of ``[n, h, w, c]``; ``weight`` is ``[kh, kw, c / groups, oc]``. See `conv2d`."""

    _rank = 2
    _function = staticmethod(conv2d)


class Conv3d(_Conv):
    """Convolution of ``[n, d, h, w, c]``; ``weight`` is ``[kd, kh, kw, c / groups, oc]``."""

    _rank = 3
    _function = staticmethod(conv3d)
