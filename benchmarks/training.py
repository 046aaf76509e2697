"""A step of training against torch eager and JAX: seconds, and the memory that training takes.

usage: python benchmarks/training.py ROOT [mlp cnn] [--processes 5] [--threads 2]

ROOT has the environments that peers/setup.sh makes (torch, jax). The MLP is 784-512-512-10 at batch
128, the CNN has two 5x5 convolutions of 16 and 32 channels with pooling and two dense layers, on
28x28 images at batch 64; all sides use Adam and read the loss after each step. Processes alternate.
Memory is the peak of a fresh process less its peak after the imports.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import measurement

LIMIT = 1.3
PEER_SCRIPT = Path(__file__).with_name("peers") / "bench_training.py"


def network(name: str) -> Any:
    from tenon import nn

    if name == "mlp":
        return nn.Sequential(
            nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
        )
    return nn.Sequential(
        nn.Conv2d(1, 16, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(49 * 32, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


def child(name: str, threads: int) -> None:
    measurement.pin(threads)
    sys.path.insert(0, str(PEER_SCRIPT.parent))
    import bench_training as peer

    import tenon as tn

    imported = measurement.status_kib("VmHWM")
    x, y = peer.batch(name)
    step = tn.train_step(network(name), tn.nn.CrossEntropyLoss(), tn.optim.Adam(1e-3), metrics=[])
    begin = time.perf_counter()
    step(x, y)
    first = time.perf_counter() - begin
    for _ in range(peer.WARM_UP_STEPS):
        step(x, y)
    durations = []
    end = time.perf_counter() + peer.SECONDS
    while time.perf_counter() < end:
        begin = time.perf_counter()
        step(x, y)
        durations.append(time.perf_counter() - begin)
    figures = {
        "seconds": statistics.median(durations),
        "memory_kib": measurement.status_kib("VmHWM") - imported,
        "first_seconds": first,
    }
    print(json.dumps(figures))


def run_peer(root: Path, peer: str, name: str, threads: int) -> dict[str, Any]:
    command = [root / peer / "bin" / "python", PEER_SCRIPT, peer, name, str(threads)]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("networks", nargs="*", default=["mlp", "cnn"])
    parser.add_argument("--processes", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--child")
    options = parser.parse_args()
    if options.child:
        child(options.child, options.threads)
        return
    figures: dict[str, Any] = {}
    for name in options.networks:
        runs: dict[str, list[dict[str, Any]]] = {"tenon": [], "torch": [], "jax": []}
        for _ in range(options.processes):
            arguments = (".", "--child", name, "--threads", str(options.threads))
            runs["tenon"].append(measurement.run_child("training.py", *arguments))
            for peer in ("torch", "jax"):
                runs[peer].append(run_peer(options.root, peer, name, options.threads))
        seconds = {p: statistics.median(r["seconds"] for r in rs) for p, rs in runs.items()}
        memory = {p: statistics.median(r["memory_kib"] for r in rs) for p, rs in runs.items()}
        for peer in runs:
            print(f"{name} {peer}: {1e3 * seconds[peer]:.3f} ms, {memory[peer] / 1024:.1f} MiB")
        ratio = seconds["tenon"] / min(seconds["torch"], seconds["jax"])
        print(measurement.verdict(f"{name}: step against the faster peer", ratio, LIMIT, "x"))
        share = memory["tenon"] / memory["torch"]
        print(measurement.verdict(f"{name}: memory against torch", share, 1.0, "x"))
        figures[name] = {"seconds": seconds, "memory_kib": memory, "runs": runs}
    measurement.write_result("training", figures)


if __name__ == "__main__":
    main()
