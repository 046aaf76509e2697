"""What this machine reaches at most: rates of generated kernels that do nothing but one thing."""

from __future__ import annotations

import functools
import time
from typing import Any, NamedTuple

import numpy as np

from tenon import _core, te
from tenon._build import build, function
from tenon._config import config

__all__ = ["Peaks", "measure_peaks"]

# Independent sums: enough for two pipes of 4 to 5 cycles, and they fit 16 registers.
_NUM_CHAINS = 12
_STEPS = 1 << 14
_BYTES_AT_LEAST = 64 << 20
_BYTES_AT_MOST = 256 << 20


class Peaks(NamedTuple):
    """Measured rates of a number of threads."""

    threads: int
    flops: float
    """float32 operations per second, a fused multiply-add counting two."""
    bytes: float
    """Bytes per second read from memory."""


@functools.lru_cache(maxsize=8)
def measure_peaks(threads: int | None = None, seconds: float = 0.1) -> Peaks:
    """Measure both rates on `threads` threads, `config.threads` by default.

    Takes about twice `seconds`, and compiles two kernels the first time. The best of several runs
    counts: other work on the machine only slows down. The result is kept for the process.
    """
    before = config.threads
    count = threads or before
    config.threads = count
    try:
        return Peaks(count, _flops(count, seconds), _bandwidth(seconds))
    finally:
        config.threads = before


def _flops(threads: int, seconds: float) -> float:
    lanes = _core.Target("cpu").vector_lanes("float32")
    width = _NUM_CHAINS * lanes
    # Rows are iterations of the parallel loop: several for each thread, so that all are busy.
    rows = 8 * threads
    kernel = _fma_kernel(rows, width, lanes)
    x = np.full((1,), 0.5, "float32")
    y = np.linspace(0.1, 0.9, width, dtype="float32")
    out = np.empty((rows, width), "float32")
    return 2.0 * rows * width * _STEPS / _best(lambda: kernel(x, y, out=out), seconds)


def _fma_kernel(rows: int, width: int, lanes: int) -> Any:
    """Build sums whose terms stay in registers: `_STEPS` times x * y[j] for each j."""
    x = te.placeholder((1,), "float32", name="x")
    y = te.placeholder((width,), "float32", name="y")
    steps = te.reduce_axis(_STEPS, name="k")
    z = te.compute((rows, width), lambda i, j: te.sum(x[0] * y[j], axis=steps), name="z")
    s = _core.Schedule(function([x, y], [z], name="fma_peak"))
    i, j, k = s.loops("z")
    s.reorder(i, k, j)
    out = s.cache_write("z", scope="register")
    s.reverse_compute_at(out, i)
    jo, ji = s.split(j, factors=[None, lanes])
    s.vectorize(ji)
    s.unroll(jo)
    *_, copied = s.loops(out)
    co, ci = s.split(copied, factors=[None, lanes])
    s.vectorize(ci)
    s.unroll(co)
    s.decompose_reduction("z", k)
    s.parallel(i)
    return build(s)


def _bandwidth(seconds: float) -> float:
    l3_bytes = _core.Target("cpu").cache_bytes[2]
    num_bytes = min(max(_BYTES_AT_LEAST, 4 * l3_bytes), _BYTES_AT_MOST)
    columns = 4096
    rows = num_bytes // (4 * columns)
    a = te.placeholder((rows, columns), "float32", name="a")
    k = te.reduce_axis(columns, name="k")
    kernel = build(function([a], [te.compute((rows,), lambda i: te.sum(a[i, k], axis=k), "s")]))
    values = np.ones((rows, columns), "float32")
    out = np.empty((rows,), "float32")
    return num_bytes / _best(lambda: kernel(values, out=out), seconds)


def _best(call: Any, seconds: float) -> float:
    """Return the shortest duration of a call within `seconds`."""
    call()
    best = float("inf")
    end = time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        call()
        now = time.perf_counter()
        best = min(best, now - start)
        if now > end:
            return best
