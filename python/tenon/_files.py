"""The files of a model: reading regular files of bounded size and JSON; writing whole files."""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

from tenon.errors import ModelError, ResourceError

_MAX_JSON_DEPTH = 64
_STRING_OR_BRACKET = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[\]{}]', re.DOTALL)


def open_regular(path: Path) -> tuple[int, int]:
    """Open a regular file for reading and return its descriptor and its size in bytes.

    A link that leads to a regular file is fine; a FIFO, a device or a folder is not, and never
    blocks.

    Raises
    ------
    ModelError
        ``E0801``: the file does not exist, cannot be read or is not a regular file.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ModelError("E0801", f"cannot open '{path}': {reason}") from None
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        raise ModelError("E0801", f"cannot read '{path}': it should be a regular file")
    return fd, status.st_size


def read_small(path: Path, max_bytes: int) -> bytes:
    """Return the whole content of a regular file of at most ``max_bytes``.

    Raises
    ------
    ModelError
        ``E0801`` as `open_regular`; ``E0802``: the file is longer than ``max_bytes``.
    """
    fd, size = open_regular(path)
    with os.fdopen(fd, "rb") as file:
        if size > max_bytes:
            raise ModelError(
                "E0802", f"'{path}' is {size} bytes long and should be at most {max_bytes}"
            )
        return file.read(max_bytes)


def parse_json_object(text: bytes, where: str) -> dict[str, Any]:
    """Parse untrusted JSON text whose top level is an object.

    ``where`` starts the error messages. Duplicate keys, NaN and infinities, nesting deeper than 64
    and text that is not UTF-8 are errors.

    Raises
    ------
    ModelError
        ``E0803``: the text is not such an object; ``E0804``: a key appears twice.
    """

    def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            seen: set[str] = set()
            key = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            raise ModelError("E0804", f"{where}: key '{key}' appears twice; keys must be unique")
        return result

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not JSON")

    _check_depth(text, where)
    try:
        value = json.loads(text.decode("utf-8"), object_pairs_hook=object_of, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise ModelError("E0803", f"{where}: not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise ModelError(
            "E0803", f"{where}: the top level should be an object, got {type(value).__name__}"
        )
    return value


def _check_depth(text: bytes, where: str) -> None:
    """Raise unless brackets outside strings nest at most `_MAX_JSON_DEPTH` deep."""
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(text):
        first = text[token.start()]
        if first in b"[{":
            depth += 1
            if depth > _MAX_JSON_DEPTH:
                raise ModelError("E0803", f"{where}: nesting is deeper than {_MAX_JSON_DEPTH}")
        elif first in b"]}":
            depth -= 1


def write_atomically(path: Path, parts: Iterable[Any]) -> None:
    """Write a file that appears whole or not at all, flushed to the disk before it has its name.

    ``parts`` are objects with a buffer. The folder is flushed too, so that what was reported as
    written is there after a loss of power.

    Raises
    ------
    ResourceError
        ``E0828``: the file cannot be written; an old file of that name is as it was.
    """
    temporary = None
    try:
        fd, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        with os.fdopen(fd, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), 0o666 & ~_umask())
        os.replace(temporary, path)
        _flush_folder(path.parent)
    except BaseException as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        if not isinstance(error, OSError):
            raise
        reason = error.strerror or str(error)
        raise ResourceError("E0828", f"cannot write '{path}': {reason}") from None


def _umask() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    return 0o077


def _flush_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
