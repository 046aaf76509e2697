"""`tenon run`: run a model once."""

from __future__ import annotations

import argparse
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tenon import aot
from tenon._config import config
from tenon._files import write_atomically
from tenon.cli._command import (
    add_command,
    check_target_folder,
    number,
    print_json,
    stage,
    table,
)
from tenon.cli._inputs import (
    Given,
    add_input_options,
    for_target,
    given_inputs,
    is_gpu,
    make_inputs,
)
from tenon.cli._model import (
    Argument,
    arguments_of,
    arguments_of_library,
    compile_model,
    kind_of,
)
from tenon.errors import UserError

_DESCRIPTION = """\
Run a model once and say what comes out: name, type, and a summary of each result. Inputs are .npy
or .npz files, or random arrays, which are the same for the same seed."""


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "run",
        run,
        "run a model once",
        _DESCRIPTION,
        "tenon run model.onnx\n"
        "tenon run model.onnx --input image=photo.npy --output results/\n"
        "tenon run encoder_folder --size batch=2 --size length=16 --input ids=random:0:30000\n"
        "tenon run model.onnx --input x=data.npz:x --output results.npz\n"
        "tenon run model.so --size batch=4",
    )
    parser.add_argument(
        "model", help="a file model.onnx, a library, or the folder of a sentence encoder"
    )
    add_input_options(parser)
    parser.add_argument(
        "--output", metavar="PLACE", help="a folder for one .npy file a result, or a file.npz"
    )
    parser.add_argument("--threads", type=number(0, 1024), default=0, help="threads")
    parser.add_argument(
        "--target", default="cpu", help="such as 'cpu -mcpu=x86-64-v3' or cuda (a GPU)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run, print, write."""
    given = given_inputs(arguments)
    if arguments.output is not None:
        check_output(arguments.output)
    before = config.threads
    config.threads = arguments.threads
    try:
        accepted, produced, constants, call = _callable(arguments, given)
        arrays = make_inputs(accepted, given, constants)
        returned = call(*arrays)
    finally:
        config.threads = before
    results = returned if isinstance(returned, tuple) else (returned,)
    values = {a.name: np.asarray(r) for a, r in zip(produced, results, strict=True)}
    written = [] if arguments.output is None else write_results(arguments.output, values)
    passed = {a.name: array for a, array in zip(accepted, arrays, strict=True)}
    if arguments.json:
        print_json(
            {
                "inputs": {name: summary(array) for name, array in passed.items()},
                "results": {name: summary(array) for name, array in values.items()},
                "files": written,
            }
        )
        return 0
    rows: list[tuple[str, ...]] = [("", "name", "type", "minimum", "maximum", "mean", "not finite")]
    rows += [_row("input", name, array) for name, array in passed.items()]
    rows += [_row("result", name, array) for name, array in values.items()]
    print(table(rows, right=(3, 4, 5, 6)), end="")
    for file in written:
        print(f"wrote {file}")
    return 0


def _callable(
    arguments: argparse.Namespace, given: Given
) -> tuple[list[Argument], list[Argument], list[str], Callable[..., Any]]:
    """Return inputs, results, inputs that became constants, and what to call."""
    if kind_of(arguments.model) == "library":
        with stage("opening the library"):
            library = aot.load(arguments.model)
        accepted, produced = arguments_of_library(library.manifest)
        return accepted, produced, [], library
    network, constants = compile_model(arguments.model, arguments.target, given.inputs)
    accepted, produced = arguments_of(network)
    core = network._compiled

    def call(*arrays: Any) -> Any:
        returned = core(*for_target(arrays, arguments.target))
        results = returned if isinstance(returned, tuple) else (returned,)
        return tuple(result.to("cpu") for result in results)

    return accepted, produced, constants, call if is_gpu(arguments.target) else core


def summary(array: npt.NDArray[Any]) -> dict[str, Any]:
    """Return type and a few figures of an array."""
    result: dict[str, Any] = {"dtype": str(array.dtype), "shape": list(array.shape)}
    numbers = array.astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    result["not_finite"] = int(numbers.size - finite.size)
    for name, reduce in (("minimum", np.min), ("maximum", np.max), ("mean", np.mean)):
        result[name] = float(reduce(finite)) if finite.size else None
    return result


def _row(kind: str, name: str, array: npt.NDArray[Any]) -> tuple[str, ...]:
    found = summary(array)
    figures = [found[key] for key in ("minimum", "maximum", "mean")]
    texts = ["-" if figure is None else f"{figure:.6g}" for figure in figures]
    shape = ", ".join(str(size) for size in found["shape"])
    return kind, name, f"{found['dtype']}[{shape}]", *texts, str(found["not_finite"])


def check_output(place: str) -> None:
    """Raise UserError [E1028] before work is done for results that cannot be written."""
    path = Path(place)
    if path.suffix == ".npz":
        check_target_folder(path, "--output")
        return
    if path.exists() and not path.is_dir():
        raise UserError("E1028", f"--output '{place}' is a file; give a folder, or a name .npz")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            "E1028", f"--output '{place}' cannot be made a folder: {error.strerror}"
        ) from None
    check_target_folder(path / "result.npy", "--output")


def write_results(place: str, values: dict[str, npt.NDArray[Any]]) -> list[str]:
    """Write the results; return the names of the files."""
    arrays: dict[str, Any] = _by_file_name(values)
    if Path(place).suffix == ".npz":
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        write_atomically(Path(place), [buffer.getbuffer()])
        return [place]
    written = []
    for name, array in arrays.items():
        path = Path(place) / f"{name}.npy"
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=False)
        write_atomically(path, [buffer.getbuffer()])
        written.append(str(path))
    return written


def _by_file_name(values: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """Return the results by names that are names of files; a model chooses the others."""
    named: dict[str, npt.NDArray[Any]] = {}
    for name, array in values.items():
        base = re.sub(r"[^A-Za-z0-9_.-]", "_", name).lstrip(".")[:100] or "result"
        unique, n = base, 1
        while unique in named:
            unique, n = f"{base}_{n}", n + 1
        named[unique] = array
    return named
