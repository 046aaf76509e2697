"""PyTorch: bench_torch.py eager|compile gemm|memory|call|net_NAME ...

Environment as in records.py, and MINILM, the path of MiniLM's model.safetensors.
"""

import os
import sys
import time

import nets
import numpy as np
from records import GEMMS, MEMORY, THREADS, failure, report, timed

import torch  # isort: skip  (after records, which pins the process)
import torch.nn.functional as F

torch.set_num_threads(THREADS)


class TorchOps(nets.Ops):
    """The operators of nets.py as PyTorch calls."""

    def make(self, array):
        return torch.from_numpy(np.ascontiguousarray(array))

    def conv(self, x, weight, bias, stride, pad, groups):
        return F.conv2d(x, weight, bias, stride, pad, 1, groups)

    def relu(self, x):
        return F.relu(x)

    def relu6(self, x):
        return F.relu6(x)

    def add(self, a, b):
        return a + b

    def maxpool(self, x, kernel, stride, pad):
        return F.max_pool2d(x, kernel, stride, pad)

    def global_avg(self, x):
        return x.mean((2, 3))

    def linear(self, x, weight, bias):
        return F.linear(x, weight.t(), bias)

    def layernorm(self, x, scale, offset, eps):
        return F.layer_norm(x, scale.shape, scale, offset, eps)

    def gelu(self, x):
        return F.gelu(x)

    def heads(self, x, batch, length, num_heads, head):
        return x.reshape(batch, length, num_heads, head).transpose(1, 2)

    def unheads(self, x, batch, length, width):
        return x.transpose(1, 2).reshape(batch, length, width)

    def attention(self, q, k, v, bias, scale):
        return F.scaled_dot_product_attention(q, k, v, bias, scale=float(scale))

    def embed(self, table, ids):
        return F.embedding(ids, table)

    def concat(self, a, b):
        return torch.cat((a, b), 2)

    def mask_bias(self, mask):
        return (1.0 - mask.float())[:, None, None, :] * -10000.0

    def mean_pool(self, x, mask):
        mask = mask.float()[:, :, None]
        return (x * mask).sum(1) / mask.sum(1)


def network(name):
    """Return the network as a function of its inputs, its weights made ahead."""
    params = {}
    if name.startswith("minilm_"):
        from tenon.safetensors import SafetensorsFile

        weights = SafetensorsFile(os.environ["MINILM"])
        params = nets.minilm_params(weights, int(name.split("_")[1]))
    ops = TorchOps({key: torch.from_numpy(array.copy()) for key, array in params.items()})
    for key, weight in ops.params.items():
        if weight.dim() == 2 and key.endswith(".w"):
            ops.params[key] = weight.t().contiguous().t()  # the layout of nn.Linear
    function = nets.net_function(name)
    return lambda *inputs: function(ops, *inputs)


def run(mode, case, function, inputs, **figures):
    peer = f"torch-{mode}"
    try:
        torch._dynamo.reset()
        call = function if mode == "eager" else torch.compile(function, dynamic=False)
        with torch.no_grad():
            start = time.perf_counter()
            call(*inputs)
            figures["first_s"] = time.perf_counter() - start
            times = timed(lambda: call(*inputs))
        report(peer, case, times, version=torch.__version__, **figures)
    except Exception as error:  # a peer's failure is a result
        failure(peer, case, error, version=torch.__version__)


def run_memory(mode):
    scale, offset = torch.rand(768), torch.rand(768)
    functions = {
        "softmax": lambda x: torch.softmax(x, -1),
        "layernorm": lambda x: F.layer_norm(x, (768,), scale, offset),
        "gelu": F.gelu,
        "add": torch.add,
        "sum": torch.sum,
        "transpose": lambda x: x.t().contiguous(),
    }
    for name, (shapes, num_bytes) in MEMORY.items():
        inputs = [torch.randn(*shape) for shape in shapes]
        function = functions[name.split("_")[0]]
        run(mode, f"memory_{name}", function, inputs, num_bytes=num_bytes)


def run_case(mode, case):
    if case == "gemm":
        for m, n, k in GEMMS:
            weight = torch.randn(n, k)
            function = lambda x, weight=weight: F.linear(x, weight)  # noqa: E731
            run(mode, f"gemm_{m}x{n}x{k}", function, [torch.randn(m, k)], flop=2 * m * n * k)
    elif case == "memory":
        run_memory(mode)
    elif case == "call":
        run(mode, "call_plain", torch.add, [torch.randn(16), torch.randn(16)])
    else:
        name = case.removeprefix("net_")
        inputs = [torch.from_numpy(array) for array in nets.net_inputs(name)]
        run(mode, case, network(name), inputs, flop=nets.NET_GFLOP.get(name, 0) * 1e9)


if __name__ == "__main__":
    for requested in sys.argv[2:]:
        run_case(sys.argv[1], requested)
