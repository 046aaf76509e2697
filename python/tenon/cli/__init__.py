"""The command line: `tenon` and `python -m tenon`.

Each command is a module of this package with `add_parser` and `run`; all are thin over the Python
package. docs/design/command_line.md says what they share: exit codes, output, bad input.
"""

from tenon.cli._main import main

__all__ = ["main"]
