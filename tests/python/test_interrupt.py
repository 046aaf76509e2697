"""Ctrl-C stops running kernels and builds, and leaves Tenon usable."""

import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import numpy as np
import tenon as tn
from tenon import te

def kernel(rows):
    x = te.placeholder((rows,), "float32", name="X")
    k = te.reduce_axis(200_000, name="k")
    term = lambda i: te.sin(x[i] * te.cast(k, "float32"))
    z = te.compute((rows,), lambda i: te.sum(term(i), axis=k), name="Z")
    s = tn.Schedule(tn.function([x], [z]))
    s.parallel(s.loops("Z")[0])
    return tn.build(s)

slow, quick = kernel(100_000), kernel(1)
try:
    print("running", flush=True)
    slow(np.ones(100_000, "float32"))
except KeyboardInterrupt:
    print("interrupted", quick(np.zeros(1, "float32")).item(), flush=True)
"""


def test_a_running_kernel_is_stopped():
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "python")},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "running\n"
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=60)  # the kernel alone would take minutes
    assert rest == "interrupted 0.0\n"
    assert process.returncode == 0
