"""A BERT-family sentence encoder as one callable: ids and mask in, normalised vectors out."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from tenon._build import build
from tenon.errors import ShapeError
from tenon.models.bert_config import BertConfig
from tenon.models.bert_kernels import encoder_functions, panel_width

__all__ = ["BertEncoder"]

Floats = npt.NDArray[np.float32]

_ALIGNMENT = 32  # floats between the starts of buffers are a multiple of this


class BertEncoder:
    """The compiled network. It may be called from several threads; they take turns.

    Parameters
    ----------
    config
        The sizes.
    weights
        By their published names; embeddings are used in place.
    target
        What to compile for; this machine by default.
    """

    num_kernels: int
    """How many kernels were compiled: one set serves every batch and length."""
    compile_s: float
    """How long the kernels took to compile, or to be found in the cache, in seconds."""

    def __init__(
        self, config: BertConfig, weights: Mapping[str, Floats], target: str | None = None
    ) -> None:
        self.config = config
        start = time.perf_counter()
        functions = encoder_functions(config)
        with ThreadPoolExecutor() as pool:
            kernels = pool.map(lambda f: build(f, target=target or "cpu"), functions.values())
            self._kernels: dict[str, Any] = dict(zip(functions, kernels, strict=True))
        self.num_kernels = len(functions)
        self.compile_s = time.perf_counter() - start
        self._word = weights["embeddings.word_embeddings.weight"]
        position = weights["embeddings.position_embeddings.weight"]
        self._place = position + weights["embeddings.token_type_embeddings.weight"][0]
        self._norm = _norm_weights(weights, "embeddings.LayerNorm")
        self._layers = [
            _layer_weights(weights, f"encoder.layer.{layer}.")
            for layer in range(config.num_hidden_layers)
        ]
        self._lock = threading.Lock()
        self._memory = np.empty(0, np.float32)

    def __call__(self, ids: npt.NDArray[np.int64], mask: npt.NDArray[np.bool_]) -> Any:
        """Return the vectors ``[b, hidden]`` of the sentences ``ids[b, s]``.

        Raises
        ------
        ShapeError
            ``E0831``: ``ids`` and ``mask`` are not two arrays of one shape ``[b, s]``.
        IndexError
            An id is not in the vocabulary.
        """
        if ids.ndim != 2 or ids.shape != mask.shape:
            raise ShapeError(
                "E0831",
                f"ids and mask should have one shape [b, s], got {ids.shape} and {mask.shape}",
            )
        with self._lock:
            return self._run(ids, mask)

    def _run(self, ids: npt.NDArray[np.int64], mask: npt.NDArray[np.bool_]) -> Any:
        kernels, config = self._kernels, self.config
        b, s = ids.shape
        heads, hidden = config.num_attention_heads, config.hidden_size
        width = hidden // heads
        x, y, projected, keys, scores, shares, wide = self._buffers(
            (b * s, hidden),
            (b * s, hidden),
            (b, s, 3, heads, width),
            (b, heads, width, s),
            (b, heads, s, s),
            (b, heads, s, s),
            (b * s, config.intermediate_size),
        )
        projected_rows = projected.reshape(b * s, 3 * hidden)
        score_rows, share_rows = (a.reshape(b * heads * s, s) for a in (scores, shares))
        attended = keys.reshape(b, s, heads, width)  # the keys are no longer needed then
        attended_rows = keys.reshape(b * s, hidden)
        kernels["embed"](ids, self._word, self._place, out=y.reshape(b, s, hidden))
        kernels["layer_norm"](y, *self._norm, out=x)
        for layer in self._layers:
            kernels["project_in"](x, *layer["project_in"], out=projected_rows)
            kernels["transpose_keys"](projected, out=keys)
            kernels["attention_scores"](projected, keys, mask, out=scores)
            kernels["softmax"](score_rows, out=share_rows)
            kernels["attention_sum"](shares, projected, out=attended)
            kernels["project_out"](attended_rows, *layer["project_out"], x, out=y)
            kernels["layer_norm"](y, *layer["attention_norm"], out=x)
            kernels["expand"](x, *layer["expand"], out=wide)
            kernels["contract"](wide, *layer["contract"], x, out=y)
            kernels["layer_norm"](y, *layer["output_norm"], out=x)
        return kernels["mean_pool"](x.reshape(b, s, hidden), mask)

    def _buffers(self, *shapes: tuple[int, ...]) -> list[Floats]:
        """Return arrays of these shapes, cut from one memory that stays between calls."""
        sizes = [-(-math.prod(shape) // _ALIGNMENT) * _ALIGNMENT for shape in shapes]
        if sum(sizes) > self._memory.size:
            self._memory = np.empty(sum(sizes), np.float32)
        buffers, start = [], 0
        for shape, size in zip(shapes, sizes, strict=True):
            buffers.append(self._memory[start : start + math.prod(shape)].reshape(shape))
            start += size
        return buffers


def _linear_weights(weights: Mapping[str, Floats], *names: str) -> tuple[Floats, Floats]:
    """Return weight panels ``[panel, input, column]`` and bias of layers side by side."""
    weight = np.concatenate([weights[name + ".weight"] for name in names])
    panels = weight.reshape(-1, panel_width(len(weight)), weight.shape[1]).transpose(0, 2, 1)
    bias = np.concatenate([weights[name + ".bias"] for name in names])
    return np.ascontiguousarray(panels), bias


def _norm_weights(weights: Mapping[str, Floats], name: str) -> tuple[Floats, Floats]:
    return weights[name + ".weight"], weights[name + ".bias"]


def _layer_weights(weights: Mapping[str, Floats], prefix: str) -> dict[str, tuple[Floats, Floats]]:
    attention = prefix + "attention.self."
    names = [attention + part for part in ("query", "key", "value")]
    return {
        "project_in": _linear_weights(weights, *names),
        "project_out": _linear_weights(weights, prefix + "attention.output.dense"),
        "attention_norm": _norm_weights(weights, prefix + "attention.output.LayerNorm"),
        "expand": _linear_weights(weights, prefix + "intermediate.dense"),
        "contract": _linear_weights(weights, prefix + "output.dense"),
        "output_norm": _norm_weights(weights, prefix + "output.LayerNorm"),
    }
