"""`tenon explain`: what an error code means and what to do."""

from __future__ import annotations

import argparse
import re
import textwrap
from typing import Any

from tenon import errors
from tenon._error_table import ErrorRow, error_table
from tenon.cli._command import add_command, print_json
from tenon.errors import UserError

_WHO = {
    "UserError": "the caller can fix it",
    "ResourceError": "the environment lacks something",
    "InternalError": "a bug of Tenon",
}


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "explain",
        run,
        "what an error code means",
        "Explain an error code, the E and four digits at the end of a message's first line.\n"
        "Without a code: list all.",
        "tenon explain E0203\ntenon explain e203 --json\ntenon explain | grep -i symbol",
    )
    parser.add_argument("code", nargs="?", help="such as E0203")


def run(arguments: argparse.Namespace) -> int:
    """Print one row, or the table."""
    rows = error_table()
    if arguments.code is None:
        if arguments.json:
            print_json([row._asdict() for row in rows.values()])
        else:
            print(
                "".join(f"{r.code}  {r.error_class:<16}  {r.wrong}\n" for r in rows.values()),
                end="",
            )
        return 0
    row = _find(rows, arguments.code)
    if arguments.json:
        print_json(row._asdict())
        return 0
    print(f"{row.code}  {row.error_class}{_who(row.error_class)}")
    for title, text in (("what is wrong", row.wrong), ("what to do", row.fix)):
        print(f"  {title}:")
        print(textwrap.fill(text, 92, initial_indent="    ", subsequent_indent="    "))
    return 0


def _find(rows: dict[str, ErrorRow], text: str) -> ErrorRow:
    match = re.fullmatch(r"\[?[Ee]?(\d{1,4})\]?", text)
    if match is None:
        raise UserError("E1021", f"{text[:40]!r} is no error code; one looks like E0203")
    code = f"E{int(match[1]):04d}"
    if code not in rows:
        near = min(rows, key=lambda known: abs(int(known[1:]) - int(code[1:])))
        raise UserError("E1021", f"no error has the code {code}; the nearest one is {near}")
    return rows[code]


def _who(name: str) -> str:
    """Return who must act on errors of a class."""
    cls = getattr(errors, name.split("/")[0], None)
    names = [base.__name__ for base in cls.__mro__] if isinstance(cls, type) else []
    return next((f" ({text})" for base, text in _WHO.items() if base in names), "")
