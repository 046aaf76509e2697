import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).resolve().parents[2] / "README.md"


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", README.read_text(), re.S)
    assert found is not None
    return found.group(1)


def test_the_first_program_prints_what_is_said(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", block("python")],
        cwd=tmp_path,
        env={"PYTHONPATH": str(README.parent / "python"), "TENON_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    start, end = re.split(r"\n *\.\.\.\n", block("text"))  # the dots stand for lines left out
    assert run.stdout.startswith(start)
    assert run.stdout.endswith(end)
