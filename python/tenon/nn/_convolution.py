"""Convolutions of channels-last arrays, as functions of symbolic values."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any

from tenon.errors import ShapeError
from tenon.nn._value import Operand, Value, apply, as_value

__all__ = [
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
]

Numbers = int | Sequence[int]
"""One number for all spatial axes, or one for each."""
Padding = int | str | Sequence[int] | Sequence[tuple[int, int]]
"""One number, one for each spatial axis, pairs (before, after), or "same" or "valid"."""


def per_axis(what: str, value: Any, rank: int) -> list[int]:
    """Return one integer for each of ``rank`` spatial axes."""
    try:
        items = list(value) if isinstance(value, Iterable) else [value] * rank
        numbers = [operator.index(item) for item in items]
    except TypeError:
        numbers = []
    if len(numbers) != rank or not all(-(2**31) < n < 2**31 for n in numbers):
        raise ShapeError(
            "E0441",
            f"{what} {value!r} should be an integer of 32 bits or one for each of {rank} axes",
        )
    return numbers


def pad_pairs(padding: Any, spans: Sequence[int], strides: Sequence[int]) -> list[int]:
    """Return the padding before and after each axis, in one list."""
    rank = len(spans)
    if padding == "valid":
        return [0] * (2 * rank)
    if padding == "same":
        if any(s != 1 for s in strides):
            raise ShapeError(
                "E0441",
                f"padding 'same' goes with stride 1, got strides {list(strides)}"
                "\n  hint: give the padding before and after each axis as pairs",
            )
        return [p for span in spans for p in ((span - 1) // 2, span // 2)]
    if isinstance(padding, (list, tuple)) and all(isinstance(p, (list, tuple)) for p in padding):
        pairs = [list(p) for p in padding]
        if len(pairs) == rank and all(len(p) == 2 for p in pairs):
            return per_axis("padding", [p for pair in pairs for p in pair], 2 * rank)
    elif not isinstance(padding, str):
        return [p for p in per_axis("padding", padding, rank) for _ in range(2)]
    raise ShapeError(
        "E0441",
        f"padding {padding!r} should be an integer, one for each of {rank} axes, pairs (before,"
        " after), 'same' or 'valid'",
    )


def _conv(
    rank: int,
    x: Value,
    weight: Operand,
    bias: Operand | None,
    stride: Numbers,
    padding: Padding,
    dilation: Numbers,
    groups: int,
    output_padding: Numbers | None = None,
) -> Value:
    w = as_value(weight)
    is_transposed = output_padding is not None
    if x.ndim != rank + 2 or w.ndim != rank + 2:
        name = f"conv_transpose{rank}d" if is_transposed else f"conv{rank}d"
        raise ShapeError(
            "E0442",
            f"{name} of {x!r} and weight {w!r}: both should have {rank + 2} axes,"
            " [n, spatial..., channels] and [window..., channels / groups, output channels]",
        )
    strides, dilations = per_axis("stride", stride, rank), per_axis("dilation", dilation, rank)
    # A symbolic window is refused by the operator.
    window = [k if isinstance(k, int) else 1 for k in w.shape[:rank]]
    spans = [(k - 1) * d + 1 for k, d in zip(window, dilations, strict=True)]
    attributes: dict[str, Any] = {
        "strides": strides,
        "dilations": dilations,
        "padding": pad_pairs(padding, spans, strides),
        "groups": groups,
    }
    if is_transposed:
        attributes["output_padding"] = per_axis("output_padding", output_padding, rank)
    y = apply("conv_transpose" if is_transposed else "conv", [x, w], **attributes)
    return y if bias is None else apply("add", [y, bias])


def conv1d(
    x: Value,
    weight: Operand,
    bias: Operand | None = None,
    stride: Numbers = 1,
    padding: Padding = 0,
    dilation: Numbers = 1,
    groups: int = 1,
) -> Value:
    """Cross-correlate ``[n, w, c]`` with ``[kw, c / groups, oc]``; `conv2d` says the rest."""
    return _conv(1, x, weight, bias, stride, padding, dilation, groups)


def conv2d(
    x: Value,
    weight: Operand,
    bias: Operand | None = None,
    stride: Numbers = 1,
    padding: Padding = 0,
    dilation: Numbers = 1,
    groups: int = 1,
) -> Value:
    """Cross-correlate images with windows, as convolutional networks do.

    ``y[n, i, j, o] = bias[o] + sum over kh, kw, c of x[n, i * stride + kh * dilation - padding,
    ...] * weight[kh, kw, c, o]``; terms in the padding are left out. The sum is a chain in the
    order kh, kw, c, so that results have the same bits for any batch, threads and CPU.

    Parameters
    ----------
    x
        ``[n, h, w, c]``, channels last. Floats of one dtype with the weight.
    weight
        ``[kh, kw, c / groups, oc]``. Output channels are contiguous.
    bias
        ``[oc]``.
    stride, dilation
        In pixels: one number, or one for each spatial axis.
    padding
        Pixels around the image: one number, one for each axis, pairs (before, after), "valid"
        (none) or "same" (with stride 1: the result has the image's size).
    groups
        Divides input and output channels; each group of output channels sees its group of input
        channels. ``groups = c`` is a depthwise convolution.

    Returns
    -------
    Value
        ``[n, (h + padding - span) // stride + 1, ..., oc]``, ``span = (kh - 1) * dilation + 1``.

    Raises
    ------
    ShapeError
        Wrong ranks [E0442], channels that do not fit the weight [E0436], groups that do not divide
        them [E0437], strides or dilations below 1 [E0438], negative padding [E0439], a window
        larger than the padded image [E0440], sizes of a wrong form [E0441].
    DTypeError
        Operands that are not floats of one dtype [E0535].

    Notes
    -----
    LeCun et al., "Gradient-based learning applied to document recognition" (1998); groups:
    Krizhevsky et al. (2012); dilation: Yu and Koltun (2016).
    """
    return _conv(2, x, weight, bias, stride, padding, dilation, groups)


def conv3d(
    x: Value,
    weight: Operand,
    bias: Operand | None = None,
    stride: Numbers = 1,
    padding: Padding = 0,
    dilation: Numbers = 1,
    groups: int = 1,
) -> Value:
    """Cross-correlate ``[n, d, h, w, c]`` with ``[kd, kh, kw, c / groups, oc]``, as `conv2d`."""
    return _conv(3, x, weight, bias, stride, padding, dilation, groups)


def conv_transpose1d(
    x: Value,
    weight: Operand,
    bias: Operand | None = None,
    stride: Numbers = 1,
    padding: Padding = 0,
    output_padding: Numbers = 0,
    dilation: Numbers = 1,
    groups: int = 1,
) -> Value:
    """Spread ``[n, w, c]`` by windows ``[kw, c / groups, oc]``, as `conv_transpose2d`."""
    return _conv(1, x, weight, bias, stride, padding, dilation, groups, output_padding)


def conv_transpose2d(
    x: Value,
    weight: Operand,
    bias: Operand | None = None,
    stride: Numbers = 1,
    padding: Padding = 0,
    output_padding: Numbers = 0,
    dilation: Numbers = 1,
    groups: int = 1,
) -> Value:
    """Add up windows around each pixel, as the gradient of a convolution does.

    ``y[n, i * stride + kh * dilation - padding, ..., o]`` gets ``x[n, i, j, c] * weight[kh, kw, c,
    o]``, written as a sum for each element of y in the order kh, kw, c.

    Parameters
    ----------
    x
        ``[n, h, w, c]``, channels last. Floats of one dtype with the weight.
    weight
        ``[kh, kw, c / groups, oc]``, as for `conv2d`; each group of input channels makes its group
        of output channels.
    bias
        ``[oc]``.
    stride, dilation, groups
        As for `conv2d`.
    padding
        How much is cut from the result at each side.
    output_padding
        How much is added at the end of each axis; less than its stride or dilation.

    Returns
    -------
    Value
        ``[n, (h - 1) * stride - 2 * padding + (kh - 1) * dilation + 1 + output_padding, ..., oc]``.

    Raises
    ------
    ShapeError
        As `conv2d`; padding beyond the result [E0440], an output_padding that is too large [E0445].
    DTypeError
        Operands that are not floats of one dtype [E0535].

    Notes
    -----
    Zeiler et al., "Deconvolutional networks" (2010).
    """
    return _conv(2, x, weight, bias, stride, padding, dilation, groups, output_padding)


def conv_transpose3d(
    x: Value,
    weight: Operand,
    bias: Operand | None = None,
    stride: Numbers = 1,
    padding: Padding = 0,
    output_padding: Numbers = 0,
    dilation: Numbers = 1,
    groups: int = 1,
) -> Value:
    """Spread ``[n, d, h, w, c]`` by ``[kd, kh, kw, c / groups, oc]``, as `conv_transpose2d`."""
    return _conv(3, x, weight, bias, stride, padding, dilation, groups, output_padding)
