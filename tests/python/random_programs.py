"""Random tensor-expression programs in float64, for tests of derivatives.

A program is a chain of tensors over two float inputs and one integer input. Each tensor reads
earlier ones at random indices that stay inside (affine with offsets, strides and flips, quotients
and remainders, constants, values of the integer input), under random functions, selects and
reductions with conditions. All functions are smooth but for minima, maxima and magnitudes.
"""

import numpy as np

from tenon import te

FUNCTIONS = [
    te.tanh,
    te.sin,
    te.cos,
    te.sigmoid,
    te.erf,
    te.gelu,
    te.softplus,
    te.abs,
    lambda x: te.exp(te.tanh(x)),
    lambda x: te.log(x * x + 1.5),
    lambda x: te.sqrt(x * x + 0.5),
    lambda x: te.rsqrt(x * x + 0.7),
    lambda x: te.pow(te.abs(x) + 0.5, 1.3),
    lambda x: -x,
]
OPERATIONS = [
    lambda x, y: x * y,
    lambda x, y: x * y,
    lambda x, y: x + y,
    lambda x, y: x - y,
    lambda x, y: x / (te.cos(y) + 2.0),
    te.minimum,
    te.maximum,
]
PLACES = 5  # extent of the integer input


class Program:
    """The program of a seed: `arrays` for its inputs, `make` from placeholders to its result.

    With `scans`, every second tensor holds the states of a recurrence, the steps of which are
    tensors likewise, over the states and the number of the step.
    """

    def __init__(self, seed, scans=False):
        self.seed, self.scans = seed, scans
        rng = np.random.default_rng(seed)
        shapes = [tuple(rng.integers(2, 6, size=rng.integers(1, 4))) for _ in range(2)]
        self.arrays = [rng.normal(size=shape) for shape in shapes]
        self.arrays.append(rng.integers(0, 2, size=PLACES))  # every extent is at least 2

    def make(self, *inputs):
        rng = np.random.default_rng([self.seed, 1])
        *tensors, places = inputs
        tensors = list(tensors)
        for n in range(rng.integers(1, 4)):
            make = _scan if self.scans and n % 2 == 0 else _tensor
            tensors.append(make(rng, tensors, places, f"t{n}"))
        return tensors[-1]


def _scan(rng, tensors, places, name):
    steps = int(rng.integers(2, 5))
    shapes = [
        tuple(int(e) for e in rng.integers(2, 5, size=rng.integers(0, 3)))
        for _ in range(rng.integers(1, 3))
    ]
    init = [_tensor(rng, tensors, places, f"{name}_init{s}", shape=e) for s, e in enumerate(shapes)]

    def step(t, *states):
        own = [*tensors, *states, *states]
        for n in range(rng.integers(0, 2)):
            own.append(_tensor(rng, own, places, f"{name}_own{n}", step=(t, steps)))
        # States stay near 1, so that a chain of them says something.
        return [
            te.compute(
                shape,
                lambda *i, s=s, own=own, shape=shape: (
                    te.sin(states[s][i]) + 0.5 * _element(rng, own, places, i, shape, (t, steps))
                ),
                name=f"{name}_next{s}",
            )
            for s, shape in enumerate(shapes)
        ]

    results = te.scan(steps, init, step, name=name)
    return results if isinstance(results, te.Tensor) else results[rng.integers(len(results))]


def _tensor(rng, tensors, places, name, shape=None, step=None):
    if shape is None:
        shape = tuple(int(e) for e in rng.integers(2, 5, size=rng.integers(0, 4)))
    return te.compute(shape, lambda *i: _element(rng, tensors, places, i, shape, step), name=name)


def _element(rng, tensors, places, indices, shape, step):
    """Value of an element; `step` is the variable of a scan around, with its extent."""
    variables = list(zip(indices, shape, strict=True))
    if step is not None:
        variables.append(step)
    value = _value(rng, tensors, places, variables, depth=2)
    if rng.random() < 0.7:
        value = _reduction(rng, tensors, places, variables)
        if rng.random() < 0.4:
            value = te.tanh(value) * _value(rng, tensors, places, variables, depth=1)
    return value


def _reduction(rng, tensors, places, variables):
    reduce = rng.choice(["sum", "sum", "sum", "prod", "min", "max"])
    axes, inner = [], list(variables)
    for n in range(rng.integers(1, 3)):
        extent = int(rng.integers(2, 5))
        domain = extent
        if inner and rng.random() < 0.2:  # a triangle
            index, outer_extent = inner[rng.integers(len(inner))]
            domain, extent = (0, index + 1), outer_extent
        axes.append(te.reduce_axis(domain, f"k{n}"))
        inner.append((axes[-1], extent))
    source = _value(rng, tensors, places, inner, depth=2)
    where = None
    if rng.random() < 0.3:
        (a, _), (b, _) = (inner[i] for i in rng.integers(len(inner), size=2))
        where = a <= b + 1 if rng.random() < 0.5 else a + b >= 1
    value = getattr(te, reduce)(source, axis=axes, where=where)
    # A minimum of nothing is infinite.
    return te.tanh(value) if reduce in ("min", "max") else value


def _value(rng, tensors, places, variables, depth):
    if depth == 0 or rng.random() < 0.15:
        tensor = tensors[rng.integers(len(tensors))]
        return tensor[tuple(_index(rng, places, variables, e) for e in tensor.shape)]
    kind = rng.random()
    first = _value(rng, tensors, places, variables, depth - 1)
    if kind < 0.35:
        return FUNCTIONS[rng.integers(len(FUNCTIONS))](first)
    second = _value(rng, tensors, places, variables, depth - 1)
    if kind < 0.45 and variables:
        index, extent = variables[rng.integers(len(variables))]
        return te.select(index < int(rng.integers(extent)), first, second)
    if kind < 0.55:
        return first * first + second  # a shared value
    return OPERATIONS[rng.integers(len(OPERATIONS))](first, second)


def _index(rng, places, variables, extent):
    """An index in [0, extent) of some of the variables."""
    if not variables or rng.random() < 0.07:
        return int(rng.integers(extent))
    index, size = variables[rng.integers(len(variables))]
    other, other_size = variables[rng.integers(len(variables))]
    choices = [index % extent, index // -(-size // extent)]
    if size <= extent:
        offset = int(rng.integers(extent - size + 1))
        choices += [index + offset, index + offset, index + offset, extent - 1 - index]
    for stride in (1, 2, 3):
        if stride * (size - 1) + other_size <= extent:
            choices += [stride * index + other] * 2
            choices.append(extent - 1 - stride * index - other)
    if size + other_size - 1 <= extent:
        choices.append(index - other + (other_size - 1))
    if size <= PLACES and rng.random() < 0.3:
        choices.append(places[index])
    return choices[rng.integers(len(choices))]
