"""`tenon inspect`: what a compiled model is made of, as text, JSON or a page."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tenon._config import config
from tenon.cli._command import add_command, check_target_folder, print_json, size_text, stage
from tenon.cli._inputs import add_input_options, add_run_options, given_inputs, make_inputs
from tenon.cli._model import arguments_of, compile_model

_DESCRIPTION = """\
Say what a model becomes: inputs and results, kernels with the operators fused into each, what graph
passes did and why, memory. With --html a page that draws it all, in one file that needs no
other; with --profile the times of kernels too."""


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
        "tenon inspect encoder_folder --size length=128 --json",
    )
    parser.add_argument("model", help="a file model.onnx, or the folder of a sentence encoder")
    parser.add_argument("--html", metavar="PAGE", help="write a page, such as model.html")
    parser.add_argument("--profile", action="store_true", help="measure the kernels as well")
    add_input_options(parser)
    add_run_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Compile and describe."""
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
