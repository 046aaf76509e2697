"""Matrix products with each operand stored as written or transposed, against the FMA peak.

usage: python benchmarks/products.py [--threads 1]

The shapes are those of an MLP 784-512-512-10 at batch 128, forward and backward, of batches of
small products, and of columns that fill no whole tile. Peak and kernel alternate in one process;
each share is the best time of many against the highest peak.
"""

import argparse
import time

import measurement
from peak import peak_gflops

SHAPES = [  # m, n, k, batch
    (512, 512, 512, None),
    (128, 512, 784, None),
    (784, 512, 128, None),
    (128, 784, 512, None),
    (128, 10, 512, None),
    (512, 10, 128, None),
    (128, 512, 10, None),
    (128, 128, 64, 16),
    (128, 20, 512, None),
    (128, 48, 512, None),
    (128, 100, 512, None),
]
ROUNDS = 5


def product(m, n, k, batch, a_transposed, b_transposed):
    """Return the function of A and B, each with a leading batch dimension if there is one."""
    import tenon as tn
    from tenon import te

    lead = () if batch is None else (batch,)
    a = te.placeholder((*lead, *((k, m) if a_transposed else (m, k))), "float32", name="A")
    b = te.placeholder((*lead, *((n, k) if b_transposed else (k, n))), "float32", name="B")
    kk = te.reduce_axis(k, name="k")

    def element(*index):
        *outer, i, j = index
        left = (*outer, kk, i) if a_transposed else (*outer, i, kk)
        right = (*outer, j, kk) if b_transposed else (*outer, kk, j)
        return te.sum(a[left] * b[right], axis=kk)

    return tn.function([a, b], [te.compute((*lead, m, n), element, name="C")], name="product")


def share(shape, a_transposed, b_transposed, threads):
    """Return the share of the peak that the default schedule reaches."""
    import numpy as np

    import tenon as tn

    m, n, k, batch = shape
    kernel = tn.build(product(*shape, a_transposed, b_transposed))
    lead = () if batch is None else (batch,)
    rng = np.random.default_rng(1)
    a = rng.standard_normal((*lead, *((k, m) if a_transposed else (m, k))), dtype=np.float32)
    b = rng.standard_normal((*lead, *((n, k) if b_transposed else (k, n))), dtype=np.float32)
    out = np.empty((*lead, m, n), np.float32)
    best, peak = float("inf"), 0.0
    for _ in range(ROUNDS):
        peak = max(peak, peak_gflops(threads, 0.03))
        end = time.perf_counter() + 0.03
        while time.perf_counter() < end:
            begin = time.perf_counter()
            kernel(a, b, out=out)
            best = min(best, time.perf_counter() - begin)
    left = a.swapaxes(-1, -2) if a_transposed else a
    right = b.swapaxes(-1, -2) if b_transposed else b
    np.testing.assert_allclose(out, left.astype(np.float64) @ right, atol=k * 2e-6)
    return 2e-9 * m * n * k * (batch or 1) / best / peak


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    measurement.pin(arguments.threads)
    import tenon as tn

    tn.config.threads = arguments.threads
    sides = {"A B": (False, False), "A B'": (False, True), "A' B": (True, False)}
    sides["A' B'"] = (True, True)
    figures = {}
    for shape in SHAPES:
        name = " x ".join(map(str, shape[:3])) + (f", batch {shape[3]}" if shape[3] else "")
        figures[name] = {s: share(shape, *t, arguments.threads) for s, t in sides.items()}
        print(f"{name:26}", "  ".join(f"{s} {x:6.1%}" for s, x in figures[name].items()))
    measurement.write_result("products", {"threads": arguments.threads, "share": figures})


if __name__ == "__main__":
    main()
