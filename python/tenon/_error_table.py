"""The table of error codes, docs/errors.md: in a wheel beside this file, in a checkout in docs/."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from tenon.errors import ResourceError

__all__ = ["ErrorRow", "error_table"]

_ROW = re.compile(r"^\| (E\d{4}) \| (.*?) \| (.*?) \| (.*?) \|$", re.MULTILINE)


class ErrorRow(NamedTuple):
    """One error code."""

    code: str
    error_class: str
    wrong: str
    """What is wrong."""
    fix: str
    """What to do."""


def error_table() -> dict[str, ErrorRow]:
    """Return all rows by code.

    Raises
    ------
    ResourceError
        ``E1030``: the file is not there, because the package was copied by hand.
    """
    here = Path(__file__).resolve()
    for path in (here.parent / "errors.md", here.parents[2] / "docs" / "errors.md"):
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            rows = (
                ErrorRow(*(cell.replace("\\|", "|") for cell in found))
                for found in _ROW.findall(text)
            )
            return {row.code: row for row in rows}
    raise ResourceError("E1030", "this installation lacks errors.md; install the wheel again")
