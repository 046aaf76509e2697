"""Runs every node test of the package onnx and keeps the table of what Tenon supports.

usage: python scripts/onnx_scores.py [--update] [--jobs=2]

Each case runs in a worker process: a crash, or more than 60 s, is a result as well. With --update,
tests/python/onnx_node_scores.txt (what does not pass, which the tests assert) and
docs/onnx_operators.md are written again; this needs that every case passes or is refused.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import IO, cast

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "python"), str(ROOT / "tests" / "python")]

import node_scores
import node_tests
from node_tests import Outcome

SECONDS = 60


def work() -> None:
    """Run the cases that come as lines; print one line for each."""
    for line in sys.stdin:
        outcome = node_tests.run(line.strip())
        print(json.dumps([outcome.name, outcome.status, outcome.detail]), flush=True)


class Worker:
    """A process that runs cases, started again when it dies."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def run(self, name: str) -> Outcome:
        """Return what becomes of a case, also when the process dies or does not answer."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, __file__, "--worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        to, back = cast("IO[str]", self._process.stdin), cast("IO[str]", self._process.stdout)
        to.write(name + "\n")
        to.flush()
        ready, _, _ = select.select([back], [], [], SECONDS)
        line = back.readline() if ready else ""
        if line:
            return Outcome(*json.loads(line))
        self.stop()
        return Outcome(name, "crash" if ready else "hang")

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = None


def run_all(jobs: int) -> list[Outcome]:
    open_names = list(reversed(node_tests.names()))
    outcomes: dict[str, Outcome] = {}

    def serve() -> None:
        worker = Worker()
        while True:
            try:
                name = open_names.pop()
            except IndexError:
                break
            outcomes[name] = worker.run(name)
        worker.stop()

    threads = [threading.Thread(target=serve) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [outcomes[name] for name in node_tests.names()]


def main(arguments: list[str]) -> int:
    jobs = next((int(a.split("=")[1]) for a in arguments if a.startswith("--jobs=")), 2)
    outcomes = run_all(min(jobs, os.cpu_count() or 1))
    print(dict(Counter(o.status for o in outcomes)))
    bad = [o for o in outcomes if o.status not in ("pass", "unsupported")]
    for o in bad:
        print(f"{o.status}: {o.name}: {o.detail}")
    if bad:
        return 1
    changes = node_scores.changes(outcomes)
    print("\n".join(changes))
    if "--update" in arguments:
        node_scores.write(outcomes)
        return 0
    return bool(changes)


if __name__ == "__main__":
    if "--worker" in sys.argv:
        work()
    else:
        sys.exit(main(sys.argv[1:]))
