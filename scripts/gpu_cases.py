"""Writes cases for tests/gpu/runner.cpp from compiled kernels and networks.

usage: python scripts/gpu_cases.py FOLDER [ARCH]

Each case is compiled for the GPU (NVRTC, no device) and for the CPU, whose results are the expected
ones. What cannot be compiled for a GPU yet is left out and named, with the reason.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import tenon as tn
from tenon import nn, te


def write_case(
    folder: Path,
    plan: bytes,
    inputs: list[np.ndarray[Any, Any]],
    expected: list[np.ndarray[Any, Any]],
    tolerance: tuple[float, float],
) -> None:
    """Write one case; tests/gpu/device_case.h has the format."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plan.bin").write_bytes(plan)
    lines = []
    rows = [("input", "", array) for array in inputs]
    rows += [("result", f" {tolerance[0]} {tolerance[1]}", array) for array in expected]
    for number, (kind, bounds, array) in enumerate(rows):
        name = f"{kind}{number}"
        dims = "".join(f" {dim}" for dim in array.shape)
        lines.append(f"{kind} {name} {array.dtype.name}{bounds}{dims}\n")
        (folder / f"{name}.bin").write_bytes(np.ascontiguousarray(array).tobytes())
    (folder / "case.txt").write_text("".join(lines))


def numbers(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    """Return float32 values of a normal distribution."""
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def exp_of_rows() -> tuple[Any, Any, list[Any]]:
    """Bind one loop to blocks and threads; elementary functions."""
    n = te.symbol("n", min=1)
    x = te.placeholder((n,), "float32", name="X")
    y = te.compute((n,), lambda i: te.exp(x[i]) * te.tanh(x[i]), name="Y")
    f = tn.function([x], [y], "exp_of_rows")
    s = tn.Schedule(f)
    (i,) = s.loops("Y")
    outer, inner = s.split(i, factors=[None, 128])
    s.bind(outer, "blockIdx.x")
    s.bind(inner, "threadIdx.x")
    return f, s, [numbers(100_000)]


def product() -> tuple[Any, Any, list[Any]]:
    """Multiply matrices by blocks of 16 x 16 threads."""
    m, n, k = 96, 80, 200
    a = te.placeholder((m, k), "float32", name="A")
    b = te.placeholder((k, n), "float32", name="B")
    kk = te.reduce_axis(k, name="k")
    c = te.compute((m, n), lambda i, j: te.sum(a[i, kk] * b[kk, j], axis=kk), name="C")
    f = tn.function([a, b], [c], "product")
    s = tn.Schedule(f)
    i, j, r = s.loops("C")
    io, ii = s.split(i, factors=[None, 16])
    jo, ji = s.split(j, factors=[None, 16])
    s.reorder(io, jo, ii, ji, r)
    for loop, axis in ((io, "blockIdx.y"), (jo, "blockIdx.x"), (ii, "threadIdx.y")):
        s.bind(loop, axis)
    s.bind(ji, "threadIdx.x")
    return f, s, [numbers(m, k), numbers(k, n, seed=1)]


def plain(function: Callable[[Any], Any], *shape: int) -> Callable[[], tuple[Any, Any, list[Any]]]:
    """Make a case of a function of one tensor with the default schedule."""

    def case() -> tuple[Any, Any, list[Any]]:
        x = te.placeholder(shape, "float32", name="X")
        f = tn.function([x], [function(x)])
        return f, f, [numbers(*shape)]

    return case


def row_sum(x: Any) -> Any:
    """Sum each row."""
    k = te.reduce_axis(x.shape[1], name="k")
    return te.compute((x.shape[0],), lambda i: te.sum(x[i, k], axis=k), name="Y")


def softmax(x: Any) -> Any:
    """Normalise the exponentials of each row."""
    rows, width = x.shape
    k, r = te.reduce_axis(width, name="k"), te.reduce_axis(width, name="r")
    most = te.compute((rows,), lambda i: te.max(x[i, k], axis=k), name="most")
    e = te.compute((rows, width), lambda i, j: te.exp(x[i, j] - most[i]), name="e")
    total = te.compute((rows,), lambda i: te.sum(e[i, r], axis=r), name="total")
    return te.compute((rows, width), lambda i, j: e[i, j] / total[i], name="Y")


KERNELS: dict[str, Callable[[], tuple[Any, Any, list[Any]]]] = {
    "kernel_exp_of_rows": exp_of_rows,
    "kernel_product": product,
    "kernel_row_sum": plain(row_sum, 300, 1000),
    "kernel_softmax": plain(softmax, 200, 500),
    "kernel_transpose": plain(
        lambda x: te.compute((x.shape[1], x.shape[0]), lambda i, j: x[j, i], name="Y"), 500, 300
    ),
}


def perceptron() -> tuple[Any, list[Any]]:
    """Return two dense layers."""
    layers = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    return layers, [numbers(32, 64)]


def small_cnn() -> tuple[Any, list[Any]]:
    """Return a convolution, pooling and a dense layer."""
    layers = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 13 * 13, 10)
    )
    return layers, [numbers(4, 28, 28, 1)]


NETWORKS: dict[str, Callable[[], tuple[Any, list[Any]]]] = {
    "network_perceptron": perceptron,
    "network_small_cnn": small_cnn,
}


def as_arrays(results: Any) -> list[np.ndarray[Any, Any]]:
    """Return what a call returned as a list of NumPy arrays."""
    return [np.asarray(r) for r in (results if isinstance(results, tuple) else (results,))]


def kernel_case(make: Callable[[], tuple[Any, Any, list[Any]]], arch: str) -> tuple[Any, ...]:
    """Compile a function with its schedule; return plan, inputs and results on the CPU."""
    function, program, inputs = make()
    kernel = tn.build(program, f"cuda -arch={arch}")
    return kernel.plan_bytes(), inputs, as_arrays(tn.build(function)(*inputs))


def network_case(make: Callable[[], tuple[Any, list[Any]]], arch: str) -> tuple[Any, ...]:
    """Compile a network; its plan, inputs and expected results."""
    module, inputs = make()
    expected = as_arrays(tn.compile(module, inputs)(*inputs))
    network = tn.compile(module, inputs, target=f"cuda -arch={arch}")
    return network._compiled.plan_bytes(), inputs, expected


def library_case(make: Callable[[], tuple[Any, list[Any]]], arch: str) -> tuple[Any, ...]:
    """As network_case, with products by cuBLASLt; the runner skips it where that is missing."""
    before = tn.config.libraries
    tn.config.libraries = "always"
    try:
        return network_case(make, arch)
    finally:
        tn.config.libraries = before


def write_networks(folder: Path, arch: str) -> int:
    """Write what gpu_networks.py has; return how many cases that is."""
    from gpu_networks import networks, products

    count = 0
    for case in networks():
        plan, inputs, expected = network_case(case.make, arch)
        write_case(folder / case.name, plan, inputs, expected, (case.rtol, case.atol))
        count += 1
        if case.name in ("op_matmul", "op_linear", "op_batched_matmul"):
            plan, inputs, expected = library_case(case.make, arch)
            name = "library_" + case.name
            write_case(folder / name, plan, inputs, expected, (case.rtol, case.atol))
            count += 1
    for name, plan, inputs, result in products(arch):
        # Sums of up to 256 terms near 1.
        write_case(folder / name, plan, inputs, [result], (1e-4, 1e-3))
        count += 1
    return count


def main(folder: Path, arch: str) -> int:
    """Write all cases that can be compiled."""
    left_out = 0
    for name, make in (KERNELS | NETWORKS).items():
        try:
            case = kernel_case if name in KERNELS else network_case
            plan, inputs, expected = case(make, arch)
        except tn.UserError as error:
            left_out += 1
            print(f"left out {name}: {str(error).splitlines()[0]}")
            continue
        write_case(folder / name, plan, inputs, expected, (1e-5, 1e-5))
    written = len(KERNELS | NETWORKS) - left_out + write_networks(folder, arch)
    print(f"{written} cases of compiled programs, {left_out} left out")
    return 0


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) == 3 else "sm_90a"))
