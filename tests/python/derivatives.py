"""Checks derivatives of tensor expressions against central differences and against each other."""

from collections.abc import Callable, Sequence

import numpy as np

import tenon as tn
from tenon import te


def interpret(inputs, outputs, arrays):
    """Interpret the outputs; a list of float64 arrays."""
    results = tn.interpret(tn.function(inputs, outputs, name="f"), *arrays)
    results = results if isinstance(results, tuple) else (results,)
    return [r.numpy() for r in results]


def placeholders(prefix, arrays):
    return [te.placeholder(a.shape, a.dtype, name=f"{prefix}{i}") for i, a in enumerate(arrays)]


def dot(xs, ys):
    return sum(float(np.sum(x * y)) for x, y in zip(xs, ys, strict=True))


def is_float(a):
    return a.dtype.kind == "f"


class Line:
    """Results of a program along a random direction of its float inputs."""

    def __init__(self, make, arrays, seed):
        rng = np.random.default_rng(seed)
        self.arrays = arrays
        self.inputs = placeholders("x", arrays)
        outputs = make(*self.inputs)
        self.outputs = [outputs] if isinstance(outputs, te.Tensor) else list(outputs)
        self.smooth = [i for i, a in enumerate(arrays) if is_float(a)]
        self.direction = [np.asarray(rng.normal(size=arrays[i].shape)) for i in self.smooth]
        self.cotangents = [np.asarray(rng.normal(size=t.shape)) for t in self.outputs]

    def at(self, by):
        out = list(self.arrays)
        for i, v in zip(self.smooth, self.direction, strict=True):
            out[i] = np.asarray(self.arrays[i] + by * v)
        return interpret(self.inputs, self.outputs, out)

    def central_difference(self, step):
        ahead, behind = self.at(step), self.at(-step)
        slopes = [(a - b) / (2 * step) for a, b in zip(ahead, behind, strict=True)]
        return dot(self.cotangents, slopes)


def check(
    make: Callable[..., te.Tensor | Sequence[te.Tensor]],
    *arrays: np.ndarray,
    step: float = 1e-6,
    tolerance: float = 1e-6,
    agreement: float = 1e-12,
    kinks: bool = False,
):
    """Check reverse mode against central differences and against forward mode.

    `make` maps placeholders to a tensor or several. Along a random direction v and for random
    cotangents g, <g, J v> is computed by central differences (relative error at most `tolerance`),
    by `te.jvp`, and as <J^T g, v> by `te.vjp` (at most `agreement` apart). With `kinks`, central
    differences do not count where those of a longer step disagree. Returns whether they count.
    """
    line = Line(make, arrays, seed=0)
    inputs, outputs, smooth, direction = line.inputs, line.outputs, line.smooth, line.direction
    cotangents = line.cotangents
    variables = [inputs[i] for i in smooth]
    difference = line.central_difference(step)
    unsteady = abs(line.central_difference(10 * step) - difference) if kinks else 0
    counts = unsteady <= 1e-6 * max(abs(difference), 1)
    g = placeholders("g", cotangents)
    gradients = te.vjp(outputs, variables, g)
    reverse = interpret([*inputs, *g], gradients, [*arrays, *cotangents])
    t = placeholders("t", direction)
    tangents = te.jvp(outputs, variables, t)
    forward = interpret([*inputs, *t], tangents, [*arrays, *direction])

    for gradient, i in zip(reverse, smooth, strict=True):
        assert gradient.shape == arrays[i].shape
    by_reverse, by_forward = dot(reverse, direction), dot(cotangents, forward)
    # Sizes of what is added up decide how many digits are left.
    scale = max(
        dot(map(np.abs, cotangents), map(np.abs, forward)),
        dot(map(np.abs, reverse), map(np.abs, direction)),
    )
    assert abs(by_reverse - by_forward) <= agreement * max(scale, 1e-3), (by_reverse, by_forward)
    if counts:
        assert abs(by_reverse - difference) <= tolerance * max(scale, 1e-2), (
            by_reverse,
            difference,
        )
    return counts
