"""Writes the cases of benchmarks/gpu_bench.cpp: plans for a GPU, compiled without one.

usage: python scripts/gpu_bench_cases.py FOLDER [ARCH]
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

import tenon as tn
from tenon import te
from tenon.nn import functional as f

SIZE = 4096
NUM_SMALL = 64


def product(m: int, n: int, k: int, dtype: str) -> Any:
    """Return A @ B with float32 sums."""
    a, b = te.placeholder((m, k), dtype, name="A"), te.placeholder((k, n), dtype, name="B")
    kk = te.reduce_axis(k, name="k")

    def element(i: Any, j: Any) -> Any:
        return te.sum(te.cast(a[i, kk], "float32") * te.cast(b[kk, j], "float32"), axis=kk)

    return tn.function([a, b], [te.compute((m, n), element, name="C")], name="product")


def write(folder: Path, plan: bytes, lines: list[str]) -> None:
    """Write one case."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plan.bin").write_bytes(plan)
    (folder / "bench.txt").write_text("".join(line + "\n" for line in lines))


def write_product(folder: Path, target: str, dtype: str, size: int) -> None:
    """Write a square product."""
    plan = tn.build(product(size, size, size, dtype), target).plan_bytes()
    square = f"{size} {size}"
    write(
        folder / f"product_{dtype}_{size}",
        plan,
        [
            f"input {dtype} {square}",
            f"input {dtype} {square}",
            f"result float32 {square}",
            f"flops {2 * size**3}",
            f"product {size} {size} {size}",
        ],
    )


def write_rows(folder: Path, target: str, name: str, function: Any, size: int) -> None:
    """Write a function of rows that reads and writes a square once."""
    network = tn.compile(function, [tn.TensorSpec((size, size))], target=target)
    square = f"float32 {size} {size}"
    lines = [f"input {square}", f"result {square}", f"bytes {8 * size * size}"]
    write(folder / f"{name}_{size}", network._compiled.plan_bytes(), lines)


def write_launches(folder: Path, target: str, count: int) -> None:
    """Write a chain of kernels that do next to nothing: what is timed is their launches."""

    def chain(x: Any) -> Any:
        for _ in range(count):
            x = f.softmax(x)
        return x

    network = tn.compile(chain, [tn.TensorSpec((2, 3))], target=target)
    per_kernel = [line.count("launch ") for line in network.report().splitlines()]
    lines = ["input float32 2 3", "result float32 2 3", f"launches {sum(per_kernel)}"]
    write(folder / f"launches_{count}", network._compiled.plan_bytes(), lines)


def main(folder: Path, arch: str, size: int = SIZE) -> int:
    """Write all cases."""
    target = f"cuda -arch={arch}"
    for dtype in ("float32", "float16", "bfloat16"):
        write_product(folder, target, dtype, size)
    gain, bias = np.ones(size, "float32"), np.zeros(size, "float32")
    write_rows(folder, target, "softmax", f.softmax, size)
    write_rows(folder, target, "layer_norm", lambda x: f.layer_norm(x, gain, bias), size)
    write_launches(folder, target, NUM_SMALL)
    return 0


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) == 3 else "sm_90a"))
