"""`tenon tune`: measured schedules."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import Any

from tenon import tuning
from tenon._config import config
from tenon.cli._command import add_command, check_target_folder, print_json

_DESCRIPTION = """\
Look at measured schedules of this machine and carry them to others. They lie in the folder that
TENON_TUNING_DIR names, else in that of compiled code; every build looks there first."""


def add_parser(commands: Any) -> None:
    """Add the command with its actions."""
    parser = commands.add_parser(
        "tune",
        help="measured schedules: show, export, merge",
        description=_DESCRIPTION,
        epilog="examples:\n  tenon tune show\n  tenon tune export tuned.jsonl\n"
        "  tenon tune merge tuned.jsonl other.jsonl\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    actions = parser.add_subparsers(
        dest="action", metavar="ACTION", required=True, parser_class=type(parser)
    )
    show = add_command(
        actions,
        "show",
        _show,
        "what is stored",
        "List the best record of each function, shape, target and machine class.",
        "tenon tune show\ntenon tune show --all --json",
    )
    show.add_argument("--all", action="store_true", help="every record, not only the best")
    export = add_command(
        actions,
        "export",
        _export,
        "write what is stored to a file",
        "Write all records to one file of JSON lines, each with its length and checksum.",
        "tenon tune export tuned.jsonl\ntenon tune export --best tuned.jsonl",
    )
    export.add_argument("path", metavar="FILE")
    export.add_argument("--best", action="store_true", help="only the best record of each key")
    merge = add_command(
        actions,
        "merge",
        _merge,
        "take over what others exported",
        "Take over records from files. The order does not matter; damaged records are named and\n"
        "left out (exit code 1).",
        "tenon tune merge tuned.jsonl other.jsonl",
    )
    merge.add_argument("paths", metavar="FILE", nargs="+")


def _show(arguments: argparse.Namespace) -> int:
    if arguments.json:
        found = tuning.records(best=not arguments.all)
        rows = [_row(record) for record in found]
        print_json({"folder": config.tuning_dir, "records": rows})
    else:
        print(tuning.show(best=not arguments.all))
    return 0


def _row(record: tuning.Record) -> dict[str, Any]:
    names = [f.name for f in dataclasses.fields(record) if f.name not in ("trace", "text")]
    row = {name: getattr(record, name) for name in names}
    return row | {"speedup": record.speedup, "trace": record.trace.to_python()}


def _export(arguments: argparse.Namespace) -> int:
    check_target_folder(Path(arguments.path), "FILE")
    report = tuning.export(arguments.path, best=arguments.best)
    if arguments.json:
        print_json(report._asdict())
    else:
        print(f"wrote {report.num_records} records to {arguments.path}")
    return _told(report.damage)


def _merge(arguments: argparse.Namespace) -> int:
    report = tuning.merge(arguments.paths)
    if arguments.json:
        print_json(report._asdict())
    else:
        print(f"{report.num_added} records added, {report.num_known} known, to {config.tuning_dir}")
    return _told(report.damage)


def _told(damage: list[str]) -> int:
    for line in damage:
        print(f"damaged: {line}", file=sys.stderr)
    return 1 if damage else 0
