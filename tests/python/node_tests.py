"""Runs the node tests of the package onnx, each in this process: a library for tests and tools."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.backend.test
from onnx import numpy_helper

import tenon as tn

DATA = Path(onnx.backend.test.__file__).parent / "data" / "node"

# Results that are random by definition; compared in shape, dtype and distribution elsewhere.
RANDOM: dict[str, str] = {}


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


@functools.cache
def tolerances() -> dict[str, tuple[float, float]]:
    """Return (rtol, atol) of each node test, as the suite gives them."""
    from onnx.backend.test.case.node import collect_testcases  # slow: it makes all models

    return {case.name: (case.rtol, case.atol) for case in collect_testcases()}


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


def run(name: str, rtol: float = 1e-3, atol: float = 1e-7) -> Outcome:
    """Load, compile and run one node test and compare its results with the expected ones."""
    folder = DATA / name
    try:
        network = tn.compile(tn.onnx.load(folder / "model.onnx"))
        for inputs, expected in cases(folder, onnx.load(folder / "model.onnx")):
            results = network(*inputs)
            results = results if isinstance(results, tuple) else (results,)
            if len(results) != len(expected):
                return Outcome(name, "wrong", f"{len(results)} results")
            for got, wanted in zip(results, expected, strict=True):
                if text := difference(got, wanted, rtol, atol):
                    return Outcome(name, "wrong", text)
    except tn.UnsupportedError as e:
        return Outcome(name, "unsupported", str(e).splitlines()[0])
    except Exception as e:
        return Outcome(name, "error", f"{type(e).__name__}: {str(e).splitlines()[0]}")
    return Outcome(name, "pass")
