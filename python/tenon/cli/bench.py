"""`tenon bench`: where the time of a network goes."""

from __future__ import annotations

import argparse
from typing import Any

from tenon._config import config
from tenon.cli._command import add_command, number, print_json, stage
from tenon.cli._inputs import add_input_options, make_inputs, named, parse_shapes, parse_sizes
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


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add threads, target and duration."""
    parser.add_argument(
        "--threads", type=number(0, 1024), default=0, help="threads (default: all that may be used)"
    )
    parser.add_argument("--target", default="cpu", help="such as 'cpu -mcpu=x86-64-v3'")
    parser.add_argument(
        "--seconds", type=number(0.0, 3600.0, float), default=2.0, help="how long (default: 2)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Measure and print."""
    inputs = named(arguments.input, "--input", "x=file.npy")
    shapes, sizes = parse_shapes(arguments.shape), parse_sizes(arguments.size)
    before = config.threads
    config.threads = arguments.threads
    try:
        network = compile_model(arguments.model, arguments.target)
        arrays = make_inputs(arguments_of(network)[0], inputs, shapes, sizes, arguments.seed)
        with stage("measuring"):
            profile = network.profile(*arrays, seconds=arguments.seconds)
    finally:
        config.threads = before
    if arguments.json:
        print_json(profile.as_dict())
    else:
        print(profile)
    return 0
