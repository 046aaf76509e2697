"""A sentence encoder's folder that is small enough to be made anew for every test."""

import json

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from tenon.models.bert_config import BertConfig

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefghijklmnopqrstuvwxyz"]
CONFIG = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "vocab_size": len(WORDS),
    "max_position_embeddings": 32,
    "type_vocab_size": 2,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "layer_norm_eps": 1e-12,
}
SENTENCE_CONFIG = {"max_seq_length": 16, "do_lower_case": False}
MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "name": "2", "path": "2_Norm", "type": "sentence_transformers.models.Normalize"},
]
POOLING = {"word_embedding_dimension": 24, "pooling_mode_mean_tokens": True}


def tiny_weights():
    """Return seeded weights by name, with those that the network does not use."""
    rng = np.random.default_rng(5)
    sizes = {key: CONFIG[key] for key in BertConfig.__dataclass_fields__}
    weights = {
        name: rng.standard_normal(shape, dtype=np.float32) * 0.3
        for name, shape in BertConfig(**sizes).weight_shapes().items()
    }
    weights["embeddings.position_ids"] = np.arange(32)[None]
    weights["pooler.dense.weight"] = np.zeros((24, 24), np.float32)
    return weights


def tiny_tokenizer():
    """Return a tokenizer of single letters that pads and truncates to 8, as stored files do."""
    vocabulary = {word: index for index, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.enable_truncation(max_length=8)
    tokenizer.enable_padding(length=8)
    return tokenizer


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def write_tiny_model(folder):
    """Write all files of the model and return the folder."""
    write_json(folder / "config.json", CONFIG)
    write_json(folder / "sentence_bert_config.json", SENTENCE_CONFIG)
    write_json(folder / "modules.json", MODULES)
    write_json(folder / "1_Pooling" / "config.json", POOLING)
    tiny_tokenizer().save(str(folder / "tokenizer.json"))
    save_file(tiny_weights(), folder / "model.safetensors")
    return folder
