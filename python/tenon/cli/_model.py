"""Models that commands are given: ONNX files, model folders, libraries."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tenon._compile import Network, compile
from tenon.cli._command import stage
from tenon.errors import UserError

__all__ = ["Argument", "arguments_of", "arguments_of_library", "compile_model", "kind_of"]

_ELF = b"\x7fELF"


class Argument(NamedTuple):
    """An input or result of a network."""

    name: str
    dtype: str
    dims: tuple[str, ...]
    """Numbers, names of symbols, or expressions of them."""

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype}[{', '.join(self.dims)}]"


def kind_of(text: str) -> str:
    """Return what a path holds: ``"onnx"``, ``"folder"`` or ``"library"``.

    Raises
    ------
    UserError
        ``E1022``: there is nothing, or nothing that is read.
    """
    path = Path(text)
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError("E1022", f"cannot open the model '{text}': {reason}") from None
    if stat.S_ISDIR(status.st_mode):
        if (path / "config.json").exists():
            return "folder"
        raise UserError(
            "E1022", f"'{text}' is a folder without config.json; give a model folder or a file"
        )
    if not stat.S_ISREG(status.st_mode):
        raise UserError("E1022", f"the model '{text}' should be a regular file or a folder")
    try:
        with path.open("rb") as file:
            first = file.read(4)
    except OSError as error:
        raise UserError("E1022", f"cannot open the model '{text}': {error.strerror}") from None
    if first == _ELF:
        return "library"
    if path.suffix == ".onnx":
        return "onnx"
    raise UserError(
        "E1022",
        f"'{text}' is no model that Tenon reads: give a file named .onnx, a library made by"
        " tenon compile, or the folder of a sentence encoder",
    )


def compile_model(
    text: str, target: str, inputs: Mapping[str, str], sizes: Mapping[str, int] | None = None
) -> tuple[Network, list[str]]:
    """Read a model and compile it; return it and the inputs that became part of it.

    `inputs` are the texts of ``--input``: arrays of inputs that decide shapes become part of
    the network. `sizes` are those of symbols that become numbers.

    Raises
    ------
    UserError
        ``E1022`` as `kind_of`; ``E1031``: a library, which holds no graph; ``E1033``: the value of
        an input that decides shapes is missing; ``E1034``: no size is called so.
    Error
        What reading and compiling raise.
    """
    kind = kind_of(text)
    if kind == "library":
        raise UserError(
            "E1031", f"'{text}' is a library: it holds kernels and no graph; give the model itself"
        )
    name = os.path.basename(os.path.normpath(text))
    with stage(f"compiling {name}"):
        if kind == "onnx":
            return _onnx(text, target, inputs, sizes or {})
        if sizes:
            raise UserError(
                "E1034",
                f"the sizes of '{text}' are not fixed when it is compiled; leave --size away",
            )
        return _encoder(text, target), []


def _onnx(
    text: str, target: str, inputs: Mapping[str, str], sizes: Mapping[str, int]
) -> tuple[Network, list[str]]:
    from tenon import onnx
    from tenon.cli._inputs import read_array

    values: dict[str, Any] = {}
    if sizes:
        _check_sizes(text, sizes)
    while True:
        network = compile(onnx.load(text, sizes=sizes, values=values), target=target)
        if isinstance(network, Network):
            return network, list(values)
        for name in network.value_names:
            if not os.path.exists(inputs.get(name, "")):
                raise UserError(
                    "E1033",
                    f"input '{name}' of '{text}' decides shapes, so that its value has to be known"
                    f" when compiling; give it: --input {name}=file.npy",
                )
            values[name] = read_array(name, inputs[name])


def _check_sizes(text: str, sizes: Mapping[str, int]) -> None:
    """Raise UserError [E1034] for a size that no input of the model has."""
    from tenon import onnx

    known: set[str] = set()
    for value in onnx.load(text).network().inputs:
        known |= {str(dim) for dim in value.shape if not str(dim).isdigit()}
    for name in sizes:
        if name not in known:
            have = ", ".join(sorted(known)) or "none"
            raise UserError("E1034", f"--size {name}: the open sizes of '{text}' are {have}")


def _encoder(text: str, target: str) -> Network:
    from tenon.models.bert import BertEncoder
    from tenon.models.bert_config import load_bert_weights
    from tenon.models.model_folder import ModelFolder
    from tenon.safetensors import SafetensorsFile

    folder = ModelFolder(text)
    weights = load_bert_weights(SafetensorsFile(folder.weights_path), folder.config)
    return BertEncoder(folder.config, weights, target).compiled


def arguments_of_library(manifest: Mapping[str, Any]) -> tuple[list[Argument], list[Argument]]:
    """Return inputs and results of a library, as its manifest says."""
    lists = []
    for kind in ("inputs", "results"):
        rows = manifest[kind]
        lists.append([Argument(r["name"], r["dtype"], tuple(map(str, r["shape"]))) for r in rows])
    return lists[0], lists[1]


def arguments_of(network: Network) -> tuple[list[Argument], list[Argument]]:
    """Return inputs and results."""
    core: Any = network._compiled
    inputs = [Argument(name, dtype, tuple(dims)) for name, dtype, dims in core.arguments(False)]
    results = [
        Argument(name, dtype, tuple(dims))
        for name, (_, dtype, dims) in zip(network.result_names, core.arguments(True), strict=False)
    ]
    return inputs, results
