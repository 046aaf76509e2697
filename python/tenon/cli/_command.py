"""What commands share: their parsers, tables, figures, progress, files that are written."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tenon.errors import UserError

__all__ = [
    "add_command",
    "check_target_folder",
    "number",
    "print_json",
    "size_text",
    "stage",
    "table",
    "time_text",
]


def add_command(
    commands: Any,
    name: str,
    run: Callable[[argparse.Namespace], int],
    summary: str,
    description: str,
    examples: str,
) -> argparse.ArgumentParser:
    """Add a command; `--json` is common to all."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog="examples:\n" + "".join(f"  {line}\n" for line in examples.splitlines()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object for programs")
    parser.set_defaults(run=run)
    return parser


def number(low: float, high: float, kind: type[int] | type[float] = int) -> Callable[[str], Any]:
    """Return a converter of an option's text to a number in a range."""

    def convert(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            what = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"should be {what} from {low} to {high}, got {text!r}")
        return value

    return convert


def print_json(value: Any) -> None:
    """Print one JSON object; NaN and infinities become null."""
    print(json.dumps(_finite(value), indent=2))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


def table(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Return rows as aligned columns; columns in `right` are aligned at their right."""
    if not rows:
        return ""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip() + "\n")
    return "".join(lines)


def size_text(num_bytes: float) -> str:
    """Return a number of bytes as people read it."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if num_bytes < 1024 or unit == "GiB":
            return f"{num_bytes:.0f} {unit}" if unit == "B" else f"{num_bytes:.1f} {unit}"
        num_bytes /= 1024
    raise AssertionError


def time_text(seconds: float) -> str:
    """Return a duration as people read it."""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.1f} us"
    return f"{seconds * 1e3:.3f} ms" if seconds < 1 else f"{seconds:.2f} s"


@contextlib.contextmanager
def stage(text: str) -> Iterator[None]:
    """Say on stderr what takes its time: on a terminal while it lasts, elsewhere a line after it.

    Results go to stdout, so that a pipe gets them alone.
    """
    start = time.perf_counter()
    on_terminal = sys.stderr.isatty()
    if on_terminal:
        print(f"{text} ...", end="", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        if on_terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    if not on_terminal:
        print(f"{text}: {time_text(time.perf_counter() - start)}", file=sys.stderr, flush=True)


def check_target_folder(path: Path, option: str) -> None:
    """Raise UserError [E1028] when no file can be written at `path`, before work is done for it."""
    folder = path.parent
    if path.is_dir():
        raise UserError("E1028", f"{option} '{path}' is a folder; give the name of a file")
    if not folder.is_dir():
        raise UserError("E1028", f"{option} '{path}': the folder '{folder}' does not exist")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError("E1028", f"{option} '{path}': the folder '{folder}' cannot be written")
