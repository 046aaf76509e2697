"""What a call from Python costs, and what the thread pool costs when nothing is called.

usage: python benchmarks/call_overhead.py [--processes 5]

A compiled 16-element add with two NumPy inputs, without and with out=, NumPy beside it; then the
CPU time of one second of idling that begins 1 ms after a call that used two threads.
"""

import argparse
import json
import statistics
import time

import measurement

BARS = {"call_us": 2.0, "call_out_us": 1.2, "idle_ms": 10.0}


def measure() -> dict[str, float]:
    measurement.pin(2)
    import numpy as np

    import tenon as tn
    from tenon import te

    def add_kernel(size):
        x, y = (te.placeholder((size,), "float32", name=name) for name in "xy")
        z = te.compute((size,), lambda i: x[i] + y[i], name="z")
        return tn.build(tn.function([x, y], [z], name=f"add_{size}"))

    add = add_kernel(16)
    a, b, out = (np.arange(16, dtype=np.float32) for _ in range(3))
    np.testing.assert_array_equal(np.asarray(add(a, b)), a + b)
    figures = {
        "call_us": measurement.median_short_seconds(lambda: add(a, b)) * 1e6,
        "call_out_us": measurement.median_short_seconds(lambda: add(a, b, out=out)) * 1e6,
        "numpy_us": measurement.median_short_seconds(lambda: a + b) * 1e6,
        "empty_us": measurement.median_short_seconds(lambda: None) * 1e6,
    }
    tn.config.threads = 2
    large = add_kernel(1 << 22)
    x = np.ones(1 << 22, np.float32)
    large(x, x)
    time.sleep(0.001)
    before = time.process_time()
    time.sleep(1.0)
    figures["idle_ms"] = (time.process_time() - before) * 1e3
    return figures


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--processes", type=int, default=5)
    parser.add_argument("--child", action="store_true", help="measure in this process")
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(measure()))
        return
    runs = [
        measurement.run_child("call_overhead.py", "--child") for _ in range(arguments.processes)
    ]
    for name in runs[0]:
        value = statistics.median(run[name] for run in runs)
        unit = name.rsplit("_", 1)[1]
        limit = BARS.get(name)
        print(
            f"{name}: {value:.3g} {unit}"
            if limit is None
            else measurement.verdict(name, value, limit, unit)
        )
    measurement.write_result("call_overhead", runs)


if __name__ == "__main__":
    main()
