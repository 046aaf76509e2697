"""Pooling of channels-last arrays, as functions of symbolic values."""

from __future__ import annotations

from tenon.errors import ShapeError
from tenon.nn._convolution import Numbers, Padding, pad_pairs, per_axis
from tenon.nn._value import Value, apply

__all__ = [
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "global_avg_pool",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
]


def _pool(
    op: str,
    rank: int,
    x: Value,
    window: Numbers,
    stride: Numbers | None,
    padding: Padding,
    dilation: Numbers = 1,
    count_padding: bool = True,
) -> Value:
    if x.ndim != rank + 2:
        raise ShapeError(
            "E0446", f"{op}{rank}d of {x!r}: expected {rank + 2} axes, [n, spatial..., channels]"
        )
    extents = per_axis("window", window, rank)
    strides = extents if stride is None else per_axis("stride", stride, rank)
    dilations = per_axis("dilation", dilation, rank)
    spans = [(k - 1) * d + 1 for k, d in zip(extents, dilations, strict=True)]
    return apply(
        op,
        [x],
        window=extents,
        strides=strides,
        dilations=dilations,
        padding=pad_pairs(padding, spans, strides),
        count_padding=count_padding,
    )


def max_pool1d(
    x: Value,
    window: Numbers,
    stride: Numbers | None = None,
    padding: Padding = 0,
    dilation: Numbers = 1,
) -> Value:
    """Take the largest of each window of ``[n, w, c]``, as `max_pool2d`."""
    return _pool("max_pool", 1, x, window, stride, padding, dilation)


def max_pool2d(
    x: Value,
    window: Numbers,
    stride: Numbers | None = None,
    padding: Padding = 0,
    dilation: Numbers = 1,
) -> Value:
    """Take the largest element of each channel in each window.

    Parameters
    ----------
    x
        ``[n, h, w, c]``, channels last; any dtype of numbers. A NaN in a window is its result.
    window
        ``(kh, kw)``, or one number for both.
    stride
        Pixels from one window to the next; the window's size by default.
    padding
        As for `conv2d`, less than the window's span: no element of it counts.
    dilation
        Pixels from one element of a window to the next.

    Returns
    -------
    Value
        ``[n, (h + padding - span) // stride + 1, ..., c]`` of the same dtype.

    Raises
    ------
    ShapeError
        Another rank [E0446], sizes below 1 [E0438], negative padding [E0439], a window larger than
        the padded image [E0440], sizes of a wrong form [E0441], padding as large as the window
        [E0443].
    DTypeError
        bool [E0536].
    """
    return _pool("max_pool", 2, x, window, stride, padding, dilation)


def max_pool3d(
    x: Value,
    window: Numbers,
    stride: Numbers | None = None,
    padding: Padding = 0,
    dilation: Numbers = 1,
) -> Value:
    """Take the largest of each window of ``[n, d, h, w, c]``, as `max_pool2d`."""
    return _pool("max_pool", 3, x, window, stride, padding, dilation)


def avg_pool1d(
    x: Value,
    window: Numbers,
    stride: Numbers | None = None,
    padding: Padding = 0,
    count_padding: bool = True,
) -> Value:
    """Take the mean of each window of ``[n, w, c]``, as `avg_pool2d`."""
    return _pool("avg_pool", 1, x, window, stride, padding, 1, count_padding)


def avg_pool2d(
    x: Value,
    window: Numbers,
    stride: Numbers | None = None,
    padding: Padding = 0,
    count_padding: bool = True,
) -> Value:
    """Take the mean of each channel in each window.

    Parameters
    ----------
    x
        ``[n, h, w, c]`` floats, channels last.
    window, stride, padding
        As for `max_pool2d`.
    count_padding
        Whether the sum is divided by the size of the window, or by the number of elements in it
        that are no padding.

    Returns
    -------
    Value
        ``[n, (h + padding - kh) // stride + 1, ..., c]``; sums add up in the order kh, kw.

    Raises
    ------
    ShapeError
        As `max_pool2d`.
    DTypeError
        No floats [E0536].
    """
    return _pool("avg_pool", 2, x, window, stride, padding, 1, count_padding)


def avg_pool3d(
    x: Value,
    window: Numbers,
    stride: Numbers | None = None,
    padding: Padding = 0,
    count_padding: bool = True,
) -> Value:
    """Take the mean of each window of ``[n, d, h, w, c]``, as `avg_pool2d`."""
    return _pool("avg_pool", 3, x, window, stride, padding, 1, count_padding)


def global_avg_pool(x: Value) -> Value:
    """Return the mean over all spatial axes: ``[n, c]`` for ``[n, spatial..., c]``."""
    return x.mean(axis=list(range(1, x.ndim - 1)))
