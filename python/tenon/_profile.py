"""Where the time of a network goes: `Network.profile`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from tenon import _core
from tenon._peaks import Peaks, measure_peaks
from tenon._timing import Timing, summarize

__all__ = [
    "KernelProfile",
    "Latency",
    "Profile",
    "latency_of",
    "profile_network",
    "time_network",
]

_MAX_RUNS = 10_000
_MIN_RUNS = 5


class Latency(NamedTuple):
    """Seconds of whole calls, without clocks in them."""

    median: float
    minimum: float
    p90: float
    """Nine of ten calls take at most as long."""


class KernelProfile(NamedTuple):
    """One kernel call of a network."""

    name: str
    operators: tuple[str, ...]
    result: str
    """Type of its result."""
    calls: int
    """In one run; 0 in a branch that was not taken, more than 1 in a loop."""
    seconds: float
    """Of all its calls in one run: the median over the runs."""
    operations: float
    """Arithmetic of all its calls in one run; a fused multiply-add counts two, exp and the like
    one."""
    bytes: float
    """What its calls read and write at least."""
    roof: float | None
    """The larger one of its fractions of the measured peaks; above 1 where data come from
    caches."""

    @property
    def flops(self) -> float:
        """Operations per second."""
        return self.operations / self.seconds if self.seconds else 0.0

    @property
    def bytes_per_second(self) -> float:
        """Bytes per second."""
        return self.bytes / self.seconds if self.seconds else 0.0


class Profile:
    """Times of the kernels of a network for inputs of given shapes; `print` shows a table."""

    kernels: list[KernelProfile]
    """In the order of the calls."""
    latency: Latency
    """Of whole calls, measured apart without clocks between the kernels."""
    num_runs: int
    """How many runs the times of the kernels are medians of."""
    threads: int
    """Threads that parallel loops used."""
    peaks: Peaks | None
    """What this machine reaches with as many threads."""
    shapes: list[list[int]]
    """Of the inputs."""

    def __init__(
        self,
        name: str,
        kernels: list[KernelProfile],
        latency: Latency,
        num_runs: int,
        threads: int,
        peaks: Peaks | None,
        shapes: list[list[int]],
    ) -> None:
        self.name = name
        self.kernels = kernels
        self.latency = latency
        self.num_runs = num_runs
        self.threads = threads
        self.peaks = peaks
        self.shapes = shapes

    @property
    def total(self) -> KernelProfile:
        """All kernels as one; the rest of the latency is what the network does between them."""
        seconds = sum(k.seconds for k in self.kernels)
        operations = sum(k.operations for k in self.kernels)
        moved = sum(k.bytes for k in self.kernels)
        calls = sum(k.calls for k in self.kernels)
        roof = roof_fraction(operations, moved, seconds, self.peaks)
        return KernelProfile("total", (), "", calls, seconds, operations, moved, roof)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""

        def row(kernel: KernelProfile) -> dict[str, Any]:
            rates = {"flops": kernel.flops, "bytes_per_second": kernel.bytes_per_second}
            return kernel._asdict() | rates

        return {
            "network": self.name,
            "threads": self.threads,
            "num_runs": self.num_runs,
            "latency": self.latency._asdict(),
            "peaks": None if self.peaks is None else self.peaks._asdict(),
            "kernels": [row(kernel) for kernel in self.kernels],
            "total": row(self.total),
        }

    def __str__(self) -> str:
        head = ("#", "kernel", "result", "calls", "time", "share", "GF/s", "GB/s", "roof")
        rows = [head]
        total = self.total
        for i, kernel in enumerate([*self.kernels, total]):
            share = kernel.seconds / total.seconds if total.seconds else 0.0
            rows.append(
                (
                    str(i) if i < len(self.kernels) else "",
                    kernel.name[:36],
                    kernel.result[:34],
                    str(kernel.calls),
                    f"{kernel.seconds * 1e6:.1f} us",
                    f"{share * 100:.1f} %",
                    f"{kernel.flops * 1e-9:.1f}",
                    f"{kernel.bytes_per_second * 1e-9:.1f}",
                    "" if kernel.roof is None else f"{kernel.roof * 100:.0f} %",
                )
            )
        widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
        lines = [
            "  ".join(
                cell.ljust(width) if 0 < i < 3 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        ms = [f"{seconds * 1e3:.3f} ms" for seconds in self.latency]
        lines.append(
            f"{self.name}: latency {ms[0]} median, {ms[1]} minimum, {ms[2]} p90;"
            f" {self.threads} thread{'s' * (self.threads > 1)}, {self.num_runs} runs"
        )
        if self.peaks is not None:
            lines.append(
                f"roof: {self.peaks.flops * 1e-9:.1f} GF/s float32,"
                f" {self.peaks.bytes * 1e-9:.1f} GB/s from memory, as measured here"
            )
        return "\n".join(lines)


def roof_fraction(
    operations: float, moved: float, seconds: float, peaks: Peaks | None
) -> float | None:
    """Return the larger fraction of a peak; None without peaks or time."""
    if peaks is None or not seconds:
        return None
    return max(operations / seconds / peaks.flops, moved / seconds / peaks.bytes)


def profile_network(
    core: _core.CompiledNetwork, arrays: Sequence[Any], seconds: float, roof: bool
) -> Profile:
    """Measure; `Network.profile` says what."""
    plain = _run(core, arrays, seconds / 2, with_steps=False)
    timed = _run(core, arrays, seconds / 2, with_steps=True)
    threads = _core.num_threads()
    peaks = measure_peaks(threads) if roof else None
    shapes = [list(_core.asarray(array).shape) for array in arrays]
    kernels = []
    for i, (call, cost) in enumerate(zip(core.call_details, core.costs(shapes), strict=True)):
        calls = timed[0][1][i][0]
        taken = statistics.median(run[1][i][1] for run in timed) * 1e-9
        operations, moved = calls * cost[0], calls * (cost[1] + cost[2])
        kernels.append(
            KernelProfile(
                call["name"],
                tuple(call["operators"]),
                call["result"],
                calls,
                taken,
                operations,
                moved,
                roof_fraction(operations, moved, taken, peaks),
            )
        )
    latency = latency_of([run[0] * 1e-9 for run in plain])
    return Profile(core.name, kernels, latency, len(timed), threads, peaks, shapes)


def latency_of(durations: Sequence[float]) -> Latency:
    """Return the latency of calls that took so many seconds."""
    ordered = sorted(durations)
    p90 = ordered[min(len(ordered) - 1, (9 * len(ordered)) // 10)]
    return Latency(statistics.median(ordered), ordered[0], p90)


def time_network(core: _core.CompiledNetwork, arrays: Sequence[Any], seconds: float) -> Timing:
    """Measure whole calls."""
    return summarize([run[0] * 1e-9 for run in _run(core, arrays, seconds, with_steps=False)])


def _run(
    core: _core.CompiledNetwork, arrays: Sequence[Any], seconds: float, with_steps: bool
) -> list[tuple[int, list[tuple[int, int]]]]:
    """Run for about that long: at least five times after one that does not count."""
    core.profile(*arrays, num_runs=1, with_steps=with_steps)
    start = time.perf_counter()
    runs: list[tuple[int, list[tuple[int, int]]]] = []
    # In parts, so that Ctrl-C between them is heard.
    part = 1
    while len(runs) < _MIN_RUNS or time.perf_counter() - start < seconds:
        runs += core.profile(*arrays, num_runs=part, with_steps=with_steps)
        if len(runs) >= _MAX_RUNS:
            break
        taken = (time.perf_counter() - start) / len(runs)
        part = max(1, min(100, int(0.1 * seconds / max(taken, 1e-7))))
    return runs
