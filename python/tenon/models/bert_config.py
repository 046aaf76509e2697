"""What a BERT-family encoder's folder says about the network: its sizes and its weights."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tenon._files import parse_json_object, read_small
from tenon.errors import ModelError, UnsupportedError
from tenon.safetensors import SafetensorsFile

__all__ = ["BertConfig", "load_bert_weights"]

_MAX_CONFIG_BYTES = 1 << 20
_MAX_EXTENT = 1 << 24
_LARGEST = {"num_hidden_layers": 1024}  # lists of weight names stay short
_NAMES_SHOWN = 5

# weights that the architecture declares and a sentence encoder does not use
_UNUSED_WEIGHT = re.compile(r"embeddings\.position_ids|pooler\..*")
_FLOAT_DTYPES = ("float64", "float32", "float16", "bfloat16")


@dataclass(frozen=True)
class BertConfig:
    """The sizes of a BERT-family encoder, under the names of ``config.json``."""

    vocab_size: int
    max_position_embeddings: int
    type_vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    layer_norm_eps: float

    @classmethod
    def from_file(cls, path: Path) -> BertConfig:
        """Read ``config.json``.

        Raises
        ------
        ModelError
            ``E0801`` to ``E0804`` as for any file; ``E0821``: a value is missing or out of range.
        UnsupportedError
            ``E0822``: another architecture, activation or kind of positions.
        """
        values = parse_json_object(read_small(path, _MAX_CONFIG_BYTES), f"'{path}'")
        for key, wanted in [
            ("model_type", "bert"),
            ("hidden_act", "gelu"),
            ("position_embedding_type", "absolute"),
        ]:
            got = values.get(key, wanted if key == "position_embedding_type" else None)
            if got != wanted:
                raise UnsupportedError(
                    "E0822", f"'{path}': {key} should be '{wanted}', got {got!r}"
                )
        sizes = {
            key: read_size(values, key, path, _LARGEST.get(key, _MAX_EXTENT))
            for key in cls.__dataclass_fields__
            if key != "layer_norm_eps"
        }
        eps = values.get("layer_norm_eps")
        if not isinstance(eps, float) or not 0 < eps < 1:
            raise ModelError(
                "E0821", f"'{path}': layer_norm_eps should be a number between 0 and 1, got {eps!r}"
            )
        config = cls(**sizes, layer_norm_eps=float(eps))
        if config.hidden_size % config.num_attention_heads:
            raise ModelError(
                "E0821",
                f"'{path}': hidden_size {config.hidden_size} should be a multiple of"
                f" num_attention_heads {config.num_attention_heads}",
            )
        return config

    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every weight that the network uses, by its published name."""
        hidden, wide = self.hidden_size, self.intermediate_size
        shapes: dict[str, tuple[int, ...]] = {
            "embeddings.word_embeddings.weight": (self.vocab_size, hidden),
            "embeddings.position_embeddings.weight": (self.max_position_embeddings, hidden),
            "embeddings.token_type_embeddings.weight": (self.type_vocab_size, hidden),
            "embeddings.LayerNorm.weight": (hidden,),
            "embeddings.LayerNorm.bias": (hidden,),
        }
        for layer in range(self.num_hidden_layers):
            prefix = f"encoder.layer.{layer}."
            for name, num_outputs, num_inputs in [
                ("attention.self.query", hidden, hidden),
                ("attention.self.key", hidden, hidden),
                ("attention.self.value", hidden, hidden),
                ("attention.output.dense", hidden, hidden),
                ("intermediate.dense", wide, hidden),
                ("output.dense", hidden, wide),
            ]:
                shapes[f"{prefix}{name}.weight"] = (num_outputs, num_inputs)
                shapes[f"{prefix}{name}.bias"] = (num_outputs,)
            for name in ("attention.output.LayerNorm", "output.LayerNorm"):
                shapes[f"{prefix}{name}.weight"] = (hidden,)
                shapes[f"{prefix}{name}.bias"] = (hidden,)
        return shapes


def read_size(values: dict[str, Any], key: str, path: Path, largest: int = _MAX_EXTENT) -> int:
    """Return the integer ``values[key]`` of a configuration file, from 1 to ``largest``.

    Raises
    ------
    ModelError
        ``E0821``: it is missing, not an integer or out of range.
    """
    value = values.get(key)
    if type(value) is not int or not 1 <= value <= largest:
        raise ModelError(
            "E0821",
            f"'{path}': {key} should be an integer from 1 to {largest}, got {value!r}",
        )
    return value


def load_bert_weights(
    file: SafetensorsFile, config: BertConfig
) -> dict[str, npt.NDArray[np.float32]]:
    """Return every weight that the network uses, by its published name, as float32.

    A float32 weight is a read-only view of the file. The prefix ``bert.`` is taken off, and weights
    that the architecture declares without using them (``position_ids``, ``pooler.*``) are left out.

    Raises
    ------
    ModelError
        ``E0823`` weights are missing; ``E0824`` weights are there that the network does not have;
        ``E0825`` a weight has another shape, or is not of floats.
    """
    stored = {name.removeprefix("bert."): name for name in file}
    if len(stored) < len(file):
        twice = next(name for name in file if f"bert.{name}" in file)
        raise ModelError("E0824", f"'{file.path}' has both '{twice}' and 'bert.{twice}'")
    shapes = config.weight_shapes()
    _raise_if_any(file, "E0823", "lacks", [name for name in shapes if name not in stored])
    extra = [
        name for key, name in stored.items() if key not in shapes and not _UNUSED_WEIGHT.match(key)
    ]
    _raise_if_any(file, "E0824", "should not have", extra)
    weights = {}
    for name, shape in shapes.items():
        if file.shape(stored[name]) != shape:
            raise ModelError(
                "E0825",
                f"'{file.path}': weight '{name}' has shape {file.shape(stored[name])},"
                f" config.json asks for {shape}",
            )
        array = file[stored[name]]
        if array.dtype.name not in _FLOAT_DTYPES:
            raise ModelError(
                "E0825", f"'{file.path}': weight '{name}' should be of floats, got {array.dtype}"
            )
        weights[name] = array.astype(np.float32, copy=False)
    return weights


def _raise_if_any(file: SafetensorsFile, code: str, verb: str, names: Iterable[str]) -> None:
    names = list(names)
    if not names:
        return
    shown = ", ".join(f"'{name}'" for name in names[:_NAMES_SHOWN])
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    raise ModelError(
        code,
        f"'{file.path}' {verb} {len(names)} weight{'s' if len(names) > 1 else ''}: {shown}{more}\n"
        "hint: config.json and model.safetensors should come from the same model",
    )
