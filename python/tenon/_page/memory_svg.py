"""The memory plan: which bytes of the arena each temporary has, from which kernel to which."""

from __future__ import annotations

import html
from typing import Any

__all__ = ["memory_svg"]

_LEFT, _TOP = 80.0, 14.0
_HEIGHT = 460.0
_STEP = 18.0  # of a kernel call, less when there are many
_WIDTH, _MIN_STEP = 1000.0, 4.0
_LINES = 6


def memory_svg(network: dict[str, Any]) -> str:
    """Return the drawing: kernel calls to the right, offsets upwards."""
    memory, kernels = network["memory"], network["kernels"]
    arena = max(int(memory["arena_bytes"]), 1)
    width = max(600.0, min(_STEP * len(kernels), max(_WIDTH, _MIN_STEP * len(kernels))))
    step = width / max(len(kernels), 1)
    total = _LEFT + width + 20
    parts = [
        f'<svg id="memory-drawing" class="canvas" tabindex="0" role="application"'
        f' aria-label="memory plan" data-width="{total:.0f}"'
        f' data-height="{_TOP + _HEIGHT + 40:.0f}"><g class="view">\n'
    ]
    for i in range(_LINES + 1):
        y = _TOP + _HEIGHT * (1 - i / _LINES)
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_LEFT + width:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="axis" x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">'
            f"{_bytes(arena * i / _LINES)}</text>\n"
        )
    every = max(1, len(kernels) // 20)
    for i in range(0, len(kernels), every):
        x = _LEFT + (i + 0.5) * step
        parts.append(
            f'<text class="axis" x="{x:.1f}" y="{_TOP + _HEIGHT + 18}" text-anchor="middle">'
            f"{i}</text>"
        )
    parts.append(
        f'<text class="axis" x="{_LEFT + width / 2:.1f}" y="{_TOP + _HEIGHT + 36}"'
        ' text-anchor="middle">kernel call</text>\n'
    )
    for block in memory["blocks"]:
        x = _LEFT + block["first"] * step
        wide = (block["last"] - block["first"] + 1) * step
        height = max(_HEIGHT * block["bytes"] / arena, 1.0)
        y = _TOP + _HEIGHT * (1 - block["offset"] / arena) - height
        kernel = kernels[block["first"]] if kernels else {"name": "", "index": 0}
        label = (
            f"{_bytes(block['bytes'])} at {_bytes(block['offset'])}: result of"
            f" {kernel['index']} {kernel['name']}, needed until {block['last']}"
        )
        text = ""
        if height >= 13 and wide >= 40:
            text = (
                f'<text class="block-name" x="{x + 5:.1f}" y="{y + 11:.1f}">{block["first"]}</text>'
            )
        parts.append(
            f'<g class="block" data-kernel="{block["first"]}" role="button" tabindex="-1"'
            f' aria-label="{html.escape(label, quote=True)}">'
            f'<rect x="{x + 0.5:.1f}" y="{y:.1f}" width="{max(wide - 1, 1):.1f}"'
            f' height="{height:.1f}" rx="2"><title>{html.escape(label)}</title></rect>{text}</g>\n'
        )
    if not memory["blocks"]:
        parts.append(
            f'<text class="axis" x="{_LEFT + 20}" y="{_TOP + 40}">'
            "This network has no temporaries.</text>\n"
        )
    parts.append("</g></svg>\n")
    return "".join(parts)


def _bytes(count: float) -> str:
    if count >= 1 << 20:
        return f"{count / (1 << 20):.2f} MiB"
    return f"{count / 1024:.1f} KiB" if count >= 1024 else f"{count:.0f} B"
