"""`tenon bench`: where the time of a network goes."""

from __future__ import annotations

import argparse
from typing import Any

from tenon._config import config
from tenon.cli._command import add_command, print_json, stage
from tenon.cli._inputs import add_input_options, add_run_options, given_inputs, make_inputs
from tenon.cli._model import arguments_of, compile_model

_DESCRIPTION = """\
Run a model and say where its time goes: for each kernel its time, share, operations and bytes per
second, and how near it comes to what this machine reaches (the roof, measured on the spot); then
the latency of whole calls."""


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "bench",
        run,
        "time a model, kernel by kernel",
        _DESCRIPTION,
        "tenon bench model.onnx\n"
        "tenon bench model.onnx --shape input=1,3,224,224 --threads 1\n"
        "tenon bench encoder_folder --size batch=1 --size length=128 --json",
    )
    parser.add_argument("model", help="a file model.onnx, or the folder of a sentence encoder")
    add_input_options(parser)
    add_run_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure and print."""
    given = given_inputs(arguments)
    before = config.threads
    config.threads = arguments.threads
    try:
        network, constants = compile_model(arguments.model, arguments.target, given.inputs)
        arrays = make_inputs(arguments_of(network)[0], given, constants)
        with stage("measuring"):
            profile = network.profile(*arrays, seconds=arguments.seconds)
    finally:
        config.threads = before
    if arguments.json:
        print_json(profile.as_dict())
    else:
        print(profile)
    return 0
