"""The sentence encoder in float64 NumPy, written from the papers' formulas: the tests' reference.

It knows no padding and no mask: sentences of equal length are stacked, others are not.
"""

import math
from collections import defaultdict

import numpy as np

_GRID = 1024  # points per unit of the table of erf
_LIMIT = 6.5  # erf is 1 to the last bit of float64 beyond


def _erf_table():
    x = np.arange(-_LIMIT, _LIMIT + 2 / _GRID, 1 / _GRID)
    value = np.array([math.erf(point) for point in x])
    return value, 2 / math.sqrt(math.pi) * np.exp(-x * x) / _GRID


_ERF, _ERF_SLOPE = _erf_table()


def erf(x):
    """Cubic Hermite interpolation with exact slopes: off by less than 1e-14."""
    position = (np.clip(x, -_LIMIT, _LIMIT) + _LIMIT) * _GRID
    index = position.astype(np.int64)
    t = position - index
    low, high = _ERF[index], _ERF[index + 1]
    slope_low, slope_high = _ERF_SLOPE[index], _ERF_SLOPE[index + 1]
    rise = high - low
    cubic = slope_low + slope_high - 2 * rise
    quadratic = 3 * rise - 2 * slope_low - slope_high
    return low + t * (slope_low + t * (quadratic + t * cubic))


def gelu(x):
    """Return x times the normal distribution function, row by row: a row stays in the cache."""
    rows = x.reshape(-1, x.shape[-1])
    return np.stack([0.5 * row * (1 + erf(row / math.sqrt(2))) for row in rows]).reshape(x.shape)


def layer_norm(x, scale, offset, eps):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + eps) * scale + offset


def softmax(x):
    terms = np.exp(x - x.max(-1, keepdims=True))
    return terms / terms.sum(-1, keepdims=True)


class ReferenceEncoder:
    """``weights`` by their published names, ``config`` with the names of config.json."""

    def __init__(self, weights, config):
        self.weights = {name: np.asarray(array, np.float64) for name, array in weights.items()}
        self.config = config

    def encode_tokens(self, tokens):
        """Return the normalised vector of each list of token ids, ``[n, hidden]``."""
        rows_of_length = defaultdict(list)
        for row, ids in enumerate(tokens):
            rows_of_length[len(ids)].append(row)
        result = np.empty((len(tokens), self.config.hidden_size))
        for length, rows in rows_of_length.items():
            rows_at_once = max(1, 512 // length)
            for start in range(0, len(rows), rows_at_once):
                part = rows[start : start + rows_at_once]
                result[part] = self._encode(np.array([tokens[row] for row in part]))
        return result

    def _encode(self, ids):
        x = self._embed(ids)
        for layer in range(self.config.num_hidden_layers):
            x = self._layer(x, f"encoder.layer.{layer}.")
        pooled = x.mean(1)
        return pooled / np.sqrt((pooled**2).sum(-1, keepdims=True))

    def _embed(self, ids):
        word = self.weights["embeddings.word_embeddings.weight"][ids]
        position = self.weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
        kind = self.weights["embeddings.token_type_embeddings.weight"][0]
        return self._norm(word + position + kind, "embeddings.LayerNorm")

    def _layer(self, x, prefix):
        attended = self._linear(self._attention(x, prefix), prefix + "attention.output.dense")
        x = self._norm(x + attended, prefix + "attention.output.LayerNorm")
        wide = gelu(self._linear(x, prefix + "intermediate.dense"))
        return self._norm(
            x + self._linear(wide, prefix + "output.dense"), prefix + "output.LayerNorm"
        )

    def _attention(self, x, prefix):
        num_heads = self.config.num_attention_heads
        heads = (*x.shape[:2], num_heads, x.shape[2] // num_heads)
        q, k, v = (
            self._linear(x, f"{prefix}attention.self.{name}").reshape(heads).transpose(0, 2, 1, 3)
            for name in ("query", "key", "value")
        )
        scores = q @ k.transpose(0, 1, 3, 2) / math.sqrt(heads[3])
        return (softmax(scores) @ v).transpose(0, 2, 1, 3).reshape(x.shape)

    def _linear(self, x, name):
        return x @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]

    def _norm(self, x, name):
        scale, offset = self.weights[name + ".weight"], self.weights[name + ".bias"]
        return layer_norm(x, scale, offset, self.config.layer_norm_eps)
