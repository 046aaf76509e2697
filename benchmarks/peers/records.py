"""The cases, the timing and the result records that every peer's script shares.

Import this module before the peer: it pins the process. Environment: PEERS_OUT, the folder of
results.jsonl; PEERS_THREADS, 1 or 2.
"""

import json
import os
import resource
import statistics
import time
from pathlib import Path

THREADS = int(os.environ.get("PEERS_THREADS", "2"))
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = str(THREADS)
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])

GEMMS = [  # M, N, K
    (512, 512, 512),
    (1024, 1024, 1024),
    (2048, 2048, 2048),
    (128, 768, 768),
    (128, 3072, 768),
    (128, 768, 3072),
    (49, 512, 4608),
    (16, 384, 384),
    (16, 1536, 384),
    (1, 4096, 4096),
]
_MEBI = 1 << 20
MEMORY = {  # input shapes, bytes moved (reads and writes, ideal)
    "softmax_1536x128": ([(1536, 128)], 2 * 4 * 1536 * 128),
    "softmax_4096x4096": ([(4096, 4096)], 2 * 4 * 16 * _MEBI),
    "layernorm_4096x768": ([(4096, 768)], 2 * 4 * 4096 * 768),
    "gelu_4M": ([(4 * _MEBI,)], 2 * 4 * 4 * _MEBI),
    "add_16M": ([(16 * _MEBI,), (16 * _MEBI,)], 3 * 4 * 16 * _MEBI),
    "sum_16M": ([(16 * _MEBI,)], 4 * 16 * _MEBI),
    "transpose_4096": ([(4096, 4096)], 2 * 4 * 16 * _MEBI),
}


def timed(function, budget_s=1.0, min_runs=5, max_runs=200_000, warm_up_s=0.25):
    """Return median, least and 90th percentile in seconds, and the number of runs.

    A call of more than two seconds is warmed up once and run twice.
    """
    start = time.perf_counter()
    function()
    if time.perf_counter() - start > 2:
        min_runs = 2
    else:
        while time.perf_counter() - start < warm_up_s:
            function()
    durations = []
    start = time.perf_counter()
    while len(durations) < min_runs or (
        time.perf_counter() - start < budget_s and len(durations) < max_runs
    ):
        begin = time.perf_counter()
        function()
        durations.append(time.perf_counter() - begin)
    durations.sort()
    p90 = durations[int(len(durations) * 0.9)]
    return statistics.median(durations), durations[0], p90, len(durations)


def report(peer, case, times=None, flop=None, num_bytes=None, **extra):
    """Append one record; ``times`` is what `timed` returned, or None for a failure."""
    record = {"peer": peer, "case": case, "threads": THREADS}
    if times is not None:
        median, least, p90, runs = times
        record |= {"median_ms": median * 1e3, "min_ms": least * 1e3, "p90_ms": p90 * 1e3}
        record["runs"] = runs
        if flop:
            record["gflops"] = flop / median / 1e9
        if num_bytes:
            record["gbs"] = num_bytes / median / 1e9
    record["rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    record |= extra
    with (Path(os.environ.get("PEERS_OUT", ".")) / "results.jsonl").open("a") as file:
        file.write(json.dumps(record) + "\n")
    print(
        {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in record.items()}, flush=True
    )


def failure(peer, case, error, **extra):
    """Append the record of a case that a peer cannot run."""
    report(peer, case, error=f"{type(error).__name__}: {str(error)[:500]}", **extra)
