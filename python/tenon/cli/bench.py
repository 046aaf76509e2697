"""`tenon bench`: where the time of a network goes."""

from __future__ import annotations

import argparse
import time
from typing import Any

from tenon import aot
from tenon._config import config
from tenon._profile import latency_of
from tenon.cli._command import add_command, print_json, stage, time_text
from tenon.cli._inputs import (
    Given,
    add_input_options,
    add_run_options,
    for_target,
    given_inputs,
    is_gpu,
    make_inputs,
)
from tenon.cli._model import arguments_of, arguments_of_library, compile_model, kind_of

_MIN_CALLS = 5
_DESCRIPTION = """\
Run a model and say where its time goes: for each kernel its time, share, operations and bytes per
second, and how near it comes to what this machine reaches (the roof, measured on the spot); then
the latency of whole calls. Of a library: the latency alone."""


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
    parser.add_argument(
        "model", help="a file model.onnx, a library, or the folder of a sentence encoder"
    )
    add_input_options(parser)
    add_run_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure and print."""
    given = given_inputs(arguments)
    before = config.threads
    config.threads = arguments.threads
    try:
        if kind_of(arguments.model) == "library":
            return _library(arguments, given)
        network, constants = compile_model(arguments.model, arguments.target, given.inputs)
        arrays = make_inputs(arguments_of(network)[0], given, constants)
        with stage("measuring"):
            profile = network.profile(
                *for_target(arrays, arguments.target),
                seconds=arguments.seconds,
                roof=not is_gpu(arguments.target),  # the peaks are the CPU's
            )
    finally:
        config.threads = before
    if arguments.json:
        print_json(profile.as_dict())
    else:
        print(profile)
    return 0


def _library(arguments: argparse.Namespace, given: Given) -> int:
    with stage("opening the library"):
        library = aot.load(arguments.model)
    arrays = make_inputs(arguments_of_library(library.manifest)[0], given)
    durations: list[float] = []
    library(*arrays)
    with stage("measuring"):
        begin = time.perf_counter()
        while len(durations) < _MIN_CALLS or time.perf_counter() - begin < arguments.seconds:
            start = time.perf_counter()
            library(*arrays)
            durations.append(time.perf_counter() - start)
    latency = latency_of(durations)
    name = str(library.manifest["model"])
    if arguments.json:
        print_json(
            {
                "library": name,
                "threads": config.threads,
                "num_runs": len(durations),
                "latency": latency._asdict(),
            }
        )
        return 0
    texts = [time_text(seconds) for seconds in latency]
    print(
        f"{name}: latency {texts[0]} median, {texts[1]} minimum, {texts[2]} p90;"
        f" {config.threads} thread{'s' * (config.threads > 1)}, {len(durations)} runs"
    )
    return 0
