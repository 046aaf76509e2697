"""Backward schedules mirrored from a hand schedule against the default backward, in one process.

usage: python benchmarks/mirror.py [--threads 1] [--processes 5]

A matmul and a 3x3 convolution are scheduled by hand with a tile unlike the default's (12 rows by
32 columns); `tn.mirror_schedule` gives their adjoints that tile. Figures are medians of processes,
which time both sides in turn.
"""

import argparse
import json
import statistics
from typing import Any

import measurement

LIMIT = 0.9
ROWS, COLUMNS = 12, 32


def matmul(te: Any) -> tuple[list[Any], Any, str, str]:
    size = 512
    a = te.placeholder((size, size), "float32", name="A")
    b = te.placeholder((size, size), "float32", name="B")
    k = te.reduce_axis(size, "k")
    c = te.compute((size, size), lambda i, j: te.sum(a[i, k] * b[k, j], axis=k), name="C")
    return [a, b], c, "i", "j"


def convolution(te: Any) -> tuple[list[Any], Any, str, str]:
    size, channels = 28, 128
    x = te.placeholder((8, size, size, channels), "float32", name="X")
    f = te.placeholder((3, 3, channels, channels), "float32", name="F")
    r, s, c = te.reduce_axis(3, "r"), te.reduce_axis(3, "s"), te.reduce_axis(channels, "c")

    def element(n: Any, h: Any, w: Any, o: Any) -> Any:
        y, z = h + r - 1, w + s - 1
        inside = te.all(y >= 0, y < size, z >= 0, z < size)
        return te.sum(x[n, y, z, c] * f[r, s, c, o], axis=[r, s, c], where=inside)

    return [x, f], te.compute((8, size, size, channels), element, name="Y"), "w", "o"


def tile(schedule: Any, block: str, row: str, column: str) -> None:
    loops = {str(loop): loop for loop in schedule.loops(block)}
    reductions = [loops[n] for n in "rskc" if n in loops and n not in (row, column)]
    batch = [loops[n] for n in "nh" if n in loops]
    row_o, row_i = schedule.split(loops[row], [None, ROWS], tail="balance")
    column_o, column_i = schedule.split(loops[column], [None, COLUMNS], tail="partition")
    schedule.reorder(*batch, row_o, column_o, *reductions, row_i, column_i)
    copy = schedule.cache_write(block, "register")
    schedule.reverse_compute_at(copy, column_o)
    schedule.vectorize(column_i)
    schedule.unroll(row_i)
    *_, last = schedule.loops(copy)
    schedule.vectorize(last)
    schedule.decompose_reduction(block, reductions[0])
    schedule.parallel((batch or [row_o])[0])


def child(threads: int) -> None:
    measurement.pin(threads)
    import numpy as np

    import tenon as tn
    from tenon import te

    tn.config.threads = threads
    rng = np.random.default_rng(0)
    seconds: dict[str, dict[str, float]] = {}
    for name, make in (("matmul", matmul), ("convolution", convolution)):
        inputs, output, row, column = make(te)
        forward = tn.Schedule(tn.function(inputs, [output], name=name))
        tile(forward, output.name, row, column)
        g = te.placeholder(output.shape, "float32", name="G")
        backward = tn.function([*inputs, g], te.vjp(output, inputs, g), name="backward")
        schedule, report = tn.mirror_schedule(forward, backward)
        assert report.count(f"mirrors {output.name}") >= 2, report
        arrays = [rng.normal(size=t.shape).astype("float32") for t in (*inputs, g)]
        sides = {"mirrored": tn.build(schedule), "default": tn.build(backward)}
        runs: dict[str, list[float]] = {side: [] for side in sides}
        for _ in range(5):
            for side, kernel in sides.items():
                run = measurement.median_seconds(lambda k=kernel, a=arrays: k(*a), 0.2, 0.05)
                runs[side].append(run)
        seconds[name] = {side: statistics.median(values) for side, values in runs.items()}
    print(json.dumps(seconds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--processes", type=int, default=5)
    parser.add_argument("--child", action="store_true")
    options = parser.parse_args()
    if options.child:
        child(options.threads)
        return
    arguments = ["--child", "--threads", str(options.threads)]
    found = [measurement.run_child("mirror.py", *arguments) for _ in range(options.processes)]
    figures: dict[str, Any] = {"threads": options.threads, "processes": options.processes}
    for name in ("matmul", "convolution"):
        sides = {s: statistics.median(f[name][s] for f in found) for s in ("mirrored", "default")}
        speed = sides["default"] / sides["mirrored"]
        figures[name] = {**sides, "speed": speed}
        print(
            f"{name}: mirrored {sides['mirrored'] * 1e3:.3f} ms, default "
            f"{sides['default'] * 1e3:.3f} ms, speed {speed:.3f} x, bar {LIMIT} x: "
            f"{'ok' if speed >= LIMIT else 'BELOW THE BAR'}"
        )
    measurement.write_result("mirror", figures)


if __name__ == "__main__":
    main()
