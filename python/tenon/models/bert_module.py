"""The BERT-family sentence encoder as a module: ids and mask in, normalised vectors out."""

from __future__ import annotations

from typing import Any

from tenon import nn
from tenon.models.bert_config import BertConfig
from tenon.nn import Value
from tenon.nn import functional as f

__all__ = ["BertModule"]

_LEAST_NORM = 1e-12


class BertModule(nn.Module):
    """Embeddings, layers, mean pooling by mask, vectors of length 1.

    Padding (mask false) at the end of a row changes no bit of its result. Parameters have
    their published names.
    """

    def __init__(self, config: BertConfig) -> None:
        self.embeddings = _Embeddings(config)
        self.encoder = _Layers(config)

    def forward(self, ids: Value, mask: Value) -> Value:
        """Return vectors ``[b, hidden]`` for ids ``[b, s]`` and a mask ``[b, s]`` of bools."""
        x = self.embeddings(ids)
        for layer in self.encoder.layer:
            x = layer(x, mask)
        total = f.where(mask[:, :, None], x, 0.0).sum(1)
        pooled = total / mask.cast(x.dtype).sum(1, keepdims=True)
        length = f.sqrt((pooled * pooled).sum(-1, keepdims=True))
        result = pooled / f.maximum(length, _LEAST_NORM)
        assert isinstance(result, Value)
        return result


class _Embeddings(nn.Module):
    def __init__(self, config: BertConfig) -> None:
        hidden = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, hidden)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, hidden)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, hidden)
        self.LayerNorm = nn.LayerNorm(hidden, config.layer_norm_eps)

    def forward(self, ids: Value) -> Any:
        position = self.position_embeddings.weight.value()
        kind = self.token_type_embeddings.weight.value()
        x = self.word_embeddings(ids) + position[: ids.shape[1]] + kind[0]
        return self.LayerNorm(x)


class _Layers(nn.Module):
    def __init__(self, config: BertConfig) -> None:
        self.layer = [_Layer(config) for _ in range(config.num_hidden_layers)]


class _SelfAttention(nn.Module):
    def __init__(self, config: BertConfig) -> None:
        hidden = config.hidden_size
        self.query = nn.Linear(hidden, hidden)
        self.key = nn.Linear(hidden, hidden)
        self.value = nn.Linear(hidden, hidden)
        self.num_heads = config.num_attention_heads

    def forward(self, x: Value, mask: Value) -> Value:
        return f.attention(self.query(x), self.key(x), self.value(x), self.num_heads, mask)


class _Output(nn.Module):
    """A linear layer, the residual, a layer norm."""

    def __init__(self, num_inputs: int, config: BertConfig) -> None:
        self.dense = nn.Linear(num_inputs, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)

    def forward(self, x: Value, residual: Value) -> Any:
        return self.LayerNorm(self.dense(x) + residual)


class _Attention(nn.Module):
    def __init__(self, config: BertConfig) -> None:
        self.self = _SelfAttention(config)
        self.output = _Output(config.hidden_size, config)

    def forward(self, x: Value, mask: Value) -> Any:
        return self.output(self.self(x, mask), x)


class _Intermediate(nn.Module):
    def __init__(self, config: BertConfig) -> None:
        self.dense = nn.Linear(config.hidden_size, config.intermediate_size)

    def forward(self, x: Value) -> Value:
        return f.gelu(self.dense(x))


class _Layer(nn.Module):
    def __init__(self, config: BertConfig) -> None:
        self.attention = _Attention(config)
        self.intermediate = _Intermediate(config)
        self.output = _Output(config.intermediate_size, config)

    def forward(self, x: Value, mask: Value) -> Any:
        attended = self.attention(x, mask)
        return self.output(self.intermediate(attended), attended)
