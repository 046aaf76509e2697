"""The kernels of a network as boxes in layers."""

from __future__ import annotations

import html
from typing import Any, NamedTuple

from tenon._page.layout import Box, draw

__all__ = ["graph_svg"]

_CHARACTER = 7.0  # width of one in the font of the boxes
_PADDING = 28.0
_BADGE = 5  # characters
_MIN_WIDTH, _MAX_CHARACTERS = 150.0, 44
_MAX_READERS = 2
_KERNEL_HEIGHT, _ARGUMENT_HEIGHT = 78.0, 44.0


def graph_svg(network: dict[str, Any]) -> str:
    """Return the drawing: inputs, kernels, results and what flows between them."""
    kernels = network["kernels"]
    nodes = _nodes(network)
    sizes = [_size(node.lines, node.kind == "kernel") for node in nodes.rows]
    edges = [(edge.source, edge.reader) for edge in nodes.edges]
    drawing = draw(sizes, edges)
    parts = [
        f'<svg id="graph-drawing" class="canvas" tabindex="0" role="application"'
        f' aria-label="kernels of the network" data-width="{drawing.width:.0f}"'
        f' data-height="{drawing.height:.0f}"><g class="view">\n'
    ]
    for edge, path in zip(nodes.edges, drawing.paths, strict=True):
        parts.append(
            f'<path class="edge" data-from="{edge.source}" data-to="{edge.reader}"'
            f' d="{_curve(path)}"><title>{html.escape(edge.label)}</title></path>\n'
        )
    most = _most(kernels)
    for i, (node, box) in enumerate(zip(nodes.rows, drawing.boxes, strict=True)):
        if node.kind == "kernel":
            kernel = kernels[node.number]
            parts.append(_kernel(i, kernel, node.lines, box, _weight(kernel) / most))
        else:
            parts.append(_argument(i, node.kind, node.lines, box))
    parts.append("</g></svg>\n")
    return "".join(parts)


class _Node(NamedTuple):
    kind: str
    number: int  # of a kernel
    lines: list[str]


class _Edge(NamedTuple):
    source: int
    reader: int
    label: str


class _Nodes(NamedTuple):
    rows: list[_Node]
    edges: list[_Edge]


def _nodes(network: dict[str, Any]) -> _Nodes:
    """Return inputs, kernels and results, and what flows between them.

    An input that many read stands beside each of its readers: lines from one place to all of them
    would say less and hide more.
    """
    arguments = {argument["name"]: argument for argument in network["inputs"]}
    readers: dict[str, set[int]] = {name: set() for name in arguments}
    for kernel in network["kernels"]:
        for operand in kernel["inputs"]:
            if operand["from"] in ("input", "loop") and operand["name"] in readers:
                readers[operand["name"]].add(kernel["index"])
    rows: list[_Node] = []
    place: dict[tuple[str, int], int] = {}  # of an input for a reader
    for name, argument in arguments.items():
        shared = len(readers[name]) <= _MAX_READERS
        for reader in sorted(readers[name]) or [-1]:
            if not shared or (name, -1) not in place:
                place[name, -1 if shared else reader] = len(rows)
                rows.append(_Node("input", 0, _argument_lines(argument)))
    first = len(rows)
    edges: dict[tuple[int, int], str] = {}
    for kernel in network["kernels"]:
        for operand in kernel["inputs"]:
            source = None
            if operand["call"] >= 0:
                source = first + operand["call"]
            elif operand["from"] in ("input", "loop"):
                name = operand["name"]
                source = place.get((name, kernel["index"]), place.get((name, -1)))
            # What an earlier iteration left is in the box of the loop already.
            if source is not None and source < len(rows):
                edges.setdefault((source, len(rows)), operand["sized_type"])
        rows.append(_Node("kernel", kernel["index"], _kernel_lines(kernel)))
    for result in network["results"]:
        for kernel in network["kernels"]:
            if result["name"] in kernel["outputs"]:
                edges[first + kernel["index"], len(rows)] = result["sized_type"]
        rows.append(_Node("result", 0, _argument_lines(result)))
    return _Nodes(rows, [_Edge(a, b, label) for (a, b), label in edges.items()])


def _argument_lines(argument: dict[str, Any]) -> list[str]:
    return [_cut(argument["name"]), _cut(argument["sized_type"])]


def _kernel_lines(kernel: dict[str, Any]) -> list[str]:
    figures = f"{kernel['operations'] * 1e-6:.3g} MFLOP"
    if kernel["seconds"] is not None:
        figures = _time(kernel["seconds"])
        if kernel["roof"] is not None:
            figures += f" · {kernel['roof'] * 100:.0f} % of the roof"
        if kernel["calls"] != 1:
            figures += f" · {kernel['calls']} calls"
    return [_cut(f"{kernel['index']} · {kernel['name']}"), _cut(kernel["sized_result"]), figures]


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:.3f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.1f} us"


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_CHARACTERS else text[: _MAX_CHARACTERS - 1] + "…"


def _size(lines: list[str], is_kernel: bool) -> tuple[float, float]:
    lengths = [len(line) for line in lines]
    lengths[0] += _BADGE if is_kernel else 0
    width = max(_MIN_WIDTH, max(lengths) * _CHARACTER + _PADDING)
    return width, _KERNEL_HEIGHT if is_kernel else _ARGUMENT_HEIGHT


def _weight(kernel: dict[str, Any]) -> float:
    """Return what the bar of a kernel shows: its time, or its operations where it has none."""
    return float(kernel["operations"] if kernel["seconds"] is None else kernel["seconds"])


def _most(kernels: list[dict[str, Any]]) -> float:
    return max([_weight(kernel) for kernel in kernels], default=0.0) or 1.0


def _curve(points: list[tuple[float, float]]) -> str:
    """Return a path that leaves and arrives vertically."""
    x, y = points[0]
    path = f"M{x:.1f} {y:.1f}"
    for to_x, to_y in points[1:]:
        if to_x == x:
            path += f"V{to_y:.1f}"
        else:
            middle = (y + to_y) / 2
            path += f"C{x:.1f} {middle:.1f} {to_x:.1f} {middle:.1f} {to_x:.1f} {to_y:.1f}"
        x, y = to_x, to_y
    return path


def _group(number: int, kind: str, box: Box, label: str, more: str = "") -> str:
    return (
        f'<g class="node {kind}" data-node="{number}"{more} tabindex="-1" role="button"'
        f' aria-label="{html.escape(label, quote=True)}"'
        f' transform="translate({box.x:.1f} {box.y:.1f})">'
        f'<rect class="box" width="{box.width:.1f}" height="{box.height:.1f}" rx="6"/>'
    )


def _kernel(number: int, kernel: dict[str, Any], lines: list[str], box: Box, share: float) -> str:
    bound = kernel.get("bound") or "unknown"
    bar = max(share, 0.0) * (box.width - 24)
    names = kernel["operators"]
    fused = len(names) - 1
    badge = ""
    if fused > 0:
        badge = (
            f'<text class="badge" x="{box.width - 10:.1f}" y="19" text-anchor="end">+{fused}'
            f"<title>{html.escape(', '.join(names))}</title></text>"
        )
    return (
        _group(
            number,
            "kernel deep" if kernel["depth"] else "kernel",
            box,
            lines[0],
            f' data-kernel="{kernel["index"]}"',
        )
        + f'<text class="name" x="12" y="19">{html.escape(lines[0])}</text>'
        + f'<text class="type" x="12" y="36">{html.escape(lines[1])}</text>'
        + f'<text class="figure" x="12" y="53">{html.escape(lines[2])}</text>{badge}'
        + f'<rect class="track" x="12" y="63" width="{box.width - 24:.1f}" height="6" rx="3"/>'
        + f'<rect class="bar {bound}" x="12" y="63" width="{bar:.1f}" height="6" rx="3"/></g>\n'
    )


def _argument(number: int, kind: str, lines: list[str], box: Box) -> str:
    return (
        _group(number, kind, box, f"{kind} {lines[0]}")
        + f'<text class="name" x="12" y="18">{html.escape(lines[0])}</text>'
        + f'<text class="type" x="12" y="35">{html.escape(lines[1])}</text></g>\n'
    )
