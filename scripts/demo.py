"""Show a kernel from its formula to the machine's peak, and a network that answers a question.

usage: python scripts/demo.py ["a question"]
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "scripts")]

import numpy as np
from demo_network import QUESTION, show_network
from hand_matmul import hand_schedule, matmul_function
from peak import peak_gflops

import tenon as tn

SIZE = 512


def gflops(run: Callable[[], object], budget_s: float = 0.4) -> float:
    """Return the rate of the median call, after one call to warm up."""
    run()
    durations = []
    end = time.perf_counter() + budget_s
    while time.perf_counter() < end or len(durations) < 3:
        start = time.perf_counter()
        run()
        durations.append(time.perf_counter() - start)
    return 2e-9 * SIZE**3 / statistics.median(durations)


def naive_rate(function: tn.Function, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> float:
    """Return the rate of the loops as written: a schedule without steps."""
    kernel = tn.build(tn.Schedule(function))
    return gflops(lambda: kernel(a, b, out=c), budget_s=0.1)


def show_kernel() -> None:
    """Print the loops before and after the schedule, and what they reach on one thread."""
    function = matmul_function(SIZE, SIZE, SIZE)
    schedule = hand_schedule(function)
    print("A matrix product as written:\n")
    print(function)
    print("The same after the fourteen steps of tutorials/01_first_kernel.py:\n")
    print(schedule)

    rng = np.random.default_rng(1)
    a, b = (rng.standard_normal((SIZE, SIZE), dtype=np.float32) for _ in range(2))
    c = np.empty((SIZE, SIZE), np.float32)
    tn.config.threads = 1
    peak = peak_gflops(1)
    hand, default = tn.build(schedule), tn.build(function)
    rows = [
        ("the loops as written", naive_rate(function, a, b, c)),
        ("your schedule", gflops(lambda: hand(a, b, out=c))),
        ("the default schedule", gflops(lambda: default(a, b, out=c))),
    ]
    tn.config.threads = 0
    print(f"float32 {SIZE} x {SIZE} x {SIZE}, one thread    GF/s   of the FMA peak ({peak:.0f})")
    for name, rate in rows:
        print(f"  {name:<34}{rate:7.1f}   {rate / peak:6.1%}")
    print(f"  {'NumPy (its own threads)':<34}{gflops(lambda: np.matmul(a, b, out=c)):7.1f}\n")


if __name__ == "__main__":
    show_kernel()
    show_network(sys.argv[1] if len(sys.argv) > 1 else QUESTION)
