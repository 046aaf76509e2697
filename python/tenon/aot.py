"""Libraries that `export` made.

`inspect` gives what a library says of itself, `verify` checks every byte of it against the digests
in there; both only read it. `load` opens it, to be called. `docs/design/artefact.md` describes the
file.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import struct
from typing import Any, BinaryIO

from tenon._loaded_library import LoadedLibrary
from tenon.errors import ModelError, ResourceError

__all__ = ["LoadedLibrary", "inspect", "load", "verify"]

_NOTE = ".note.tenon"
_DIGEST_KEY = '"file_sha256":"'
_CHUNK = 1 << 20
_Section = tuple[int, int]
"""Offset in the file and size."""


def inspect(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what a library says of itself.

    Parameters
    ----------
    path
        Of a library that `export` made. It is read, not run.

    Returns
    -------
    dict
        Among others ``model``, ``producer``, ``plan_format``, ``c_api``; ``inputs``, ``results``
        (each with ``name``, ``dtype``, ``shape``), ``symbols``; ``levels`` (``name``, ``target``,
        ``needs``, ``kernels``, ``code``); ``weights_bytes`` and ``weights``; ``parts``: for each
        part of the file its ``bytes`` and ``sha256``.

    Raises
    ------
    ResourceError
        The file cannot be read [E0944].
    ModelError
        It is no library [E0940] or cut off [E0941]; it has no manifest [E0942] or one that cannot
        be read [E0943].
    """
    with _open(path) as file:
        return _inspect(file, str(path))[0]


def verify(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Check every byte of a library against the digests (SHA-256) in it; return as `inspect`.

    Raises
    ------
    ModelError
        The bytes are not those that were written; the message names the parts [E0945]. Further as
        `inspect`.
    """
    with _open(path) as file:
        manifest, sections, place = _inspect(file, str(path))
        if _digest(file, 0, os.fstat(file.fileno()).st_size, place) == manifest["file_sha256"]:
            return manifest
        damaged = [
            name
            for name, part in manifest["parts"].items()
            if _digest(file, *sections[name]) != part["sha256"]
        ]
    what = ", ".join(damaged) or "the file outside of weights, plans and code"
    raise ModelError("E0945", f"'{path}' is damaged: {what} does not match its SHA-256")


def load(path: str | os.PathLike[str]) -> LoadedLibrary:
    """Open a library that `export` made.

    Every byte is checked first. What is in the library then runs in this process: open those that
    you made or trust.

    Raises
    ------
    ResourceError
        The file cannot be read [E0944] or opened as a library [E1003].
    ModelError
        It is no library of Tenon, or damaged [E0940 to E0945].
    TargetError
        It has no code for this CPU.
    """
    text = os.path.abspath(os.fspath(path))
    return LoadedLibrary(text, verify(text))


def _open(path: str | os.PathLike[str]) -> BinaryIO:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise ResourceError("E0944", f"cannot read '{path}': {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ResourceError("E0944", f"cannot read '{path}': not a regular file")
    return os.fdopen(descriptor, "rb", buffering=0)


def _inspect(file: BinaryIO, path: str) -> tuple[dict[str, Any], dict[str, _Section], int]:
    """Return the manifest, the sections, and where the digest of the file lies."""
    sections = _sections(file, path)
    if _NOTE not in sections:
        raise ModelError("E0942", f"'{path}' was not made by tenon: it has no {_NOTE}")
    begin, size = sections[_NOTE]
    note = _read(file, begin, size)
    # A note: length of its name, of its content, type; then "Tenon" filled up to 8 bytes.
    if len(note) < 20 or note[12:20] != b"Tenon\0\0\0":
        raise ModelError("E0943", f"the manifest of '{path}' is damaged: not a note of Tenon")
    try:
        text = note[20:].rstrip(b"\0").decode()
        manifest = json.loads(text)
        parts = {
            name: {"bytes": sections[name][1], "sha256": str(digest)}
            for name, digest in manifest["sha256"].items()
        }
        place = begin + 20 + len(text[: text.rindex(_DIGEST_KEY)].encode()) + len(_DIGEST_KEY)
        str(manifest["file_sha256"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(
            "E0943", f"the manifest of '{path}' is damaged: {type(error).__name__}: {error}"
        ) from None
    del manifest["sha256"]
    manifest["parts"] = parts
    return manifest, sections, place


def _sections(file: BinaryIO, path: str) -> dict[str, _Section]:
    """Return the sections of an ELF file that have bytes in it."""
    total = os.fstat(file.fileno()).st_size
    header = _read(file, 0, 64)
    if header[:6] != b"\x7fELF\x02\x01" or len(header) < 64:
        raise ModelError("E0940", f"'{path}' is no 64-bit ELF library")
    (table,) = struct.unpack_from("<Q", header, 40)
    entry_bytes, count, names_index = struct.unpack_from("<HHH", header, 58)
    raw = _read(file, table, 64 * count)
    if entry_bytes != 64 or len(raw) < 64 * count or names_index >= count:
        raise ModelError("E0941", f"'{path}' is cut off: it ends before its table of sections")
    entries = [struct.unpack_from("<IIQQQQ", raw, 64 * i) for i in range(count)]
    names = _read(file, entries[names_index][4], min(entries[names_index][5], total))
    sections: dict[str, _Section] = {}
    for name_offset, kind, _, _, offset, size in entries:
        if kind in (0, 8):  # none; zeros that are not in the file
            continue
        if offset > total or size > total - offset:
            raise ModelError("E0941", f"'{path}' is cut off: a section lies beyond its end")
        name = names[name_offset : max(names.find(b"\0", name_offset), 0)].decode("latin-1")
        sections[name] = (offset, size)
    return sections


def _read(file: BinaryIO, offset: int, size: int) -> bytes:
    """Return as many of the bytes as there are."""
    if offset >= 1 << 63:
        return b""
    file.seek(offset)
    return file.read(size)


def _digest(file: BinaryIO, begin: int, size: int, zeros_at: int | None = None) -> str:
    """Return the SHA-256 of bytes of the file; the 64 at `zeros_at` count as the digit 0."""
    digest = hashlib.sha256()
    end = begin + size
    at = begin
    while at < end:
        chunk = bytearray(_read(file, at, min(_CHUNK, end - at)))
        if not chunk:
            break
        if zeros_at is not None:
            first, last = max(zeros_at, at), min(zeros_at + 64, at + len(chunk))
            if first < last:
                chunk[first - at : last - at] = b"0" * (last - first)
        digest.update(chunk)
        at += len(chunk)
    return digest.hexdigest()
