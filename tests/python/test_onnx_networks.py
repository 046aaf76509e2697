"""Whole image networks, compared with ONNX Runtime."""

import re
from pathlib import Path
from typing import Any

import light_networks
import numpy as np
import onnx
import onnxruntime
import pytest

import tenon as tn

# Kernels that each network has at most: one for each convolution, pooling, concatenation, and what
# is left. A transpose of a map between two convolutions would be one more.
NETWORKS = {"densenet121": 246}


def expected(path: Path, images: list[Any]) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return [session.run(None, {name: image})[0] for image in images]


@pytest.mark.parametrize("name", NETWORKS)
def test_network(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.onnx"
    onnx.save(light_networks.seeded(name), path)
    network = tn.compile(tn.onnx.load(path))
    images = [light_networks.image(seed) for seed in range(2)]
    got = [np.asarray(network(image)) for image in images]
    for a, b in zip(got, expected(path, images), strict=True):
        assert a.shape == b.shape
        assert np.abs(a - b).max() <= 1e-4 * np.abs(b).max()
    assert np.abs(got[0] - got[1]).max() > 1e-3 * np.abs(got[0]).max()
    report = str(network.report())
    found = re.findall(r"-> \S+\[.*?\] +\[(.*)\]$", report, re.MULTILINE)
    assert len(found) <= NETWORKS[name], report
    assert not any("transpose" in operators for operators in found), report
