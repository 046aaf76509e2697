"""Runs the node tests of the package onnx, each in this process: a library for tests and tools.

The suite gives each case a tolerance; all 1,765 of ONNX 1.22 have its default, 1e-3 and 1e-7.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.backend.test
from onnx import numpy_helper

import tenon as tn

DATA = Path(onnx.backend.test.__file__).parent / "data" / "node"

# Cases whose expected results come from a generator of random numbers that ONNX does not define:
# shape, dtype and distribution are checked.
RANDOM = {
    **dict.fromkeys(
        (
            "test_bernoulli",
            "test_bernoulli_double",
            "test_bernoulli_double_expanded",
            "test_bernoulli_expanded",
            "test_bernoulli_seed",
            "test_bernoulli_seed_expanded",
        ),
        "draws of NumPy for given probabilities",
    ),
    **dict.fromkeys(
        (
            "test_training_dropout",
            "test_training_dropout_default",
            "test_training_dropout_default_mask",
            "test_training_dropout_mask",
        ),
        "a mask drawn by NumPy",
    ),
}

# Cases whose expected results are rounding errors where the exact ones are 0: the imaginary parts
# that a transform in float32 leaves of a real signal of size 100. The absolute tolerance is theirs.
ROUNDED = dict.fromkeys(("test_dft_inverse", "test_dft_inverse_opset19"), 2e-6)


@dataclass
class Outcome:
    """What became of one node test."""

    name: str
    status: str
    """``"pass"``, ``"unsupported"``, or what went wrong: ``"wrong"``, ``"error"``."""
    detail: str = ""


@functools.cache
def names() -> list[str]:
    return sorted(folder.name for folder in DATA.iterdir())


def reason_of(error: tn.UnsupportedError) -> str:
    """Return the first line of a message without the file's name and the code."""
    line = str(error).splitlines()[0].removeprefix("model.onnx: ")
    return re.sub(r" \[E\d{4}\]$", "", line)


def read(path: Path, type_proto: Any) -> Any:
    """Return what a file of test data holds: an array, or a list or None for other types."""
    data = path.read_bytes()
    if type_proto.HasField("sequence_type"):
        sequence = onnx.SequenceProto.FromString(data)
        return numpy_helper.to_list(sequence)
    if type_proto.HasField("optional_type"):
        return numpy_helper.to_optional(onnx.OptionalProto.FromString(data))
    return numpy_helper.to_array(onnx.TensorProto.FromString(data))


def cases(folder: Path, model: Any) -> list[tuple[list[Any], list[Any]]]:
    """Return inputs and expected outputs of each data set."""
    graph = model.graph
    found = []
    for data in sorted(folder.glob("test_data_set_*")):
        sides = []
        for kind, infos in (("input", graph.input), ("output", graph.output)):
            files = sorted(data.glob(f"{kind}_*.pb"), key=lambda p: int(p.stem.split("_")[1]))
            sides.append([read(f, i.type) for f, i in zip(files, infos, strict=False)])
        found.append((sides[0], sides[1]))
    return found


def difference(got: Any, expected: Any, rtol: float, atol: float) -> str:
    """Return how two results differ, or nothing."""
    a, b = np.asarray(got), np.asarray(expected)
    if a.dtype != b.dtype or a.shape != b.shape:
        return f"{a.dtype}{list(a.shape)} instead of {b.dtype}{list(b.shape)}"
    if b.dtype.kind not in "biuf":  # ml_dtypes
        a, b = a.astype(np.float32), b.astype(np.float32)
    try:
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)
    except AssertionError as e:
        return " ".join(str(e).split())[:300]
    return ""


def random_difference(name: str, inputs: list[Any], got: list[Any], expected: list[Any]) -> str:
    """Return what is wrong with results of a case of `RANDOM`, or nothing."""
    for a, b in zip(got, expected, strict=True):
        a = np.asarray(a)
        if a.dtype != b.dtype or a.shape != b.shape:
            return f"{a.dtype}{list(a.shape)} instead of {b.dtype}{list(b.shape)}"
    y, x = np.asarray(got[0]).astype(np.float64), inputs[0].astype(np.float64)
    if "bernoulli" in name:
        chance, hits = x, y
        fits = bool(np.all((y == 0) | (y == 1)))
    else:
        ratio = float(inputs[1]) if len(inputs) > 1 else 0.5
        hits = (y != 0).astype(np.float64)
        chance = np.full_like(x, 1 - ratio)
        fits = bool(np.allclose(y, hits * x / (1 - ratio), rtol=1e-5))
        if len(got) > 1:
            fits = fits and bool(np.array_equal(np.asarray(got[1]), hits != 0))
    if not fits:
        return "values that cannot be drawn"
    far = abs(hits.sum() - chance.sum()) / max(np.sqrt((chance * (1 - chance)).sum()), 1e-9)
    return f"{far:.1f} standard deviations from what is expected" if far > 5 else ""


def run(name: str, rtol: float = 1e-3, atol: float = 1e-7) -> Outcome:
    """Load, compile and run one node test and compare its results with the expected ones."""
    folder = DATA / name
    atol = ROUNDED.get(name, atol)
    try:
        network = tn.compile(tn.onnx.load(folder / "model.onnx"))
        for inputs, expected in cases(folder, onnx.load(folder / "model.onnx")):
            results = network(*inputs)
            results = results if isinstance(results, tuple) else (results,)
            if len(results) != len(expected):
                return Outcome(name, "wrong", f"{len(results)} results")
            if name in RANDOM:
                if text := random_difference(name, inputs, list(results), expected):
                    return Outcome(name, "wrong", text)
                continue
            for got, wanted in zip(results, expected, strict=True):
                if text := difference(got, wanted, rtol, atol):
                    return Outcome(name, "wrong", text)
    except tn.UnsupportedError as e:
        return Outcome(name, "unsupported", reason_of(e))
    except Exception as e:
        return Outcome(name, "error", f"{type(e).__name__}: {str(e).splitlines()[0]}")
    return Outcome(name, "pass")
