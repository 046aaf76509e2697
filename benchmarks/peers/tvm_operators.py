"""Six operators tuned by TVM's MetaSchedule within a wall-clock budget; run by ../against_tvm.py.

usage: tvm_operators.py tune NAME FOLDER SECONDS    a search, stopped after SECONDS
       tvm_operators.py time NAME FOLDER            the best schedule found, as one JSON line

MetaSchedule counts trials, not seconds: the search runs in a process of its own that is stopped
when the time is over; what it measured until then is in its database, which it writes as it goes.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

THREADS = int(os.environ.get("PEERS_THREADS", "2"))
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])
os.environ["TVM_NUM_THREADS"] = str(THREADS)

import tvm  # noqa: E402
from tvm import te, topi  # noqa: E402
from tvm.s_tir import meta_schedule as ms  # noqa: E402


def product(m, n, k):
    a, b = te.placeholder((m, k), name="A"), te.placeholder((k, n), name="B")
    kk = te.reduce_axis((0, k), name="k")
    return [a, b, te.compute((m, n), lambda i, j: te.sum(a[i, kk] * b[kk, j], axis=kk), name="C")]


def conv(size, c, oc, k):
    x = te.placeholder((1, size + k - 1, size + k - 1, c), name="X")
    w = te.placeholder((k, k, c, oc), name="W")
    r, s = te.reduce_axis((0, k), name="r"), te.reduce_axis((0, k), name="s")
    q = te.reduce_axis((0, c), name="c")
    y = te.compute(
        (1, size, size, oc),
        lambda b, i, j, o: te.sum(x[b, i + r, j + s, q] * w[r, s, q, o], axis=[r, s, q]),
        name="Y",
    )
    return [x, w, y]


def depthwise(size, c, k):
    x = te.placeholder((1, size + k - 1, size + k - 1, c), name="X")
    w = te.placeholder((k, k, c), name="W")
    r, s = te.reduce_axis((0, k), name="r"), te.reduce_axis((0, k), name="s")
    y = te.compute(
        (1, size, size, c),
        lambda b, i, j, o: te.sum(x[b, i + r, j + s, o] * w[r, s, o], axis=[r, s]),
        name="Y",
    )
    return [x, w, y]


def softmax(rows, columns):
    x = te.placeholder((rows, columns), name="X")
    return [x, topi.nn.softmax(x, axis=1)]


OPERATORS = {
    "product_512x512x512": lambda: product(512, 512, 512),
    "product_128x768x768": lambda: product(128, 768, 768),
    "product_49x512x4608": lambda: product(49, 512, 4608),
    "conv_3x3_128_at_28": lambda: conv(28, 128, 128, 3),
    "depthwise_3x3_144_at_56": lambda: depthwise(56, 144, 3),
    "softmax_4096x4096": lambda: softmax(4096, 4096),
}


def target():
    cpu = tvm.target.codegen.llvm_get_system_cpu()
    return tvm.target.Target({"kind": "llvm", "mcpu": cpu, "num-cores": THREADS})


def module(name):
    return tvm.IRModule({"main": te.create_prim_func(OPERATORS[name]())})


def search(name, folder):
    ms.tune_tir(module(name), target(), folder, max_trials_global=1_000_000, num_trials_per_iter=64)


def tune(name, folder, seconds):
    start = time.perf_counter()
    command = [sys.executable, __file__, "search", name, folder]
    child = subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    records = Path(folder) / "database_tuning_record.json"
    trials = sum(1 for _ in records.open()) if records.exists() else 0
    print(json.dumps({"trials": trials, "seconds": time.perf_counter() - start}))


def timing(name, folder):
    records = str(Path(folder) / "database_tuning_record.json")
    workloads = str(Path(folder) / "database_workload.json")
    database = ms.database.JSONDatabase(path_workload=workloads, path_tuning_record=records)
    schedule = ms.tir_integration.compile_tir(database, module(name), target())
    function = tvm.compile(schedule.mod, target())
    rng = np.random.default_rng(1)
    shapes = [[int(size) for size in t.shape] for t in OPERATORS[name]()]
    arrays = [tvm.runtime.tensor(rng.standard_normal(s, dtype=np.float32)) for s in shapes]
    run = function["main"]
    durations, end = [], time.perf_counter() + 0.3
    while time.perf_counter() < end:
        run(*arrays)
    end = time.perf_counter() + 1.0
    while time.perf_counter() < end or len(durations) < 5:
        begin = time.perf_counter()
        run(*arrays)
        durations.append(time.perf_counter() - begin)
    print(json.dumps({"median": statistics.median(durations), "version": tvm.__version__}))


if __name__ == "__main__":
    action, *rest = sys.argv[1:]
    if action == "tune":
        tune(rest[0], rest[1], float(rest[2]))
    else:
        {"search": search, "time": timing}[action](*rest)
