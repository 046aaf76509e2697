"""Networks: modules with parameters, for `tenon.compile`."""

from tenon.nn import functional, init
from tenon.nn._convolution_layers import Conv1d, Conv2d, Conv3d
from tenon.nn._dropout import Dropout
from tenon.nn._layers import (
    GELU,
    Embedding,
    Flatten,
    LayerNorm,
    Linear,
    MultiHeadAttention,
    ReLU,
    Reshape,
    Sequential,
    Sigmoid,
    Softmax,
    Tanh,
)
from tenon.nn._loss_modules import (
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    HuberLoss,
    L1Loss,
    MSELoss,
    NLLLoss,
)
from tenon.nn._module import Module, Parameter, functional_call
from tenon.nn._value import Value

__all__ = [
    "GELU",
    "BCEWithLogitsLoss",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "CrossEntropyLoss",
    "Dropout",
    "Embedding",
    "Flatten",
    "HuberLoss",
    "L1Loss",
    "LayerNorm",
    "Linear",
    "MSELoss",
    "Module",
    "MultiHeadAttention",
    "NLLLoss",
    "Parameter",
    "ReLU",
    "Reshape",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "Value",
    "functional",
    "functional_call",
    "init",
]
