"""A checked, memory-mapped reader of safetensors files, and their writer.

A file that is read is untrusted. Its header is bounded and checked whole before any tensor can be
touched: afterwards the tensors tile the data section without holes or overlaps, and every array is
a read-only view of the mapping, so that nothing is copied.
"""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

from tenon._files import open_regular, parse_json_object, write_atomically
from tenon.errors import DTypeError, ModelError, UnsupportedError

__all__ = ["SafetensorsFile", "save"]

_LENGTH_BYTES = 8
_MAX_HEADER_BYTES = 8 << 20
_MAX_RANK = 32
_MAX_BYTES = 2**63 - 1

_DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "U8": np.dtype(np.uint8),
    "I8": np.dtype(np.int8),
    "U16": np.dtype("<u2"),
    "I16": np.dtype("<i2"),
    "U32": np.dtype("<u4"),
    "I32": np.dtype("<i4"),
    "U64": np.dtype("<u8"),
    "I64": np.dtype("<i8"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
}
_UNSUPPORTED_DTYPES = {"F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "C64": 8}  # bytes per element


@dataclass(frozen=True)
class _Entry:
    """One tensor of the header; ``begin`` and ``end`` count from the start of the data section."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class SafetensorsFile:
    """The tensors of one safetensors file, by name.

    The mapping stays alive as long as this object or an array that came from it. Another process
    that truncates the file while it is mapped stops this one, as with any mapped file.

    Parameters
    ----------
    path
        A regular file, or a link to one.

    Raises
    ------
    ModelError
        The file is missing, truncated, damaged or not a safetensors file; nothing stays open.

    Examples
    --------
    >>> weights = SafetensorsFile("model.safetensors")  # doctest: +SKIP
    >>> weights["embeddings.LayerNorm.bias"].shape  # doctest: +SKIP
    (384,)
    """

    path: Path
    """Where the file is."""
    metadata: dict[str, str]
    """The free-form texts that the file's writer stored under ``__metadata__``."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        fd, size = open_regular(self.path)
        try:
            header_bytes = _read_header_length(self.path, fd, size)
            self._map = mmap.mmap(fd, size, access=mmap.ACCESS_READ)
        finally:
            os.close(fd)
        self._data_start = _LENGTH_BYTES + header_bytes
        header = parse_json_object(
            self._map[_LENGTH_BYTES : self._data_start], f"header of '{self.path}'"
        )
        self.metadata = _check_metadata(self.path, header.pop("__metadata__", {}))
        entries = [_check_entry(self.path, name, value) for name, value in header.items()]
        _check_layout(self.path, entries, size - self._data_start)
        self._entries = {entry.name: entry for entry in entries}

    def __len__(self) -> int:
        """Return the number of tensors."""
        return len(self._entries)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._entries)

    def __contains__(self, name: object) -> bool:
        """Return whether there is a tensor of this name."""
        return name in self._entries

    def keys(self) -> list[str]:
        """Return the names of all tensors, in the order of the header."""
        return list(self._entries)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of the tensor ``name`` without touching its data."""
        return self._entry(name).shape

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """Return the tensor ``name`` as a read-only view of the file.

        Raises
        ------
        ModelError
            ``E0818``: there is no such tensor; ``E0819``: a ``BOOL`` byte is neither 0 nor 1.
        UnsupportedError
            ``E0817``: its dtype is known to safetensors and not to Tenon.
        """
        entry = self._entry(name)
        dtype = _DTYPES.get(entry.dtype)
        if dtype is None:
            raise UnsupportedError(
                "E0817",
                f"'{self.path}': tensor '{name}' has dtype {entry.dtype}, which Tenon does not"
                f" have\nhint: convert it to one of {', '.join(_DTYPES)}",
            )
        start = self._data_start + entry.begin
        raw = np.frombuffer(self._map, np.uint8, entry.end - entry.begin, start)
        if entry.dtype == "BOOL" and raw.size and raw.max() > 1:
            raise ModelError(
                "E0819",
                f"'{self.path}': BOOL tensor '{name}' holds the byte {raw.max()};"
                " only 0 and 1 are bools",
            )
        return raw.view(dtype).reshape(entry.shape)

    def _entry(self, name: str) -> _Entry:
        entry = self._entries.get(name)
        if entry is None:
            raise ModelError(
                "E0818", f"'{self.path}' has no tensor '{name}' among its {len(self)} tensors"
            )
        return entry


def _read_header_length(path: Path, fd: int, size: int) -> int:
    """Return the length of the header in bytes, checked against the file and the bound."""
    prefix = os.read(fd, _LENGTH_BYTES)
    if len(prefix) < _LENGTH_BYTES:
        raise ModelError(
            "E0810", f"'{path}' is truncated: {size} bytes, a safetensors file starts with 8"
        )
    length = int.from_bytes(prefix, "little")
    if length > _MAX_HEADER_BYTES:
        raise ModelError(
            "E0811",
            f"'{path}' says that its header has {length} bytes; at most {_MAX_HEADER_BYTES} are"
            " read\nhint: is this a safetensors file?",
        )
    if length > size - _LENGTH_BYTES:
        raise ModelError(
            "E0810",
            f"'{path}' is truncated: the header should have {length} bytes,"
            f" {size - _LENGTH_BYTES} are there",
        )
    return length


def _check_metadata(path: Path, metadata: Any) -> dict[str, str]:
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ModelError("E0812", f"'{path}': __metadata__ should map texts to texts")
    return metadata


def _check_entry(path: Path, name: str, value: Any) -> _Entry:
    """Check one tensor's description by itself."""
    where = f"'{path}': tensor '{name}'"
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise ModelError("E0812", f"{where} should have exactly dtype, shape and data_offsets")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    known = isinstance(dtype, str) and (dtype in _DTYPES or dtype in _UNSUPPORTED_DTYPES)
    if not known:
        raise ModelError("E0813", f"{where} has the unknown dtype {dtype!r}")
    if not _are_sizes(shape) or len(shape) > _MAX_RANK:
        raise ModelError(
            "E0814", f"{where}: shape should be at most {_MAX_RANK} integers from 0 up, got {shape}"
        )
    if not _are_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise ModelError(
            "E0815", f"{where}: data_offsets should be [begin, end], ascending, got {offsets}"
        )
    num_bytes = _UNSUPPORTED_DTYPES.get(dtype) or _DTYPES[dtype].itemsize
    for extent in shape:
        num_bytes *= max(extent, 1)  # an empty tensor may not hide an overflow either
        if num_bytes > _MAX_BYTES:
            raise ModelError("E0814", f"{where}: shape {shape} overflows 64-bit sizes")
    num_bytes = 0 if 0 in shape else num_bytes
    if offsets[1] - offsets[0] != num_bytes:
        raise ModelError(
            "E0815",
            f"{where}: data_offsets {offsets} hold {offsets[1] - offsets[0]} bytes, shape {shape}"
            f" of {dtype} needs {num_bytes}",
        )
    return _Entry(name, dtype, tuple(shape), offsets[0], offsets[1])


def _are_sizes(values: Any) -> bool:
    """Return whether this is a list of integers in [0, 2^63)."""
    return isinstance(values, list) and all(type(v) is int and 0 <= v <= _MAX_BYTES for v in values)


def _check_layout(path: Path, entries: list[_Entry], data_bytes: int) -> None:
    """Check that the tensors cover the data section exactly once."""
    position, previous = 0, "the start of the data"
    for entry in sorted(entries, key=lambda e: (e.begin, e.end)):
        if entry.begin < position:
            raise ModelError(
                "E0816",
                f"'{path}': tensor '{entry.name}' begins at byte {entry.begin} and overlaps"
                f" {previous}, which ends at {position}",
            )
        if entry.begin > position:
            raise ModelError(
                "E0816",
                f"'{path}': bytes {position} to {entry.begin} between {previous} and tensor"
                f" '{entry.name}' belong to no tensor",
            )
        position, previous = entry.end, f"tensor '{entry.name}'"
    if position > data_bytes:
        raise ModelError(
            "E0810",
            f"'{path}' is truncated: its tensors should have {position} bytes, {data_bytes} are"
            " there\nhint: copy or download it again",
        )
    if position < data_bytes:
        raise ModelError(
            "E0816", f"'{path}': {data_bytes - position} bytes after {previous} belong to no tensor"
        )


def save(
    path: str | os.PathLike[str],
    tensors: Mapping[str, Any],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write arrays to a safetensors file, in the order of their names.

    The file appears whole or not at all: it is written beside its place, flushed to the disk and
    renamed, so that a crash or a full disk leaves an old file of that name as it was.

    Parameters
    ----------
    path
        Of the file; its folder has to exist.
    tensors
        Arrays by name. A name may not be ``__metadata__``.
    metadata
        Free-form texts.

    Raises
    ------
    DTypeError
        An array has a dtype that the format does not have [E0545].
    ModelError
        A name is no text or is reserved, the metadata are no texts [E0844], or the header would be
        longer than can be read again [E0811].
    ResourceError
        The file cannot be written [E0828].
    """
    texts = dict(metadata or {})
    if not all(isinstance(k, str) and isinstance(v, str) for k, v in texts.items()):
        raise ModelError("E0844", f"'{path}': metadata should map texts to texts")
    header: dict[str, Any] = {"__metadata__": texts} if texts else {}
    arrays = []
    position = 0
    for name in sorted(tensors, key=str):
        if not isinstance(name, str) or name == "__metadata__":
            raise ModelError("E0844", f"'{path}': {name!r} cannot be the name of a tensor")
        array = np.asarray(tensors[name])
        array = np.ascontiguousarray(array).reshape(array.shape)  # which turns scalars into vectors
        code = next((c for c, d in _DTYPES.items() if d == array.dtype.newbyteorder("<")), None)
        if code is None:
            raise DTypeError(
                "E0545",
                f"'{path}': tensor '{name}' has dtype {array.dtype}, which safetensors files do not"
                f" have\n  hint: convert it to one of {', '.join(_DTYPES)}",
            )
        array = array.astype(_DTYPES[code], copy=False)
        end = position + array.nbytes
        header[name] = {"dtype": code, "shape": list(array.shape), "data_offsets": [position, end]}
        arrays.append(array)
        position = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _LENGTH_BYTES)  # the data are aligned to 8 bytes
    if len(text) > _MAX_HEADER_BYTES:
        raise ModelError(
            "E0811",
            f"'{path}': the header would have {len(text)} bytes; at most {_MAX_HEADER_BYTES} can be"
            " read",
        )
    parts = [len(text).to_bytes(_LENGTH_BYTES, "little"), text]
    write_atomically(Path(path), parts + [array.reshape(-1).view(np.uint8) for array in arrays])
