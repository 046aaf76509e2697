"""Three operators that no library has, written with tn.op, and the same in NumPy."""

import numpy as np

import tenon as tn
from tenon import te


@tn.op
def rational(x, gate, p, q):
    """``sigmoid(gate) * (p0 + p1 x + p2 x^2) / (1 + |q0 x| + q1^2 x^2)``; p and q are learned."""

    def element(*i):
        v = x[i]
        top = p[0] + v * (p[1] + v * p[2])
        bottom = 1 + te.abs(q[0] * v) + q[1] * q[1] * v * v
        return te.sigmoid(gate[i[-1]]) * top / bottom

    return te.compute(x.shape, element, name="rational")


def rational_numpy(x, gate, p, q):
    top = p[0] + x * (p[1] + x * p[2])
    return top / (1 + abs(q[0] * x) + (q[1] * x) ** 2) / (1 + np.exp(-gate))


@tn.op
def banded_attention(q, k, v, width):
    """Attention of each position to those at most ``width`` away; ``[batch, length, size]``."""
    batch, length, size = q.shape
    d = te.reduce_axis(size, "d")
    band = (batch, length, 2 * width + 1)

    def inside(i, w):
        return te.all(i + w >= width, i + w < length + width)

    def clipped(i, w):
        return te.minimum(te.maximum(i + w - width, 0), length - 1)

    scores = te.compute(
        band, lambda b, i, w: te.sum(q[b, i, d] * k[b, clipped(i, w), d], axis=d), name="scores"
    )
    masked = te.compute(
        band, lambda b, i, w: te.select(inside(i, w), scores[b, i, w], -1e30), name="masked"
    )
    w1, w2 = te.reduce_axis(2 * width + 1, "w"), te.reduce_axis(2 * width + 1, "w")
    top = te.compute(band[:2], lambda b, i: te.max(masked[b, i, w1], axis=w1), name="top")
    e = te.compute(band, lambda b, i, w: te.exp(masked[b, i, w] - top[b, i]), name="e")
    total = te.compute(band[:2], lambda b, i: te.sum(e[b, i, w1], axis=w1), name="total")
    return te.compute(
        q.shape,
        lambda b, i, c: te.sum(e[b, i, w2] * v[b, clipped(i, w2), c], axis=w2) / total[b, i],
        name="banded",
    )


def banded_attention_numpy(q, k, v, width):
    length = q.shape[1]
    scores = q @ k.swapaxes(1, 2)
    place = np.arange(length)
    scores = np.where(abs(place[:, None] - place) <= width, scores, -np.inf)
    e = np.exp(scores - scores.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True) @ v


@tn.op
def soft_histogram(x, centres, width):
    """How much of ``x`` lies near each centre, ``[rows, bins]``; each value counts 1 in all."""
    rows, count = x.shape
    (bins,) = centres.shape
    k, b = te.reduce_axis(count, "k"), te.reduce_axis(bins, "b")

    def near(r, i, c):
        distance = (x[r, i] - centres[c]) / width
        return te.exp(-(distance * distance))

    total = te.compute((rows, count), lambda r, i: te.sum(near(r, i, b), axis=b), name="total")
    return te.compute(
        (rows, bins),
        lambda r, c: te.sum(near(r, k, c) / total[r, k], axis=k),
        name="histogram",
    )


def soft_histogram_numpy(x, centres, width):
    near = np.exp(-(((x[:, :, None] - centres) / width) ** 2))
    return (near / near.sum(-1, keepdims=True)).sum(1)
