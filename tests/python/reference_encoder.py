"""The sentence encoder in float64 NumPy, written from the papers' formulas: the tests' reference.

It knows no padding and no mask: sentences of equal length are stacked, others are not.
"""

import math
from collections import defaultdict

import numpy as np

_GRID = 256  # points per unit of the table of the normal distribution function
_LIMIT = 9  # it is 0 or 1 to the last bit of float64 beyond
_CHUNK = 16384  # elements that stay in the cache


def _taylor_table():
    """Return six Taylor coefficients at every grid point, in units of the grid's step."""
    x = np.arange(-_LIMIT * _GRID, _LIMIT * _GRID + 1) / _GRID
    value = np.array([0.5 * math.erfc(-point / math.sqrt(2)) for point in x])
    slope = np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    hermite = [1, -x, x**2 - 1, -(x**3) + 3 * x, x**4 - 6 * x**2 + 3]
    terms = [slope * h / math.factorial(n) for n, h in enumerate(hermite, start=1)]
    return [term / _GRID**n for n, term in enumerate([value, *terms])]


_TABLE = _taylor_table()


def normal_distribution(x):
    """Return the normal distribution function; off by less than 1e-15."""
    position = np.clip(x, -_LIMIT, _LIMIT) * _GRID
    nearest = np.rint(position)
    offset = position - nearest
    index = nearest.astype(np.int64) + _LIMIT * _GRID
    result = _TABLE[5].take(index)
    for coefficient in _TABLE[4::-1]:
        result *= offset
        result += coefficient.take(index)
    return result


def gelu(x):
    flat = x.reshape(-1)
    result = np.empty_like(flat)
    for start in range(0, flat.size, _CHUNK):
        part = flat[start : start + _CHUNK]
        result[start : start + _CHUNK] = part * normal_distribution(part)
    return result.reshape(x.shape)


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
        rows = x.reshape(-1, x.shape[-1])
        y = rows @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]
        return y.reshape(*x.shape[:-1], -1)

    def _norm(self, x, name):
        scale, offset = self.weights[name + ".weight"], self.weights[name + ".bias"]
        return layer_norm(x, scale, offset, self.config.layer_norm_eps)
