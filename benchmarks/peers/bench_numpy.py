"""NumPy with its own OpenBLAS: bench_numpy.py gemm|memory|call ..."""

import sys

import numpy as np
from records import GEMMS, MEMORY, report, timed

RNG = np.random.default_rng(1)


def random(*shape):
    return RNG.standard_normal(shape, dtype=np.float32)


def gemm():
    for m, n, k in GEMMS:
        x, w, out = random(m, k), random(k, n), np.empty((m, n), np.float32)
        times = timed(lambda x=x, w=w, out=out: np.matmul(x, w, out=out))
        report("numpy", f"gemm_{m}x{n}x{k}", times, flop=2 * m * n * k, version=np.__version__)


def memory():
    functions = {
        "add": lambda out, a, b: np.add(a, b, out=out),
        "sum": lambda out, a: a.sum(),
        "transpose": lambda out, a: np.copyto(out, a.T),
    }
    for name, (shapes, num_bytes) in MEMORY.items():
        function = functions.get(name.split("_")[0])
        if function is None:
            continue
        arrays, out = [random(*shape) for shape in shapes], np.empty(shapes[0], np.float32)
        times = timed(lambda f=function, out=out, arrays=arrays: f(out, *arrays))
        report("numpy", f"memory_{name}", times, num_bytes=num_bytes, version=np.__version__)


def call():
    a, b = random(16), random(16)
    report("numpy", "call_plain", timed(lambda: a + b), version=np.__version__)


if __name__ == "__main__":
    for case in sys.argv[1:]:
        {"gemm": gemm, "memory": memory, "call": call}[case]()
