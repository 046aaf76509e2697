"""Timing, interleaved processes, and records that say on what they were taken."""

import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"
ROOT = RESULTS.parent.parent


def pin(num_threads: int) -> None:
    """Give this process that many cores; call it before the libraries are imported."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(num_threads)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:num_threads])


def median_seconds(
    function: Callable[[], Any], budget_s: float = 1.0, warm_up_s: float = 0.25, min_runs: int = 5
) -> float:
    """Return the median duration of a call, after a warm-up."""
    start = time.perf_counter()
    while time.perf_counter() - start < warm_up_s:
        function()
    durations = []
    start = time.perf_counter()
    while time.perf_counter() - start < budget_s or len(durations) < min_runs:
        begin = time.perf_counter()
        function()
        durations.append(time.perf_counter() - begin)
    return statistics.median(durations)


def median_short_seconds(
    function: Callable[[], Any], calls: int = 20_000, repeats: int = 9
) -> float:
    """Return the median duration of a call that is too short to be timed alone."""
    loop = range(calls)
    durations = []
    for _ in range(repeats):
        begin = time.perf_counter()
        for _ in loop:
            function()
        durations.append((time.perf_counter() - begin) / calls)
    return statistics.median(durations)


def run_child(script: str, *arguments: str, env: dict[str, str] | None = None) -> Any:
    """Run ``script`` of this folder in a fresh process; return the JSON of its last line."""
    command = [sys.executable, str(Path(__file__).with_name(script)), *arguments]
    done = subprocess.run(
        command, env=os.environ | (env or {}), stdout=subprocess.PIPE, check=True, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def status_kib(key: str) -> int:
    """Return a value of /proc/self/status, such as VmHWM or VmRSS, in KiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    raise KeyError(key)


def machine() -> dict[str, Any]:
    """Return what a reader needs to judge a figure: processor, cores, load, versions."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    versions = {"python": platform.python_version()}
    for package in ("tenon", "numpy", "onnxruntime", "onnx", "tokenizers"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed as a package"
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "load_average": os.getloadavg()[0],
        "system": " ".join([platform.system(), platform.machine(), *platform.libc_ver()]),
        "versions": versions,
    }


def commit() -> str:
    """Return the commit that was measured, with a mark if files differ from it."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True
    )
    return done.stdout.strip() or "unknown"


def write_result(name: str, figures: Any) -> None:
    """Write ``results/<name>.json`` with the machine and the command beside the figures."""
    RESULTS.mkdir(exist_ok=True)
    command = "python " + " ".join([os.path.relpath(sys.argv[0], ROOT), *sys.argv[1:]])
    record = {
        "benchmark": name,
        "command": command,
        "commit": commit(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": machine(),
        "figures": figures,
    }
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(record, indent=1) + "\n")
    print(f"written to {os.path.relpath(path, ROOT)}")


def verdict(name: str, value: float, limit: float, unit: str) -> str:
    """Return a line that says whether a figure is within its bar."""
    word = "ok" if value <= limit else "ABOVE THE BAR"
    return f"{name}: {value:.4g} {unit}, bar {limit:.4g} {unit}: {word}"
