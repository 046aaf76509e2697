"""The networks that are measured, written once over a small set of operators.

A back end (`onnx_graph.OnnxGraph`, `bench_torch.TorchOps`, ...) supplies the operators, so that
every peer computes the same function with the same weights. Weights are random, seeded by their
name and variance preserving, except MiniLM's, which are the real ones.
"""

import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

NETS = ["resnet50", "mobilenetv2", "bert_base_128", "minilm_16", "minilm_128", "gpt2_decode"]
NET_GFLOP = {"resnet50": 8.18, "mobilenetv2": 0.602, "bert_base_128": 22.35}


def random_weight(name, shape, fan_in, gain=1.0):
    """A float32 array that depends on its name and shape alone."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    scale = np.float32(gain / np.sqrt(max(fan_in, 1)))
    return (rng.standard_normal(shape, dtype=np.float32) * scale).astype(np.float32)


class Ops:
    """What a back end inherits: its parameters, made on first use."""

    def __init__(self, params: Mapping[str, Any] | None = None):
        self.params = dict(params or {})

    def make(self, array):
        """Turn a NumPy array into the back end's constant."""
        return array

    def weight(self, name, shape, fan_in, gain=1.0, const=None):
        if name not in self.params:
            if const is None:
                array = random_weight(name, shape, fan_in, gain)
            else:
                array = np.full(shape, const, np.float32)
            self.params[name] = self.make(array)
        return self.params[name]


def conv(
    ops, x, name, inputs, outputs, kernel, stride=1, pad=None, groups=1, act=None, gain=2**0.5
):
    pad = kernel // 2 if pad is None else pad
    fan_in = inputs // groups * kernel * kernel
    weight = ops.weight(name + ".w", (outputs, inputs // groups, kernel, kernel), fan_in, gain)
    bias = ops.weight(name + ".b", (outputs,), 1, 0.1)
    y = ops.conv(x, weight, bias, stride, pad, groups)
    return {"relu": ops.relu, "relu6": ops.relu6, None: lambda v: v}[act](y)


def linear(ops, x, name, inputs, outputs):
    weight = ops.weight(name + ".w", (inputs, outputs), inputs)
    return ops.linear(x, weight, ops.weight(name + ".b", (outputs,), 1, 0.1))


def norm(ops, x, name, width, eps):
    scale = ops.weight(name + ".g", (width,), 1, const=1.0)
    return ops.layernorm(x, scale, ops.weight(name + ".be", (width,), 1, const=0.0), eps)


def resnet50(ops, x):
    x = ops.maxpool(conv(ops, x, "stem", 3, 64, 7, 2, act="relu"), 3, 2, 1)
    inputs = 64
    for stage, (width, count) in enumerate([(64, 3), (128, 4), (256, 6), (512, 3)]):
        for block in range(count):
            stride = 2 if stage > 0 and block == 0 else 1
            name = f"s{stage}b{block}"
            y = conv(ops, x, name + "c1", inputs, width, 1, act="relu")
            y = conv(ops, y, name + "c2", width, width, 3, stride, act="relu")  # v1.5
            y = conv(ops, y, name + "c3", width, width * 4, 1, gain=0.3)
            if block == 0:
                x = conv(ops, x, name + "ds", inputs, width * 4, 1, stride, 0, gain=1.0)
            x = ops.relu(ops.add(y, x))
            inputs = width * 4
    return linear(ops, ops.global_avg(x), "fc", 2048, 1000)


MOBILENET_STAGES = [  # expansion, outputs, blocks, stride of the first
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
]


def mobilenetv2(ops, x):
    x = conv(ops, x, "stem", 3, 32, 3, 2, act="relu6")
    inputs = 32
    for stage, (expansion, outputs, count, first_stride) in enumerate(MOBILENET_STAGES):
        for block in range(count):
            stride = first_stride if block == 0 else 1
            name, hidden = f"m{stage}b{block}", inputs * expansion
            y = x if expansion == 1 else conv(ops, x, name + "e", inputs, hidden, 1, act="relu6")
            y = conv(ops, y, name + "d", hidden, hidden, 3, stride, groups=hidden, act="relu6")
            y = conv(ops, y, name + "p", hidden, outputs, 1, gain=1.0)
            x = ops.add(x, y) if stride == 1 and inputs == outputs else y
            inputs = outputs
    x = conv(ops, x, "head", 320, 1280, 1, act="relu6")
    return linear(ops, ops.global_avg(x), "fc", 1280, 1000)


def bert(ops, ids, mask, *, length, layers, width, num_heads, wide, vocabulary=30522, eps=1e-12):
    """A BERT encoder on a batch of one; ``length`` -1 leaves the number of tokens open."""
    x = ops.embed(ops.weight("emb.word", (vocabulary, width), 1, 0.05), ids)
    # the sum of position and token type 0, added ahead of time
    rows = 512 if length < 0 else length
    position = ops.weight("emb.pos_type", (1, rows, width), 1, 0.05)
    position = ops.first_rows(position, ids) if length < 0 else position
    x = norm(ops, ops.add(x, position), "emb.ln", width, eps)
    bias = ops.mask_bias(mask)
    for layer in range(layers):
        x = encoder_layer(ops, x, bias, f"l{layer}.", length, width, num_heads, wide, eps)
    return x


def encoder_layer(ops, x, bias, name, length, width, num_heads, wide, eps):
    head = width // num_heads
    q, k, v = (
        ops.heads(linear(ops, x, name + part, width, width), 1, length, num_heads, head)
        for part in "qkv"
    )
    attended = ops.unheads(ops.attention(q, k, v, bias, 1.0 / np.sqrt(head)), 1, length, width)
    x = norm(
        ops, ops.add(x, linear(ops, attended, name + "o", width, width)), name + "ln1", width, eps
    )
    y = ops.gelu(linear(ops, x, name + "f1", width, wide))
    return norm(ops, ops.add(x, linear(ops, y, name + "f2", wide, width)), name + "ln2", width, eps)


def bert_base(ops, ids, mask):
    return bert(ops, ids, mask, length=128, layers=12, width=768, num_heads=12, wide=3072)


def minilm(ops, ids, mask, length):
    """MiniLM-L6 up to the pooled vector, which is not normalised."""
    x = bert(ops, ids, mask, length=length, layers=6, width=384, num_heads=12, wide=1536)
    return ops.mean_pool(x, mask)


def gpt2_decode(ops, token, *past, layers=12, width=768, num_heads=12):
    """One token with a cache of keys and values; returns logits and the new k, v of each layer."""
    embedding = ops.weight("wte", (50257, width), 1, 0.05)
    x = ops.add(ops.embed(embedding, token), ops.weight("wpe", (1, 1, width), 1, 0.05))
    outputs = []
    head = width // num_heads
    for layer in range(layers):
        name = f"g{layer}."
        y = norm(ops, x, name + "ln1", width, 1e-5)
        q, k, v = (
            ops.heads(linear(ops, y, name + part, width, width), 1, 1, num_heads, head)
            for part in "qkv"
        )
        outputs += [k, v]
        k, v = ops.concat(past[2 * layer], k), ops.concat(past[2 * layer + 1], v)
        attended = ops.unheads(ops.attention(q, k, v, None, 1.0 / np.sqrt(head)), 1, 1, width)
        x = ops.add(x, linear(ops, attended, name + "o", width, width))
        y = linear(ops, norm(ops, x, name + "ln2", width, 1e-5), name + "f1", width, 4 * width)
        x = ops.add(x, linear(ops, ops.gelu(y), name + "f2", 4 * width, width))
    x = norm(ops, x, "lnf", width, 1e-5)
    return (ops.linear(x, ops.weight("head.w", (width, 50257), width), None), *outputs)


_MINILM_LINEAR = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "o": "attention.output.dense",
    "f1": "intermediate.dense",
    "f2": "output.dense",
}
_MINILM_NORM = {"ln1": "attention.output.LayerNorm", "ln2": "output.LayerNorm"}


def minilm_params(weights: Mapping[str, np.ndarray], length: int) -> dict[str, np.ndarray]:
    """The published weights under this file's names; ``length`` -1 keeps all positions."""
    position = weights["embeddings.position_embeddings.weight"]
    position = position if length < 0 else position[:length]
    params = {
        "emb.word": weights["embeddings.word_embeddings.weight"],
        "emb.pos_type": (position + weights["embeddings.token_type_embeddings.weight"][0])[None],
        "emb.ln.g": weights["embeddings.LayerNorm.weight"],
        "emb.ln.be": weights["embeddings.LayerNorm.bias"],
    }
    for layer in range(6):
        source, name = f"encoder.layer.{layer}.", f"l{layer}."
        for short, long in _MINILM_LINEAR.items():
            params[f"{name}{short}.w"] = np.ascontiguousarray(weights[f"{source}{long}.weight"].T)
            params[f"{name}{short}.b"] = weights[f"{source}{long}.bias"]
        for short, long in _MINILM_NORM.items():
            params[f"{name}{short}.g"] = weights[f"{source}{long}.weight"]
            params[f"{name}{short}.be"] = weights[f"{source}{long}.bias"]
    return params


def net_inputs(name: str) -> list[np.ndarray]:
    """Return the seeded inputs of a network, in order."""
    rng = np.random.default_rng(7)
    if name in ("resnet50", "mobilenetv2"):
        return [rng.standard_normal((1, 3, 224, 224), dtype=np.float32)]
    if name == "gpt2_decode":
        cache = [rng.standard_normal((1, 12, 256, 64), dtype=np.float32) for _ in range(24)]
        return [np.array([[1234]], np.int64), *cache]
    length = int(name.rsplit("_", 1)[1])
    ids = rng.integers(1000, 30000, (1, length)).astype(np.int64)
    return [ids, np.ones((1, length), np.int64)]


def net_function(name: str) -> Callable[..., Any]:
    """Return the network as a function of the back end and the inputs."""
    if name.startswith("minilm_"):
        length = int(name.rsplit("_", 1)[1])
        return lambda ops, ids, mask: minilm(ops, ids, mask, length)
    functions = {
        "resnet50": resnet50,
        "mobilenetv2": mobilenetv2,
        "bert_base_128": bert_base,
        "gpt2_decode": gpt2_decode,
    }
    return functions[name]
