"""The folder of a sentence encoder, as sentence-transformers publishes it, checked."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from tenon._files import parse_json_object, read_small
from tenon.errors import ModelError, ResourceError, UnsupportedError
from tenon.models.bert_config import BertConfig, read_size

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["ModelFolder"]

_MAX_CONFIG_BYTES = 1 << 20
_MAX_TOKENIZER_BYTES = 64 << 20
_NUM_SPECIAL_TOKENS = 2  # [CLS] and [SEP]


class ModelFolder:
    """The checked content of a sentence encoder's folder, weights apart.

    Raises
    ------
    ModelError
        ``E0820``: not a folder, or files are missing (all are named); ``E0821``: a value is missing
        or out of range; ``E0826``: the tokenizer cannot be read or does not fit the network.
    UnsupportedError
        ``E0822``: another architecture, another pooling, other modules.
    ResourceError
        ``E0827``: the package ``tokenizers`` is not installed.
    """

    weights_path: Path
    config: BertConfig
    tokenizer: Tokenizer
    max_seq_length: int
    lower_case: bool

    def __init__(self, path: str | os.PathLike[str]) -> None:
        folder = Path(path)
        if not folder.is_dir():
            raise ModelError("E0820", f"'{folder}' should be the folder of a model")
        files = ["config.json", "model.safetensors", "modules.json"]
        files += ["sentence_bert_config.json", "tokenizer.json"]
        missing = [name for name in files if not (folder / name).exists()]
        if missing:
            raise ModelError("E0820", f"the model folder '{folder}' lacks {', '.join(missing)}")
        self.weights_path = folder / "model.safetensors"
        self.config = BertConfig.from_file(folder / "config.json")
        _check_modules(folder)
        self.tokenizer = _load_tokenizer(folder / "tokenizer.json", self.config.vocab_size)
        self._read_lengths(folder / "sentence_bert_config.json")

    def _read_lengths(self, path: Path) -> None:
        values = parse_json_object(read_small(path, _MAX_CONFIG_BYTES), f"'{path}'")
        self.max_seq_length = read_size(values, "max_seq_length", path)
        low, high = _NUM_SPECIAL_TOKENS + 1, self.config.max_position_embeddings
        if not low <= self.max_seq_length <= high:
            raise ModelError(
                "E0821",
                f"'{path}': max_seq_length should be from {low} to {high}, the positions that the"
                f" network has, got {self.max_seq_length}",
            )
        lower_case = values.get("do_lower_case", False)
        if not isinstance(lower_case, bool):
            raise ModelError(
                "E0821", f"'{path}': do_lower_case should be true or false, got {lower_case!r}"
            )
        self.lower_case = lower_case


def _check_modules(folder: Path) -> None:
    """Check that the folder asks for transformer, mean pooling and normalisation."""
    path = folder / "modules.json"
    # the only configuration file whose top level is a list
    text = b'{"modules": ' + read_small(path, _MAX_CONFIG_BYTES) + b"}"
    modules = parse_json_object(text, f"'{path}'")["modules"]
    if not isinstance(modules, list) or not all(isinstance(m, dict) for m in modules):
        raise ModelError("E0821", f"'{path}' should be a list of objects")
    kinds = [str(module.get("type")).rpartition(".")[2] for module in modules]
    if kinds != ["Transformer", "Pooling", "Normalize"]:
        raise UnsupportedError(
            "E0822",
            f"'{path}': the modules should be Transformer, Pooling, Normalize,"
            f" got {', '.join(kinds) or 'none'}",
        )
    if modules[0].get("path") != "":
        raise UnsupportedError(
            "E0822", f"'{path}': the transformer should lie in the folder itself"
        )
    name = modules[1].get("path")
    if not isinstance(name, str) or not re.fullmatch(r"\w+", name):
        raise ModelError(
            "E0821",
            f"'{path}': the pooling's path should be the plain name of a folder, got {name!r}",
        )
    _check_pooling(folder / name / "config.json")


def _check_pooling(path: Path) -> None:
    values = parse_json_object(read_small(path, _MAX_CONFIG_BYTES), f"'{path}'")
    modes = [key for key, value in values.items() if key.startswith("pooling_mode_") and value]
    if modes != ["pooling_mode_mean_tokens"]:
        raise UnsupportedError(
            "E0822",
            f"'{path}': the pooling should be pooling_mode_mean_tokens alone,"
            f" got {', '.join(modes) or 'none'}",
        )


def _load_tokenizer(path: Path, vocab_size: int) -> Tokenizer:
    try:
        from tokenizers import Tokenizer  # here, because importing tenon should not pay for it
    except ImportError as error:
        raise ResourceError(
            "E0827", f"the package tokenizers is needed: {error}\nhint: pip install 'tenon[text]'"
        ) from None
    text = read_small(path, _MAX_TOKENIZER_BYTES)
    try:
        tokenizer = Tokenizer.from_buffer(text)
    except Exception as error:  # what the package raises
        raise ModelError("E0826", f"'{path}' is not a tokenizer: {error}") from None
    largest = max(tokenizer.get_vocab().values(), default=-1)
    if not 0 <= largest < vocab_size:
        raise ModelError(
            "E0826",
            f"'{path}': its token ids reach {largest}, config.json has vocab_size {vocab_size}",
        )
    return tokenizer
