"""What a sentence encoder's folder may hold, and the message for everything else."""

import sys

import numpy as np
import pytest
from reference_encoder import ReferenceEncoder
from safetensors.numpy import save_file
from tiny_model import (
    CONFIG,
    MODULES,
    POOLING,
    SENTENCE_CONFIG,
    tiny_weights,
    write_json,
    write_tiny_model,
)

from tenon.errors import IndexError, ModelError, ResourceError, ShapeError, UnsupportedError
from tenon.models import SentenceEncoder
from tenon.models.bert_config import load_bert_weights
from tenon.models.model_folder import ModelFolder
from tenon.safetensors import SafetensorsFile


@pytest.fixture
def folder(tmp_path):
    return write_tiny_model(tmp_path / "model")


def load_weights(folder, weights):
    save_file(weights, folder / "model.safetensors")
    opened = ModelFolder(folder)
    return load_bert_weights(SafetensorsFile(opened.weights_path), opened.config)


def test_a_right_folder(folder):
    opened = ModelFolder(str(folder))
    assert opened.max_seq_length == 16
    assert opened.lower_case is False
    assert opened.config.hidden_size == 24


def test_a_path_that_is_no_folder(tmp_path):
    with pytest.raises(ModelError, match=r"nowhere' should be the folder of a model \[E0820\]"):
        ModelFolder(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "name",
    [
        "config.json",
        "model.safetensors",
        "modules.json",
        "sentence_bert_config.json",
        "tokenizer.json",
    ],
)
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(ModelError, match=rf"the model folder '.*' lacks {name} \[E0820\]"):
        ModelFolder(folder)


def test_all_missing_files_are_named_at_once(tmp_path):
    with pytest.raises(ModelError, match=r"lacks config.json, model.safetensors, modules.json, s"):
        ModelFolder(tmp_path)


def test_a_missing_pooling(folder):
    (folder / "1_Pooling" / "config.json").unlink()
    with pytest.raises(ModelError, match=r"cannot open '.*1_Pooling/config.json'"):
        ModelFolder(folder)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"model_type": "gpt2"}, UnsupportedError, r"model_type should be 'bert', got 'gpt2'"),
        ({"hidden_act": "relu"}, UnsupportedError, r"hidden_act should be 'gelu', got 'relu'"),
        ({"position_embedding_type": "relative_key"}, UnsupportedError, r"'absolute', got"),
        ({"hidden_size": "24"}, ModelError, r"hidden_size should be an integer.*got '24'"),
        ({"hidden_size": True}, ModelError, r"hidden_size should be an integer.*got True"),
        ({"hidden_size": 0}, ModelError, r"hidden_size should be an integer from 1"),
        (
            {"hidden_size": 2**40},
            ModelError,
            r"hidden_size .* from 1 to 16777216",
        ),
        ({"num_hidden_layers": 2**20}, ModelError, r"num_hidden_layers .* from 1 to 1024"),
        ({"vocab_size": None}, ModelError, r"vocab_size should be an integer"),
        ({"num_attention_heads": 5}, ModelError, r"24 should be a multiple of num_attention_heads"),
        ({"layer_norm_eps": 0}, ModelError, r"layer_norm_eps should be a number between 0 and 1"),
        ({"layer_norm_eps": 1e999}, ModelError, r"Infinity is not JSON"),
        ({"vocab_size": 10}, ModelError, r"token ids reach 29, config.json has vocab_size 10"),
    ],
)
def test_a_bad_config(folder, change, error, match):
    write_json(folder / "config.json", CONFIG | change)
    with pytest.raises(error, match=match):
        ModelFolder(folder)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"max_seq_length": 2}, r"max_seq_length should be from 3 to 32.*got 2"),
        ({"max_seq_length": 33}, r"max_seq_length should be from 3 to 32.*got 33"),
        ({"max_seq_length": None}, r"max_seq_length should be an integer"),
        ({"do_lower_case": 1}, r"do_lower_case should be true or false, got 1"),
    ],
)
def test_a_bad_sentence_config(folder, change, match):
    write_json(folder / "sentence_bert_config.json", SENTENCE_CONFIG | change)
    with pytest.raises(ModelError, match=match):
        ModelFolder(folder)


@pytest.mark.parametrize(
    ("modules", "error", "match"),
    [
        ({}, ModelError, r"should be a list of objects"),
        ([3], ModelError, r"should be a list of objects"),
        ([], UnsupportedError, r"should be Transformer, Pooling, Normalize, got none"),
        (MODULES[:2], UnsupportedError, r"got Transformer, Pooling"),
        ([MODULES[0] | {"path": "sub"}, *MODULES[1:]], UnsupportedError, r"in the folder itself"),
        (
            [MODULES[0], MODULES[1] | {"path": "../x"}, MODULES[2]],
            ModelError,
            r"plain name.*\./x",
        ),
        ([MODULES[0], MODULES[1] | {"path": "/etc"}, MODULES[2]], ModelError, r"plain name.*/etc"),
    ],
)
def test_bad_modules(folder, modules, error, match):
    write_json(folder / "modules.json", modules)
    with pytest.raises(error, match=match):
        ModelFolder(folder)


def test_another_pooling(folder):
    change = {"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}
    write_json(folder / "1_Pooling" / "config.json", POOLING | change)
    with pytest.raises(UnsupportedError, match=r"mean_tokens alone, got pooling_mode_cls_token"):
        ModelFolder(folder)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"model": 3}', "\0"])
def test_a_damaged_tokenizer(folder, text):
    (folder / "tokenizer.json").write_text(text)
    with pytest.raises(ModelError, match=r"tokenizer.json' is not a tokenizer: .*\[E0826\]"):
        ModelFolder(folder)


def test_the_package_that_is_not_installed(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ResourceError, match=r"tokenizers is needed.*\n.*pip install 'tenon.text.'"):
        ModelFolder(folder)


def test_an_over_long_config(folder):
    (folder / "config.json").write_bytes(b" " * (1 << 20) + b"{}")
    with pytest.raises(ModelError, match=r"1048578 bytes long and should be at most 1048576"):
        ModelFolder(folder)


def test_weights_are_views_under_their_names(folder):
    weights = load_weights(folder, tiny_weights())
    assert "pooler.dense.weight" not in weights
    assert "embeddings.position_ids" not in weights
    assert not weights["embeddings.LayerNorm.bias"].flags.writeable


def test_the_prefix_bert_is_taken_off(folder):
    plain = load_weights(folder, tiny_weights())
    prefixed = load_weights(folder, {f"bert.{k}": v for k, v in tiny_weights().items()})
    assert list(plain) == list(prefixed)


def test_half_precision_weights_are_widened(folder):
    stored = {k: v.astype(np.float16) for k, v in tiny_weights().items() if v.dtype.kind == "f"}
    weights = load_weights(folder, stored)
    name = "embeddings.LayerNorm.bias"
    assert weights[name].dtype == np.float32
    np.testing.assert_array_equal(weights[name], stored[name])


def test_missing_weights_are_named(folder):
    weights = tiny_weights()
    del weights["encoder.layer.1.output.dense.bias"]
    with pytest.raises(ModelError, match=r"lacks 1 weight: 'encoder.layer.1.output.dense.bias'"):
        load_weights(folder, weights)


def test_many_missing_weights_are_counted(folder):
    with pytest.raises(ModelError, match=r"lacks 37 weights: .* and 32 more \[E0823\]"):
        load_weights(folder, {"embeddings.position_ids": np.arange(3)})


def test_extra_weights_are_named(folder):
    weights = tiny_weights() | {"encoder.layer.2.output.dense.bias": np.zeros(24, np.float32)}
    with pytest.raises(ModelError, match=r"should not have 1 weight: 'encoder.layer.2.output"):
        load_weights(folder, weights)


def test_a_weight_stored_twice(folder):
    name = "embeddings.LayerNorm.bias"
    weights = tiny_weights() | {f"bert.{name}": np.zeros(24, np.float32)}
    with pytest.raises(ModelError, match=rf"has both '{name}' and 'bert.{name}'"):
        load_weights(folder, weights)


def test_a_misshaped_weight_is_named(folder):
    weights = tiny_weights() | {"embeddings.LayerNorm.bias": np.zeros(25, np.float32)}
    with pytest.raises(ModelError, match=r"LayerNorm.bias' has shape \(25,\), .* asks for \(24,\)"):
        load_weights(folder, weights)


def test_a_weight_of_integers(folder):
    weights = tiny_weights() | {"embeddings.LayerNorm.bias": np.zeros(24, np.int64)}
    with pytest.raises(ModelError, match=r"LayerNorm.bias' should be of floats, got int64"):
        load_weights(folder, weights)


def test_a_whole_small_model_against_the_reference(folder):
    """Other sizes than the published model's: nothing is a multiple of a vector."""
    encoder = SentenceEncoder.from_folder(folder)
    texts = ["", "a", "b c d", "e f g h i j k l m n o p q r s t u v"]
    opened = ModelFolder(folder)
    weights = load_bert_weights(SafetensorsFile(opened.weights_path), opened.config)
    reference = ReferenceEncoder(weights, opened.config)
    expected = reference.encode_tokens(encoder.tokenize(texts))
    np.testing.assert_allclose(encoder.encode(texts), expected, rtol=0, atol=2e-6)


def test_ids_and_mask_of_two_shapes(folder):
    network = SentenceEncoder.from_folder(folder).network
    with pytest.raises(ShapeError, match=r"got \(1, 3\) and \(1, 4\) \[E0831\]"):
        network(np.zeros((1, 3), np.int64), np.ones((1, 4), np.bool_))


def test_an_id_beyond_the_vocabulary(folder):
    network = SentenceEncoder.from_folder(folder).network
    ids, mask = np.array([[2, 99, 3]]), np.ones((1, 3), np.bool_)
    with pytest.raises(IndexError, match=r"99"):
        network(ids, mask)
    ids[0, 1] = 5
    assert np.isfinite(np.asarray(network(ids, mask))).all()
