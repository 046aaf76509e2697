"""Every tutorial runs: its claims are assertions."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from needs_nvrtc import needs_nvrtc

ROOT = Path(__file__).resolve().parents[2]
TUTORIALS = sorted((ROOT / "tutorials").glob("[0-9][0-9]_*.py"))


def run(tutorial, *arguments):
    environment = os.environ | {"PYTHONPATH": str(ROOT / "python")}
    command = [sys.executable, "-W", "error", str(tutorial), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]


@pytest.mark.parametrize(
    "tutorial", [path for path in TUTORIALS if "gpu" not in path.stem], ids=lambda path: path.stem
)
def test_tutorial(tutorial):
    run(tutorial)


@needs_nvrtc
@pytest.mark.parametrize("arch", ["sm_80", "sm_90a"])
def test_the_first_kernel_for_a_gpu(arch):
    run(ROOT / "tutorials/10_first_gpu_kernel.py", arch)


def test_the_first_tutorial_with_256_bit_vectors():
    run(TUTORIALS[0], "cpu -mcpu=x86-64-v3")


@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda path: path.stem)
def test_tutorials_are_short(tutorial):
    assert len(tutorial.read_text().splitlines()) <= 200
