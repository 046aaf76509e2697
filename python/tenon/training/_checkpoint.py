"""Checkpoints: one safetensors file with the arrays of a training and JSON about it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tenon._files import parse_json_object
from tenon.errors import ModelError
from tenon.safetensors import SafetensorsFile, save

__all__ = ["Checkpoint", "read_checkpoint", "write_checkpoint"]

_KEY = "tenon_checkpoint"
_VERSION = 1
_GENERATOR = "philox4x32-10"


@dataclass
class Checkpoint:
    """Arrays by name, settings that have to be equal to go on, and how far the training came."""

    arrays: dict[str, npt.NDArray[Any]]
    settings: dict[str, Any]
    progress: dict[str, Any]

    def check(
        self, path: Path, expected: dict[str, npt.NDArray[Any]], settings: dict[str, Any]
    ) -> None:
        """Raise unless it is of a training with these arrays and settings."""
        if self.settings != settings:
            raise ModelError(
                "E0847",
                f"'{path}' is of a training with {_text(self.settings)}, expected"
                f" {_text(settings)}\n  hint: go on with the optimiser and seed that it began with",
            )
        missing = [name for name in expected if name not in self.arrays]
        extra = [name for name in self.arrays if name not in expected]
        if missing or extra:
            verb, name = ("lacks", missing[0]) if missing else ("should not have", extra[0])
            raise ModelError(
                "E0846", f"'{path}' is a checkpoint of another model: it {verb} '{name}'"
            )
        for name, array in expected.items():
            found = self.arrays[name]
            if found.shape != array.shape or found.dtype != array.dtype:
                raise ModelError(
                    "E0846",
                    f"'{path}' is a checkpoint of another model: '{name}' should be {array.dtype}"
                    f" {list(array.shape)}, got {found.dtype} {list(found.shape)}",
                )


def _text(settings: dict[str, Any]) -> str:
    optimizer = settings.get("optimizer", {})
    inner = ", ".join(f"{k}={v}" for k, v in optimizer.items() if k != "class")
    return f"{optimizer.get('class')}({inner}) and seed {settings.get('seed')}"


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write the file, whole or not at all.

    Raises
    ------
    ResourceError
        The file cannot be written [E0828].
    """
    content = {
        "version": _VERSION,
        "generator": _GENERATOR,
        "settings": checkpoint.settings,
        "progress": checkpoint.progress,
        "sha256": _digest(checkpoint.arrays),
    }
    save(path, checkpoint.arrays, {_KEY: json.dumps(content)})


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a file and check that it is whole.

    Raises
    ------
    ModelError
        The file is truncated or damaged [E0801, E0810 to E0816], no checkpoint [E0845], or of
        another version [E0848]; its text is not what a checkpoint says [E0849], or its arrays are
        not those that were written [E0850].
    """
    file = SafetensorsFile(path)
    text = file.metadata.get(_KEY)
    if text is None:
        raise ModelError(
            "E0845",
            f"'{path}' is no checkpoint: a safetensors file without '{_KEY}'\n"
            "  hint: Module.load_state_dict takes weights alone",
        )
    content = parse_json_object(text.encode(), f"'{path}': {_KEY}")
    if content.get("version") != _VERSION or content.get("generator") != _GENERATOR:
        raise ModelError(
            "E0848",
            f"'{path}' has version {content.get('version')!r} and generator"
            f" {content.get('generator')!r}, expected {_VERSION} and '{_GENERATOR}'",
        )
    settings, progress = content.get("settings"), content.get("progress")
    if not isinstance(settings, dict) or not isinstance(progress, dict):
        raise ModelError("E0849", f"'{path}': settings and progress should be JSON objects")
    if not isinstance(settings.get("optimizer"), dict):
        raise ModelError("E0849", f"'{path}': settings should name an optimizer")
    arrays = {name: np.array(file[name]) for name in file}
    if _digest(arrays) != content.get("sha256"):
        raise ModelError(
            "E0850", f"'{path}' is damaged: its arrays are not those that were written"
        )
    return Checkpoint(arrays, settings, progress)


def _digest(arrays: dict[str, npt.NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype} {arrays[name].shape}\n".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
