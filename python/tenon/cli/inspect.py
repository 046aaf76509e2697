"""`tenon inspect`: what a compiled model is made of, as text, JSON or a page."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tenon import aot
from tenon._config import config
from tenon.cli._command import add_command, check_target_folder, print_json, size_text, stage
from tenon.cli._inputs import add_input_options, add_run_options, given_inputs, make_inputs
from tenon.cli._model import arguments_of, arguments_of_library, compile_model, kind_of
from tenon.errors import ModelError, UserError

_DESCRIPTION = """\
Say what a model becomes: inputs and results, kernels with the operators fused into each, what graph
passes did and why, memory. With --html a page that draws it all, in one file that needs no
other; with --profile the times of kernels too. Of a library: its levels, inputs, results and
parts; with --verify every byte is compared with the digests in it, and exit code 1 says that it
is damaged."""


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "inspect",
        run,
        "what a compiled model is made of; --html draws it",
        _DESCRIPTION,
        "tenon inspect model.onnx\n"
        "tenon inspect model.onnx --html model.html --profile\n"
        "tenon inspect encoder_folder --size length=128 --json\n"
        "tenon inspect model.so --verify",
    )
    parser.add_argument(
        "model", help="a file model.onnx, a library, or the folder of a sentence encoder"
    )
    parser.add_argument(
        "--verify", action="store_true", help="compare every byte of a library with its digests"
    )
    parser.add_argument("--html", metavar="PAGE", help="write a page, such as model.html")
    parser.add_argument("--profile", action="store_true", help="measure the kernels as well")
    add_input_options(parser)
    add_run_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Compile and describe; of a library, print what it says."""
    if kind_of(arguments.model) == "library":
        return _library(arguments)
    if arguments.verify:
        raise UserError("E1031", "--verify is for libraries; a model is checked when it is read")
    given = given_inputs(arguments)
    if arguments.html is not None:
        check_target_folder(Path(arguments.html), "--html")
    before = config.threads
    config.threads = arguments.threads
    try:
        network, constants = compile_model(arguments.model, arguments.target, given.inputs)
        arrays = make_inputs(arguments_of(network)[0], given, constants)
        profile = None
        if arguments.profile:
            with stage("measuring"):
                profile = network.profile(*arrays, seconds=arguments.seconds)
        shapes = [list(array.shape) for array in arrays]
        if arguments.html is not None:
            network.html(arguments.html, shapes, profile)
        found = network.describe(shapes, profile)
    finally:
        config.threads = before
    if arguments.json:
        print_json(found)
        return 0
    for kind, rows in (("input", found["inputs"]), ("result", found["results"])):
        for row in rows:
            print(f"{kind:<7} {row['name']}: {row['type']}")
    print(network.report(), end="")
    memory = found["memory"]
    sizes = ", ".join(f"{name} = {size}" for name, size in found["sizes"].items())
    print(
        f"temporaries: {size_text(memory['arena_bytes'])} in {len(memory['blocks'])} blocks"
        + (f" for {sizes}" if sizes else "")
    )
    if profile is not None:
        print(profile)
    if arguments.html is not None:
        print(f"wrote {arguments.html}")
    return 0


def _library(arguments: argparse.Namespace) -> int:
    if arguments.html is not None or arguments.profile:
        raise UserError(
            "E1031",
            f"'{arguments.model}' is a library: it holds kernels and no graph; --html and --profile"
            " need the model itself",
        )
    manifest = aot.inspect(arguments.model)
    problem = None
    if arguments.verify:
        try:
            aot.verify(arguments.model)
        except ModelError as error:
            problem = str(error)
    if arguments.json:
        print_json({**manifest, "verified": arguments.verify and problem is None})
        return 1 if problem else 0
    print(f"library of '{manifest['model']}', made by {manifest['producer']}")
    inputs, results = arguments_of_library(manifest)
    for kind, rows in (("input", inputs), ("result", results)):
        for row in rows:
            print(f"{kind:<7} {row}")
    for level in manifest["levels"]:
        print(f"level   {level['name']}: {level['kernels']} kernels, needs {_text(level['needs'])}")
    print(f"weights {size_text(manifest['weights_bytes'])}")
    for name, part in manifest["parts"].items():
        print(f"part    {name}: {size_text(part['bytes'])}, SHA-256 {part['sha256']}")
    if problem is not None:
        print(f"NOT intact: {problem}")
        return 1
    if arguments.verify:
        print("intact: every byte is as it was written")
    return 0


def _text(names: Any) -> str:
    return ", ".join(map(str, names)) if isinstance(names, list) else str(names)
