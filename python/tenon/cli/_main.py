"""Parsing of the command line, and what becomes of failures."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from tenon._core import __version__
from tenon.cli import bench, check, compile, doctor, explain, inspect, run, tune
from tenon.errors import Error, InternalError, UserError

__all__ = ["EXIT_BAD_INPUT", "EXIT_INTERNAL", "EXIT_OK", "EXIT_PROBLEM", "main"]

EXIT_OK = 0
EXIT_PROBLEM = 1
EXIT_BAD_INPUT = 2
EXIT_INTERNAL = 3
_EXIT_INTERRUPTED = 130
_COMMANDS = (compile, check, run, bench, tune, inspect, doctor, explain)
_MAX_LINE = 600

_EPILOG = """\
examples:
  tenon doctor                               what this machine has, and what it lacks
  tenon check model.onnx                     which operators can be run
  tenon compile model.onnx -o model.so       make a library
  tenon run model.onnx --input x=photo.npy   run once
  tenon bench model.onnx --size batch=8      where the time goes
  tenon tune show                            measured schedules of this machine
  tenon inspect model.onnx --html page.html  draw it
  tenon explain E0203                        what an error code means

exit codes: 0 fine, 1 a problem was found, 2 bad input (one line on stderr), 3 a bug of Tenon.
`tenon COMMAND --help` has the options and examples of a command.
"""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, with a code; `exit` is for --help alone."""

    def error(self, message: str) -> NoReturn:
        """Raise UserError [E1020]."""
        raise UserError("E1020", f"{message}; '{self.prog} --help' shows what it takes")


def make_parser() -> Parser:
    """Return the parser of all commands."""
    parser = Parser(
        prog="tenon",
        description="Compile, run, measure and look into networks.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"tenon {__version__}")
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, parser_class=Parser
    )
    for command in _COMMANDS:
        command.add_parser(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns
    -------
    int
        0: fine; 1: a problem was found; 2: bad input, one line on stderr; 3: a bug of Tenon;
        130: interrupted.
    """
    try:
        texts = sys.argv[1:] if arguments is None else list(arguments)
        check_texts(texts)
        given = make_parser().parse_args(texts)
        code: int = given.run(given)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("tenon: interrupted", file=sys.stderr)
        return _EXIT_INTERRUPTED
    except BrokenPipeError:
        # Who reads has had enough; nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except InternalError as error:
        return _bug(error)
    except Error as error:
        print(f"tenon: {one_line(error)}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except MemoryError:
        print("tenon: memory ran out; use smaller inputs", file=sys.stderr)
        return EXIT_BAD_INPUT
    except SystemExit as stop:  # --help and --version
        return stop.code if isinstance(stop.code, int) else EXIT_OK
    except Exception as error:  # no traceback of ours reaches a user
        return _bug(error)


def check_texts(texts: Sequence[str]) -> None:
    """Raise UserError [E1020] for an argument that is not UTF-8, as names of files may be."""
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError:
            shown = text.encode(errors="surrogateescape").decode(errors="backslashreplace")
            raise UserError(
                "E1020", f"the argument '{shown}' is not UTF-8; rename the file, or link to it"
            ) from None


def one_line(error: Error) -> str:
    """Return the first line of a message and its hint."""
    lines = str(error).splitlines() or [type(error).__name__]
    hints = [line.strip() for line in lines[1:] if line.strip().startswith("hint: ")]
    text = lines[0] + "".join("; " + hint for hint in hints)
    return text if len(text) <= _MAX_LINE else text[: _MAX_LINE - 3] + "..."


def _bug(error: Exception) -> int:
    if os.environ.get("TENON_TRACEBACK") == "1":
        raise error
    lines = str(error).splitlines() or [""]
    print(
        f"tenon: a bug of Tenon: {type(error).__name__}: {lines[0]}; please report it with the"
        " command (TENON_TRACEBACK=1 shows where it happened)",
        file=sys.stderr,
    )
    return EXIT_INTERNAL
