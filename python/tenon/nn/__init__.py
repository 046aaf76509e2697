"""Networks: modules with parameters, for `tenon.compile`."""

from tenon.nn import functional
from tenon.nn._layers import (
    GELU,
    Embedding,
    LayerNorm,
    Linear,
    MultiHeadAttention,
    ReLU,
    Sequential,
    Sigmoid,
    Softmax,
    Tanh,
)
from tenon.nn._module import Module, Parameter
from tenon.nn._value import Value

__all__ = [
    "GELU",
    "Embedding",
    "LayerNorm",
    "Linear",
    "Module",
    "MultiHeadAttention",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "Value",
    "functional",
]
