"""`tenon check`: which operators of a model can be run."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from tenon import onnx
from tenon.cli._command import add_command, print_json
from tenon.cli._model import kind_of
from tenon.errors import UserError

_DESCRIPTION = """\
Say of every operator of an ONNX model, without compiling it, whether it is native, decomposed into
others, or unsupported and why. Exit code 1 when one is unsupported."""


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "check",
        run,
        "which operators of a model are supported",
        _DESCRIPTION,
        "tenon check model.onnx\ntenon check model.onnx --json",
    )
    parser.add_argument("model", help="a file model.onnx")


def run(arguments: argparse.Namespace) -> int:
    """Print the table; 1 when the model cannot be compiled."""
    if kind_of(arguments.model) != "onnx":
        raise UserError("E1022", f"'{arguments.model}' is no ONNX file, which `tenon check` needs")
    report = onnx.check(arguments.model)
    bad = [row for row in report.operators if row.status == "unsupported"]
    if arguments.json:
        rows = [dataclasses.asdict(row) for row in report.operators]
        print_json({"is_supported": not bad, "operators": rows})
        return 1 if bad else 0
    print(report)
    if bad:
        names = ", ".join(row.name for row in bad)
        print(f"NOT supported: {len(bad)} of {len(report.operators)} operators: {names}")
        return 1
    print(f"supported: all {len(report.operators)} operators")
    return 0
