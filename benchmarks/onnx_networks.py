"""Latency and compile time of image networks from ONNX files against ONNX Runtime.

usage: python benchmarks/onnx_networks.py [--networks resnet50 ...] [--processes 5] [--threads 2]

The graphs are those of the package onnx with weights made by tests/python/light_networks.py,
float32 images [1, 3, 224, 224]. Both sides read the same file; their processes are fresh and
alternate. ONNX Runtime has its default options but for the number of threads, and bound buffers;
Tenon compiles with an empty cache. A process compiles, compares its output with ONNX Runtime's, and
then takes the median of calls.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import measurement

TESTS = measurement.ROOT / "tests" / "python"
NETWORKS = ("resnet50", "squeezenet", "densenet121", "shufflenet")
# Bars of ResNet-50; the other networks have none.
LIMIT_RATIO = 1.3
LIMIT_COMPILE_S = 3.0
LIMIT_ERROR = 1e-4


def write_model(name: str, path: Path) -> None:
    import onnx

    sys.path.insert(0, str(TESTS))
    import light_networks

    onnx.save(light_networks.seeded(name), path)


def image():
    sys.path.insert(0, str(TESTS))
    import light_networks

    return light_networks.image()


def measure_onnxruntime(path: Path, threads: int) -> dict[str, float]:
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    start = time.perf_counter()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    load = time.perf_counter() - start
    x = image()
    output = session.get_outputs()[0].name
    expected = session.run(None, {session.get_inputs()[0].name: x})[0]
    np.save(path.with_suffix(".npy"), expected)
    binding = session.io_binding()
    binding.bind_cpu_input(session.get_inputs()[0].name, x)
    binding.bind_output(output)
    seconds = measurement.median_seconds(lambda: session.run_with_iobinding(binding), budget_s=3)
    return {"load_s": load, "seconds": seconds}


def measure_tenon(path: Path, threads: int) -> dict[str, float]:
    import numpy as np

    import tenon as tn

    tn.config.threads = threads
    x = image()
    start = time.perf_counter()
    network = tn.compile(tn.onnx.load(path))
    compiled = time.perf_counter() - start
    expected = np.load(path.with_suffix(".npy"))
    error = np.abs(np.asarray(network(x)) - expected).max() / np.abs(expected).max()
    seconds = measurement.median_seconds(lambda: network(x), budget_s=3)
    return {"compile_s": compiled, "seconds": seconds, "error": float(error)}


def compare(name: str, processes: int, threads: int) -> dict[str, dict[str, list[float]]]:
    """Return the figures of every process, by side and name."""
    runs: dict[str, dict[str, list[float]]] = {"onnxruntime": {}, "tenon": {}}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.onnx"
        write_model(name, path)
        for number in range(processes):
            for side, figures in runs.items():
                child = measurement.run_child(
                    "onnx_networks.py", "--side", side, "--model", str(path), "--threads",
                    str(threads), env={"TENON_CACHE_DIR": os.path.join(folder, str(number))},
                )  # fmt: skip
                for key, value in child.items():
                    figures.setdefault(key, []).append(value)
    return runs


def show(name: str, runs: dict[str, dict[str, list[float]]]) -> None:
    medians = {
        side: {key: statistics.median(values) for key, values in figures.items()}
        for side, figures in runs.items()
    }
    ours, theirs = medians["tenon"], medians["onnxruntime"]
    ratio = ours["seconds"] / theirs["seconds"]
    print(
        f"{name:12} tenon {ours['seconds'] * 1e3:7.2f} ms, onnxruntime"
        f" {theirs['seconds'] * 1e3:7.2f} ms, ratio {ratio:.2f}; compile"
        f" {ours['compile_s']:.2f} s, load of onnxruntime {theirs['load_s']:.2f} s; error"
        f" {max(runs['tenon']['error']):.1e}"
    )
    print(measurement.verdict(f"{name}, error", max(runs["tenon"]["error"]), LIMIT_ERROR, ""))
    if name == "resnet50":
        print(measurement.verdict(f"{name}, ratio", ratio, LIMIT_RATIO, "x"))
        print(measurement.verdict(f"{name}, compile", ours["compile_s"], LIMIT_COMPILE_S, "s"))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--processes", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--side", choices=("tenon", "onnxruntime"), help="measure in this process")
    parser.add_argument("--model", type=Path)
    arguments = parser.parse_args()
    if arguments.side:
        measurement.pin(arguments.threads)
        measure = measure_tenon if arguments.side == "tenon" else measure_onnxruntime
        print(json.dumps(measure(arguments.model, arguments.threads)))
        return
    figures = {}
    for name in arguments.networks:
        figures[name] = compare(name, arguments.processes, arguments.threads)
        show(name, figures[name])
    measurement.write_result("onnx_networks", {"threads": arguments.threads, "networks": figures})


if __name__ == "__main__":
    main()
