"""`tenon compile`: a model as a shared library."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tenon._export import export
from tenon.cli._command import add_command, check_target_folder, print_json, size_text, stage
from tenon.cli._inputs import named, parse_sizes
from tenon.cli._model import arguments_of, compile_model
from tenon.errors import UserError

_DESCRIPTION = """\
Make a shared library of a model, and a C header beside it. The library holds kernels for several
levels of instruction sets, weights and runtime: it needs no Python, no compiler and no Tenon.
Symbolic sizes stay open, so that one library serves every batch."""


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "compile",
        run,
        "make a shared library of a model",
        _DESCRIPTION,
        "tenon compile model.onnx -o model.so\n"
        "tenon compile model.onnx -o model.so --targets x86-64-v3,x86-64-v4 --name resnet\n"
        "tenon compile model.onnx -o model.so --symbolic batch --size length=128",
    )
    parser.add_argument("model", help="a file model.onnx, or the folder of a sentence encoder")
    parser.add_argument("-o", "--output", required=True, metavar="LIBRARY", help="such as model.so")
    parser.add_argument(
        "--targets", help="levels, separated by commas (default: x86-64-v3,x86-64-v4,native)"
    )
    parser.add_argument("--name", help="of the model in C (default: the name of the library)")
    parser.add_argument(
        "--size", action="append", default=[], metavar="SYMBOL=N", help="fix a symbolic size"
    )
    parser.add_argument(
        "--symbolic",
        metavar="NAMES",
        help="the sizes that stay open, separated by commas; all others have to be given by --size",
    )
    parser.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="NAME=FILE.npy",
        help="the value of an input that decides shapes; it becomes part of the library",
    )


def run(arguments: argparse.Namespace) -> int:
    """Compile, write, and say what was written."""
    inputs = named(arguments.input, "--input", "shape=file.npy")
    sizes = parse_sizes(arguments.size)
    path = Path(arguments.output)
    check_target_folder(path, "--output")
    network, _ = compile_model(arguments.model, "cpu", inputs, sizes)
    accepted, produced = arguments_of(network)
    symbols = sorted({d for a in accepted for d in a.dims if not d.isdigit()})
    if arguments.symbolic is not None:
        check_symbols(arguments.symbolic.split(","), symbols)
    with stage(f"writing {path.name}"):
        made = export(network, path, targets=arguments.targets, name=arguments.name)
    if arguments.json:
        print_json(
            {
                "library": str(made.path),
                "header": str(made.header),
                "name": made.name,
                "levels": list(made.levels),
                "bytes": made.path.stat().st_size,
                "symbols": symbols,
            }
        )
        return 0
    for argument in accepted:
        print(f"input   {argument}")
    for argument in produced:
        print(f"result  {argument}")
    print(f"wrote {made.path}: {size_text(made.path.stat().st_size)}, {', '.join(made.levels)}")
    print(f"wrote {made.header}")
    return 0


def check_symbols(wanted: list[str], symbols: list[str]) -> None:
    """Raise UserError [E1034] unless just the wanted sizes are open."""
    for name in wanted:
        if name not in symbols:
            have = ", ".join(symbols) or "none"
            raise UserError("E1034", f"--symbolic {name}: the sizes that can stay open are {have}")
    rest = [name for name in symbols if name not in wanted]
    if rest:
        raise UserError(
            "E1034",
            f"the sizes {', '.join(rest)} are open and not among --symbolic; fix them:"
            f" --size {rest[0]}=N",
        )
