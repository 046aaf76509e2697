"""The measured float32 FMA peak of this machine, from the library that peak.cpp is built into."""

import ctypes
from pathlib import Path


def peak_gflops(num_threads: int = 1, seconds: float = 0.3) -> float:
    """Return GFLOP/s that ``num_threads`` threads reach together with nothing but FMAs."""
    build = Path(__file__).resolve().parent.parent / "build"
    found = sorted(build.glob("*/benchmarks/libtenon_peak.so"), key=lambda p: p.stat().st_mtime)
    if not found:
        raise FileNotFoundError("no libtenon_peak.so under build/: build the target tenon_peak")
    library = ctypes.CDLL(str(found[-1]))
    library.tenon_peak_gflops.argtypes = [ctypes.c_int, ctypes.c_double]
    library.tenon_peak_gflops.restype = ctypes.c_double
    return library.tenon_peak_gflops(num_threads, seconds)


if __name__ == "__main__":
    for threads in (1, 2):
        print(f"{threads} thread{'s' * (threads > 1)}: {peak_gflops(threads, 1.0):.1f} GF/s")
