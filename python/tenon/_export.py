"""Networks as shared libraries: `export`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tenon import _core
from tenon._compile import Network, compile
from tenon._config import config
from tenon._numerics import CheckedNetwork
from tenon.errors import ResourceError, UserError
from tenon.models.bert import BertEncoder
from tenon.models.sentence_encoder import SentenceEncoder
from tenon.nn._module import Module

__all__ = ["Library", "export"]

DEFAULT_TARGETS = ("x86-64-v3", "x86-64-v4", "native")


@dataclass(frozen=True)
class Library:
    """What `export` made."""

    path: Path
    """The shared library."""
    header: Path
    """Its C header."""
    name: str
    """The model's name, which the library's functions begin with."""
    levels: tuple[str, ...]
    """The levels of instruction sets that it has code for, in the order of choice."""


def export(
    network: Network | Module | Callable[..., Any] | SentenceEncoder,
    path: str | os.PathLike[str],
    inputs: Sequence[Any] | None = None,
    *,
    targets: str | Sequence[str | _core.Target] | None = None,
    name: str | None = None,
) -> Library:
    """Make a shared library of a network, and a C header beside it.

    The library holds kernels, weights, plan and runtime: it needs the C library of the system and
    nothing else. It gives the bits that the network gives here, on every CPU of a level that it has
    code for; the best level is chosen when the model is loaded. Symbolic sizes stay symbolic.

    Parameters
    ----------
    network
        A compiled network or `models.SentenceEncoder`; or a module or function as `compile` takes
        it, with `inputs`.
    path
        Of the library, such as ``"model.so"``; the header has the extension ``.h``.
    inputs
        For a module or function: as `compile` takes them.
    targets
        Levels, as a list or separated by commas: ``"x86-64-v3"``, ``"x86-64-v4"``, names of CPUs
        such as ``"znver4"``, ``"native"`` for this machine. By default x86-64-v3, x86-64-v4 and
        native.
    name
        Of the model: a C identifier. By default the name of the file.

    Raises
    ------
    TargetError
        A level is not known [E0930], is none that libraries have code for [E0931], or there is
        none [E0936].
    UserError
        The name is no C identifier [E0932]; `inputs` are missing or not wanted [E0938]; the
        network was compiled with ``config.check_numerics`` [E0937]; it is none [E0939].
    ResourceError
        A file cannot be written [E0933]; linking fails [E0934]; the package lacks its runtime
        [E0935].

    Examples
    --------
    >>> import tempfile
    >>> import tenon as tn
    >>> folder = tempfile.TemporaryDirectory()
    >>> linear = tn.nn.Linear(4, 2)
    >>> made = tn.export(
    ...     linear, folder.name + "/model.so", [tn.TensorSpec(["n", 4])], targets="x86-64-v3"
    ... )
    >>> made.name, made.levels, made.header.name
    ('model', ('x86-64-v3',), 'model.h')
    """
    file = Path(os.fspath(path))
    title = _name_of(file) if name is None else name
    _core.check_model_name(title)
    levels = [_core.Level(text) for text in _texts(targets)]
    core = _compiled(network, inputs)._core
    if isinstance(core, CheckedNetwork):
        raise UserError(
            "E0937",
            "the network was compiled with config.check_numerics, which needs Python"
            "\n  hint: compile it again with check_numerics=False",
        )
    runtime = Path(__file__).parent / "tenon_rt.o"
    if not runtime.is_file():
        raise ResourceError(
            "E0935", f"the package lacks '{runtime.name}', the runtime that libraries hold"
        )
    made = _core.export_library(
        core, str(file), title, levels, str(runtime), config.verify != "off"
    )
    return Library(file, file.with_suffix(".h"), title, tuple(made))


def _name_of(file: Path) -> str:
    """Return the file's name as a C identifier."""
    stem = file.name.split(".")[0]
    name = re.sub(r"[^A-Za-z0-9_]", "_", stem.removeprefix("lib") or stem)
    return f"model_{name}" if re.match(r"[0-9_]|tenon|$", name) else name


def _texts(targets: str | Sequence[str | _core.Target] | None) -> list[str]:
    if targets is None:
        return list(DEFAULT_TARGETS)
    if isinstance(targets, _core.Target):
        return [str(targets)]
    parts = targets.split(",") if isinstance(targets, str) else list(targets)
    return [str(part).strip() for part in parts]


def _compiled(network: Any, inputs: Sequence[Any] | None) -> Network:
    """Return the network, compiled for this machine if it is not yet."""
    if isinstance(network, SentenceEncoder):
        network = network.network
    if isinstance(network, BertEncoder):
        network = network.compiled
    is_compiled = isinstance(network, Network)
    if not is_compiled and not callable(network):
        raise UserError(
            "E0939",
            f"export takes a network, a module or a function, got {type(network).__name__}",
        )
    if is_compiled == (inputs is not None):
        raise UserError(
            "E0938",
            "a compiled network has its inputs already: leave inputs= away"
            if is_compiled
            else "a module or function needs inputs=, as tn.compile takes them",
        )
    return network if isinstance(network, Network) else compile(network, inputs or [])
