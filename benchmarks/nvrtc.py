"""Time that NVRTC takes for ordinary kernels, and that a hit of the cubin cache takes.

usage: python benchmarks/nvrtc.py [--repeats 5]

Compiles the kernels of nvrtc_kernels.py, one a time, in one process; hits are taken in another,
which never opens NVRTC. The entries are in the system's file cache.
"""

import argparse
import json
import statistics
import tempfile
import time

import measurement
from nvrtc_kernels import kernels

ARCHS = ("sm_80", "sm_90a")
BARS = {"compile_ms": 60.0, "hit_ms": 1.0}


def compile_ms(arch: str, repeats: int) -> dict[str, float]:
    """Return the median time of NVRTC for each text; the cache has them all afterwards."""
    from tenon import _core

    _core.compile_cuda(kernels()["axpy"], arch, use_cache=False)  # NVRTC is opened
    medians = {}
    for name, source in kernels().items():
        runs = [_core.compile_cuda(source, arch, use_cache=False) for _ in range(repeats)]
        medians[name] = 1e3 * statistics.median(run.seconds for run in runs)
        _core.compile_cuda(source, arch)
    return medians


def hit_ms(arch: str) -> dict[str, float]:
    """Return the median time of a hit for each text."""
    from tenon import _core

    medians = {}
    for name, source in kernels().items():
        durations = []
        for _ in range(50):
            start = time.perf_counter()
            cubin = _core.compile_cuda(source, arch)
            durations.append(time.perf_counter() - start)
            assert cubin.is_from_cache
        medians[name] = 1e3 * statistics.median(durations)
    return medians


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--child", choices=ARCHS, help="measure hits in this process")
    arguments = parser.parse_args()
    import tenon as tn

    if arguments.child:
        print(json.dumps(hit_ms(arguments.child)))
        return
    record = {}
    with tempfile.TemporaryDirectory() as cache:
        tn.config.cache_dir = cache
        for arch in ARCHS:
            figures = {"compile_ms": compile_ms(arch, arguments.repeats)}
            figures["hit_ms"] = measurement.run_child(
                "nvrtc.py", "--child", arch, env={"TENON_CACHE_DIR": cache}
            )
            for name in kernels():
                compiled, hit = figures["compile_ms"][name], figures["hit_ms"][name]
                print(f"{arch:7} {name:13} {compiled:7.1f} ms  hit {hit:6.3f} ms")
            for key, bar in BARS.items():
                median = statistics.median(figures[key].values())
                print(measurement.verdict(f"{arch} {key}, median", median, bar, "ms"))
            record[arch] = figures
    measurement.write_result("nvrtc", record)


if __name__ == "__main__":
    main()
