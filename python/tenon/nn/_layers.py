"""The modules that networks are made of."""

from __future__ import annotations

from typing import Any

from tenon.errors import ShapeError
from tenon.nn import functional as f
from tenon.nn import init
from tenon.nn._module import Module, Parameter
from tenon.nn._value import Value

__all__ = [
    "GELU",
    "Embedding",
    "Flatten",
    "LayerNorm",
    "Linear",
    "MultiHeadAttention",
    "ReLU",
    "Reshape",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Tanh",
]


class Linear(Module):
    """``x @ weight.T + bias``; ``weight`` is ``[out_features, in_features]``."""

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, dtype: str = "float32"
    ) -> None:
        self.weight = Parameter((out_features, in_features), dtype, init.he_uniform)
        self.bias = Parameter((out_features,), dtype) if bias else None

    def forward(self, x: Value) -> Value:
        """Return ``[..., out_features]`` for ``[..., in_features]``."""
        return f.linear(x, self.weight, self.bias)  # type: ignore[arg-type]


class LayerNorm(Module):
    """The last axis with mean 0 and variance 1, scaled and shifted."""

    def __init__(self, size: int, eps: float = 1e-5, dtype: str = "float32") -> None:
        self.weight = Parameter((size,), dtype, init.ones)
        self.bias = Parameter((size,), dtype)
        self.eps = eps

    def forward(self, x: Value) -> Value:
        """Return the normalised array."""
        return f.layer_norm(x, self.weight, self.bias, self.eps)  # type: ignore[arg-type]


class Embedding(Module):
    """Rows of a table by index."""

    def __init__(self, num_embeddings: int, size: int, dtype: str = "float32") -> None:
        self.weight = Parameter((num_embeddings, size), dtype, init.normal)

    def forward(self, indices: Value) -> Value:
        """Return ``[..., size]`` for integers ``[...]``."""
        return f.embedding(self.weight, indices)  # type: ignore[arg-type]


class MultiHeadAttention(Module):
    """Attention of several heads, to ``memory`` or to ``x`` itself, with four linear layers."""

    def __init__(self, width: int, num_heads: int, dtype: str = "float32") -> None:
        if width % num_heads:
            raise ShapeError(
                "E0843", f"the width {width} should be a multiple of {num_heads} heads"
            )
        self.query = Linear(width, width, dtype=dtype)
        self.key = Linear(width, width, dtype=dtype)
        self.value = Linear(width, width, dtype=dtype)
        self.output = Linear(width, width, dtype=dtype)
        self.num_heads = num_heads

    def forward(self, x: Value, mask: Value | None = None, memory: Value | None = None) -> Value:
        """Return ``[batch, length, width]``; keys whose ``mask`` is false do not count."""
        source = x if memory is None else memory
        heads = f.attention(
            self.query(x), self.key(source), self.value(source), self.num_heads, mask
        )
        result = self.output(heads)
        assert isinstance(result, Value)
        return result


class Sequential(Module):
    """Modules one after the other; their names are their positions."""

    def __init__(self, *modules: Module) -> None:
        for i, module in enumerate(modules):
            setattr(self, str(i), module)

    def forward(self, x: Any) -> Any:
        """Return the last module's result."""
        for _, module in self.named_children():
            x = module(x)
        return x


class Reshape(Module):
    """Another shape for the elements of each row; one size may be -1."""

    def __init__(self, *shape: int) -> None:
        self.shape = shape

    def forward(self, x: Value) -> Value:
        """Return ``[rows, *shape]`` for ``[rows, ...]``."""
        return x.reshape(x.shape[0], *self.shape)


class Flatten(Module):
    """One vector for each row."""

    def forward(self, x: Value) -> Value:
        """Return ``[rows, size]`` for ``[rows, ...]``."""
        return x.reshape(x.shape[0], -1)


class GELU(Module):
    """x * (1 + erf(x / sqrt(2))) / 2."""

    def forward(self, x: Value) -> Value:
        """Apply it to each element."""
        return f.gelu(x)


class ReLU(Module):
    """max(x, 0)."""

    def forward(self, x: Value) -> Value:
        """Apply it to each element."""
        return f.relu(x)


class Tanh(Module):
    """The hyperbolic tangent."""

    def forward(self, x: Value) -> Value:
        """Apply it to each element."""
        return f.tanh(x)


class Sigmoid(Module):
    """1 / (1 + exp(-x))."""

    def forward(self, x: Value) -> Value:
        """Apply it to each element."""
        return f.sigmoid(x)


class Softmax(Module):
    """exp(x) / sum(exp(x)) along one axis."""

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: Value) -> Value:
        """Apply it to each slice along the axis."""
        return f.softmax(x, self.axis)
