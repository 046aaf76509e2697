"""Derivatives of every operator against central differences, forward against reverse mode."""

import numpy as np
import pytest
from operator_table import ROWS, WITHOUT_DERIVATIVE

import tenon as tn

CASES = [
    pytest.param(row, shapes, id=f"{row.op}-{i}-{k}")
    for i, row in enumerate(ROWS)
    for k, shapes in enumerate(row.shapes)
]


def test_the_table_has_every_operator():
    assert {row.op for row in ROWS} | WITHOUT_DERIVATIVE >= set(tn._core.graph_operators())


@pytest.mark.parametrize(("row", "shapes"), CASES)
def test_derivatives(row, shapes):
    x = row.operands(shapes)
    directions = row.operands(shapes, seed=1)
    result, tangent = tn.jvp(row.function, x, directions)
    weights = np.random.default_rng(2).standard_normal(result.shape)

    def projected(*operands):
        return (row.function(*operands) * weights).sum()

    projection = tn.jit(projected)
    step = 1e-5
    ahead, behind = (
        np.asarray(projection(*(a + s * step * d for a, d in zip(x, directions, strict=True))))
        for s in (1, -1)
    )
    expected = (ahead - behind) / (2 * step)
    cotangents = tn.grad(projected, argnums=range(len(x)))(*x)
    assert [g.shape for g in cotangents] == list(shapes)
    reverse = sum(np.vdot(g, d) for g, d in zip(cotangents, directions, strict=True))
    scale = max(abs(expected), 1.0)
    assert abs(reverse - expected) <= 1e-6 * scale
    assert abs(np.vdot(tangent, weights) - reverse) <= 1e-11 * scale
