"""Line charts without a plotting library: a line of blocks, and SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

__all__ = ["sparkline", "svg_chart"]

_BLOCKS = "▁▂▃▄▅▆▇█"
# Okabe and Ito's palette, which readers with any colour vision can tell apart.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 640, 320, 60, 16, 150, 36


def sparkline(values: Sequence[float], width: int = 40) -> str:
    """Return a character for each value, or for the mean of neighbours when there are too many."""
    count = min(width, len(values))
    groups = [
        [v for v in values[i * len(values) // count : (i + 1) * len(values) // count]]
        for i in range(count)
    ]
    means = [sum(group) / len(group) for group in groups]
    finite = [mean for mean in means if math.isfinite(mean)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)
    scale = (len(_BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(
        _BLOCKS[round((mean - low) * scale)] if math.isfinite(mean) else "?" for mean in means
    )


def svg_chart(series: Mapping[str, Sequence[float]], title: str) -> str:
    """Return an SVG document with a line for each series over 1, 2, ... epochs."""
    finite = [v for values in series.values() for v in values if math.isfinite(v)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    high = high if high > low else low + 1.0
    length = max((len(values) for values in series.values()), default=1)
    plot_width, plot_height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def x_of(i: int) -> float:
        return _LEFT + plot_width * (i / (length - 1) if length > 1 else 0.5)

    def y_of(value: float) -> float:
        return _TOP + plot_height * (1 - (value - low) / (high - low))

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
        ' font-family="sans-serif" font-size="11">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
    ]
    for i in range(5):
        value = low + (high - low) * i / 4
        y = y_of(value)
        parts.append(
            f'<path d="M{_LEFT} {y:.1f}H{_LEFT + plot_width}" stroke="#ddd"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>'
        )
    for i in sorted({0, (length - 1) // 2, length - 1}):
        parts.append(
            f'<text x="{x_of(i):.1f}" y="{_HEIGHT - 16}" text-anchor="middle">{i + 1}</text>'
        )
    for k, (name, values) in enumerate(series.items()):
        colour = _COLOURS[k % len(_COLOURS)]
        points = " ".join(
            f"{x_of(i):.1f},{y_of(v):.1f}" for i, v in enumerate(values) if math.isfinite(v)
        )
        y = _TOP + 12 + 18 * k
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
            f'<path d="M{_WIDTH - _RIGHT + 10} {y - 4}h16" stroke="{colour}" stroke-width="2"/>'
            f'<text x="{_WIDTH - _RIGHT + 32}" y="{y}">{escape(name)}</text>'
        )
    parts.append("</svg>")
    return "\n".join(parts) + "\n"
