"""float32 matmul 512x512x512 against the FMA peak that is measured in the same process.

usage: python benchmarks/matmul.py [--size 512] [--processes 5]

Hand schedule (tutorial 01) on one thread, default schedule on one and two threads, NumPy beside
them. Kernel and peak alternate within a process; the printed share is the median of the processes.
"""

import argparse
import json
import statistics

import measurement
from peak import peak_gflops

BARS = {"hand_1": 0.88, "default_1": 0.90, "default_2": 0.85}  # share of the peak
ROUNDS = 5


def measure(size: int, case: str) -> dict[str, float]:
    """Return the rate and the peak, both in GF/s, of one case: name_threads."""
    kind, threads = case.rsplit("_", 1)
    measurement.pin(int(threads))
    import numpy as np

    rng = np.random.default_rng(1)
    a, b = (rng.standard_normal((size, size), dtype=np.float32) for _ in range(2))
    c = np.empty((size, size), np.float32)
    run = numpy_run(a, b, c) if kind == "numpy" else tenon_run(kind, int(threads), a, b, c)
    seconds, peak = [], []
    for _ in range(ROUNDS):
        peak.append(peak_gflops(int(threads), 0.1))
        seconds.append(measurement.median_seconds(run, budget_s=0.3, warm_up_s=0.05))
    np.testing.assert_allclose(c, a.astype(np.float64) @ b, atol=size * 1e-6)
    rate = 2e-9 * size**3 / statistics.median(seconds)
    return {"gflops": rate, "peak_gflops": max(peak), "share": rate / max(peak)}


def numpy_run(a, b, c):
    import numpy as np

    return lambda: np.matmul(a, b, out=c)


def tenon_run(kind, threads, a, b, c):
    from hand_matmul import hand_schedule, matmul_function

    import tenon as tn

    tn.config.threads = threads
    function = matmul_function(*c.shape, a.shape[1])
    kernel = tn.build(hand_schedule(function, threads > 1) if kind == "hand" else function)
    return lambda: kernel(a, b, out=c)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--processes", type=int, default=5)
    parser.add_argument("--case", help="measure this case in this process")
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(measure(arguments.size, arguments.case)))
        return
    cases = [*BARS, "hand_2", "numpy_1", "numpy_2"]
    runs = {case: [] for case in cases}
    for _ in range(arguments.processes):
        for case in cases:
            size = str(arguments.size)
            runs[case].append(measurement.run_child("matmul.py", "--case", case, "--size", size))
    for case, figures in runs.items():
        share = statistics.median(run["share"] for run in figures)
        rate = statistics.median(run["gflops"] for run in figures)
        bar = BARS.get(case)
        word = (
            "" if bar is None else f", bar {bar:.0%}: {'ok' if share >= bar else 'BELOW THE BAR'}"
        )
        print(f"{case:10} {rate:6.1f} GF/s, {share:6.1%} of the peak{word}")
    measurement.write_result("matmul", {"size": arguments.size, "runs": runs})


if __name__ == "__main__":
    main()
