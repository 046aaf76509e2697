"""A layered drawing of a directed acyclic graph: layers by longest path, order by barycentres."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Box", "Drawing", "draw"]

_GAP_X = 34.0
_GAP_Y = 44.0
_DUMMY_WIDTH = 14.0
_SWEEPS = 16
_MAX_DUMMIES = 20_000  # longer edges than these are drawn as one curve


class Box(NamedTuple):
    """A node's place: its upper left corner and its size."""

    x: float
    y: float
    width: float
    height: float


class Drawing(NamedTuple):
    """Places of all nodes, and for each edge the points that it goes through."""

    boxes: list[Box]
    paths: list[list[tuple[float, float]]]
    width: float
    height: float


def draw(sizes: Sequence[tuple[float, float]], edges: Sequence[tuple[int, int]]) -> Drawing:
    """Place nodes of these sizes; every edge goes from a lower number to a higher one.

    Edges over several layers get a place of their own in each, so that they do not run through
    nodes.
    """
    assert all(a < b for a, b in edges)
    layer_of = _layers(len(sizes), edges)
    graph = _with_dummies(layer_of, edges)
    layers = _order(graph)
    widths = [sizes[v][0] if v < len(sizes) else _DUMMY_WIDTH for v in range(len(graph.layer_of))]
    x = _coordinates(graph, layers, widths)
    heights = [max((sizes[v][1] for v in layer if v < len(sizes)), default=0.0) for layer in layers]
    tops = [sum(heights[:i]) + _GAP_Y * i for i in range(len(heights))]
    left = min((x[v] - widths[v] / 2 for v in range(len(x))), default=0.0)
    boxes = []
    for v, (width, height) in enumerate(sizes):
        layer = graph.layer_of[v]
        y = tops[layer] + (heights[layer] - height) / 2
        boxes.append(Box(x[v] - width / 2 - left, y, width, height))
    paths = []
    for (a, b), chain in zip(edges, graph.chains, strict=True):
        points = [(boxes[a].x + boxes[a].width / 2, boxes[a].y + boxes[a].height)]
        for v in chain:
            layer = graph.layer_of[v]
            # Straight along the layer, so that the curve turns between layers.
            points.append((x[v] - left, tops[layer]))
            points.append((x[v] - left, tops[layer] + heights[layer]))
        points.append((boxes[b].x + boxes[b].width / 2, boxes[b].y))
        paths.append(points)
    right = max((x[v] + widths[v] / 2 - left for v in range(len(x))), default=0.0)
    return Drawing(boxes, paths, right, sum(heights) + _GAP_Y * max(len(heights) - 1, 0))


def _layers(num_nodes: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """Return the length of the longest path to each node.

    Then those that no other made one feeds come down to right above their nearest reader.
    """
    layer_of = [0] * num_nodes
    for a, b in sorted(edges, key=lambda edge: edge[1]):
        layer_of[b] = max(layer_of[b], layer_of[a] + 1)
    made = {b for _, b in edges}
    readers: list[list[int]] = [[] for _ in range(num_nodes)]
    num_inputs = [0] * num_nodes  # without those that can come down as well
    for a, b in edges:
        readers[a].append(b)
        num_inputs[b] += a in made
    for v in reversed(range(num_nodes)):
        if readers[v] and num_inputs[v] == 0:
            layer_of[v] = min(layer_of[r] for r in readers[v]) - 1
    return layer_of


class _Graph(NamedTuple):
    layer_of: list[int]
    """Of nodes, then of dummies."""
    chains: list[list[int]]
    """The dummies of each edge."""
    above: list[list[int]]
    below: list[list[int]]


def _with_dummies(layer_of: Sequence[int], edges: Sequence[tuple[int, int]]) -> _Graph:
    layers = list(layer_of)
    chains: list[list[int]] = []
    for a, b in edges:
        span = range(layer_of[a] + 1, layer_of[b])
        is_drawn = len(layers) - len(layer_of) + len(span) <= _MAX_DUMMIES
        chain = []
        for layer in span if is_drawn else ():
            chain.append(len(layers))
            layers.append(layer)
        chains.append(chain)
    above: list[list[int]] = [[] for _ in layers]
    below: list[list[int]] = [[] for _ in layers]
    for (a, b), chain in zip(edges, chains, strict=True):
        whole = [a, *chain, b]
        for upper, lower in itertools.pairwise(whole):
            below[upper].append(lower)
            above[lower].append(upper)
    return _Graph(layers, chains, above, below)


def _order(graph: _Graph) -> list[list[int]]:
    """Return the nodes of each layer, with few crossings."""
    layers: list[list[int]] = [[] for _ in range(max(graph.layer_of, default=-1) + 1)]
    for v, number in enumerate(graph.layer_of):
        layers[number].append(v)
    position = [0.0] * len(graph.layer_of)

    def settle(layer: list[int]) -> None:
        for i, v in enumerate(layer):
            position[v] = float(i)

    for layer in layers:
        settle(layer)
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for layer in layers if down else layers[::-1]:
            near = graph.above if down else graph.below
            layer.sort(
                key=lambda v: (
                    sum(position[u] for u in near[v]) / len(near[v]) if near[v] else position[v]
                )
            )
            settle(layer)
    return layers


def _coordinates(
    graph: _Graph, layers: Sequence[Sequence[int]], widths: Sequence[float]
) -> list[float]:
    """Return centres: each node near the mean of its neighbours, without overlaps."""
    x = [0.0] * len(graph.layer_of)
    for layer in layers:
        total = sum(widths[v] for v in layer) + _GAP_X * max(len(layer) - 1, 0)
        at = -total / 2
        for v in layer:
            x[v] = at + widths[v] / 2
            at += widths[v] + _GAP_X
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for layer in layers if down else layers[::-1]:
            wanted = []
            for v in layer:
                near = [*graph.above[v], *graph.below[v]] if sweep else graph.above[v]
                wanted.append(sum(x[u] for u in near) / len(near) if near else x[v])
            _place(layer, wanted, widths, x)
    return x


def _place(
    layer: Sequence[int], wanted: Sequence[float], widths: Sequence[float], x: list[float]
) -> None:
    """Put the nodes of a layer where they want to be, in their order, apart from each other.

    Nodes that would overlap form a block at the mean of what they want.
    """
    blocks: list[tuple[float, float, int]] = []  # sum of wishes for its begin, count, first
    offsets = [0.0]
    for u, v in itertools.pairwise(layer):
        offsets.append(offsets[-1] + (widths[u] + widths[v]) / 2 + _GAP_X)
    for i, want in enumerate(wanted):
        total, count, first = want - offsets[i], 1.0, i
        while blocks and blocks[-1][0] / blocks[-1][1] > total / count:
            before = blocks.pop()
            total, count, first = total + before[0], count + before[1], before[2]
        blocks.append((total, count, first))
    for k, (total, count, first) in enumerate(blocks):
        end = blocks[k + 1][2] if k + 1 < len(blocks) else len(layer)
        for i in range(first, end):
            x[layer[i]] = total / count + offsets[i]
