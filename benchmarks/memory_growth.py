"""How much resident memory many builds leave behind.

usage: python benchmarks/memory_growth.py [--builds 500]

After 50 warm-up builds, distinct kernels are built, called 20 times each and dropped.
"""

import argparse
import gc
import tempfile

import measurement

WARM_UP = 50
CALLS = 20
BAR_MIB = 5.0


def build_call_drop(number: int, x) -> None:
    """Build a kernel that no earlier one equals, call it, and forget it."""
    import tenon as tn
    from tenon import te

    a = te.placeholder((256,), "float32", name="a")
    b = te.compute((256,), lambda i: te.exp(a[i]) * float(number) + 1.0, name="b")
    kernel = tn.build(tn.function([a], [b], name=f"kernel_{number}"))
    for _ in range(CALLS):
        kernel(x)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--builds", type=int, default=500)
    arguments = parser.parse_args()
    import numpy as np

    import tenon as tn

    x = np.zeros(256, np.float32)
    resident = []
    with tempfile.TemporaryDirectory() as cache:
        tn.config.cache_dir = cache
        for number in range(WARM_UP + arguments.builds):
            if number >= WARM_UP and (number - WARM_UP) % 100 == 0:
                gc.collect()
                resident.append(measurement.status_kib("VmRSS") / 1024)
            build_call_drop(number, x)
        gc.collect()
        resident.append(measurement.status_kib("VmRSS") / 1024)
    print("resident, MiB, every 100 builds:", *(f"{value:.1f}" for value in resident))
    print(measurement.verdict("growth", resident[-1] - resident[0], BAR_MIB, "MiB"))
    measurement.write_result("memory_growth", {"resident_mib": resident})


if __name__ == "__main__":
    main()
