"""Trigonometric and hyperbolic functions of ONNX, against higher precision."""

import math
from typing import Any

import numpy as np
import pytest
from onnx_models import run

import tenon as tn

LARGE = np.concatenate([np.logspace(-300, 300, 101), np.linspace(0.3, 30, 200)])
UNIT = np.concatenate([np.logspace(-300, -0.001, 101), np.linspace(0, 1, 201)])

# Of each operator: the function of NumPy, where it is tested, and the units in the last place that
# float64 results may differ by (NumPy's own rounding is one of them).
FUNCTIONS: dict[str, tuple[Any, Any, float]] = {
    "Acos": (np.arccos, UNIT, 6),
    "Acosh": (np.arccosh, 1 + LARGE, 6),
    "Asin": (np.arcsin, UNIT, 6),
    "Asinh": (np.arcsinh, LARGE, 6),
    "Atan": (np.arctan, LARGE, 4),
    "Atanh": (np.arctanh, UNIT, 6),
    "Cos": (np.cos, LARGE, 3),
    "Cosh": (np.cosh, UNIT * 800, 6),
    "Sin": (np.sin, LARGE, 3),
    "Sinh": (np.sinh, UNIT * 800, 6),
    "Tan": (np.tan, LARGE, 6),
    "Tanh": (np.tanh, LARGE, 3),
    "Erf": (np.vectorize(math.erf, otypes=[float]), LARGE, 3),
}


@pytest.mark.parametrize("op", FUNCTIONS)
def test_values_in_all_float_dtypes(op: str) -> None:
    f, x, bound = FUNCTIONS[op]
    if op != "Acosh":
        x = np.concatenate([x, -x])
    with np.errstate(all="ignore"):
        wanted = f(x)
        got = run(op, [x])
        error = np.abs(got - wanted) / np.spacing(np.maximum(np.abs(wanted), 1e-300))
        assert np.array_equal(np.isfinite(got), np.isfinite(wanted))
        assert np.max(error[np.isfinite(error)]) <= bound
        for dtype, units in ((np.float32, 1.1), (np.float16, 0.6)):
            narrow = x.astype(dtype)
            wanted = f(narrow.astype(np.float64))
            got = run(op, [narrow])
            assert got.dtype == dtype
            rounded = wanted.astype(dtype)
            finite = np.isfinite(rounded)
            spacing = np.spacing(np.abs(rounded[finite])).astype(np.float64)
            error = np.abs(got[finite].astype(np.float64) - wanted[finite]) / spacing
            assert np.max(error) <= units
            np.testing.assert_array_equal(got[~finite], rounded[~finite])


@pytest.mark.parametrize("op", FUNCTIONS)
def test_special_values(op: str) -> None:
    f = FUNCTIONS[op][0]
    x = np.array([0.0, -0.0, 1, -1, 2, -2, np.inf, -np.inf, np.nan])
    with np.errstate(all="ignore"):
        wanted = f(x)
    got = run(op, [x])
    np.testing.assert_allclose(got, wanted, rtol=1e-15, atol=0)
    zeros = wanted == 0
    np.testing.assert_array_equal(np.signbit(got[zeros]), np.signbit(wanted[zeros]))


def test_functions_of_integers() -> None:
    with pytest.raises(tn.ModelError, match="expected floats, got int32"):
        run("Atan", [np.ones(3, np.int32)])
