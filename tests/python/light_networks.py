"""Image networks of the package onnx, whose placeholders become weights: a library for tests and
benchmarks.

The package has the graphs of known networks with constants in place of their weights. Values as
after an initialisation keep numbers of all layers near 1, so that outputs depend on inputs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.backend.test
from onnx import numpy_helper

FOLDER = Path(onnx.backend.test.__file__).parent / "data" / "light"


def names() -> list[str]:
    return sorted(path.stem.removeprefix("light_") for path in FOLDER.glob("*.onnx"))


def seeded(name: str, seed: int = 0) -> Any:
    """Return the model `name` with weights: He's initialisation, variances above 0."""
    model = onnx.load(FOLDER / f"light_{name}.onnx")
    graph = model.graph
    shapes = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    made = {
        node.output[0]: tuple(int(n) for n in shapes[node.input[0]])
        for node in graph.node
        if node.op_type == "ConstantOfShape"
    }
    rng = np.random.default_rng(seed)
    weights: dict[str, Any] = {}
    # What no ReLU halves keeps its variance without a factor of 2.
    linear = {
        operand
        for node in graph.node
        if node.op_type in ("Conv", "Sum", "Softmax")
        for operand in node.input
    }
    normalised = {
        node.input[0]: node.output[0] for node in graph.node if node.op_type == "BatchNormalization"
    }
    for node in graph.node:
        result = normalised.get(node.output[0], node.output[0])
        for place, operand in enumerate(node.input):
            if operand in made and operand not in weights:
                gain = 1 if result in linear else 2
                weights[operand] = _values(node.op_type, place, made[operand], gain, rng)
    # What is added to what it was computed from is small, so that sums do not double at each.
    added = {operand for node in graph.node if node.op_type == "Sum" for operand in node.input}
    for node in graph.node:
        if node.op_type == "BatchNormalization" and node.output[0] in added:
            weights[node.input[1]] *= np.float32(0.4)
    for operand, shape in made.items():  # read through another operator: scales and shifts
        if operand not in weights:
            weights[operand] = _near_one(shape, rng)
    kept = [node for node in graph.node if node.op_type != "ConstantOfShape"]
    used = {operand for node in kept for operand in node.input}
    initializers = [i for i in graph.initializer if i.name in used]
    initializers += [numpy_helper.from_array(v, k) for k, v in weights.items()]
    constant = {i.name for i in initializers} | set(shapes)
    inputs = [i for i in graph.input if i.name not in constant]
    del graph.node[:], graph.initializer[:], graph.input[:]
    graph.node.extend(kept)
    graph.initializer.extend(initializers)
    graph.input.extend(inputs)
    model.ir_version = 4  # the first in which constants need not be inputs
    return model


def image(seed: int = 0) -> Any:
    """Return patches of colours with noise on them: the means of two images differ."""
    rng = np.random.default_rng(seed)
    patches = rng.standard_normal((1, 3, 7, 7), np.float32).repeat(32, 2).repeat(32, 3)
    return patches + rng.standard_normal((1, 3, 224, 224), np.float32) / 4


def _near_one(shape: tuple[int, ...], rng: Any) -> Any:
    return rng.uniform(0.8, 1.2, shape).astype(np.float32)


def _values(op: str, place: int, shape: tuple[int, ...], gain: float, rng: Any) -> Any:
    """Return the weight that an operator of kind `op` reads as operand `place`."""
    if op in ("Conv", "Gemm") and place == 1:
        fan_in = int(np.prod(shape[1:]))
        values = rng.standard_normal(shape, np.float32)
        values *= np.float32(np.sqrt(gain / fan_in))
        return values
    if op == "BatchNormalization" and place in (1, 4):
        return _near_one(shape, rng)
    if op == "Unsqueeze":  # of a scale or a shift
        return _near_one(shape, rng)
    return rng.uniform(-0.1, 0.1, shape).astype(np.float32)
