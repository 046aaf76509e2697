"""A model that was read from an ONNX file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from tenon import _core

__all__ = ["Model", "load"]


class Model:
    """An ONNX model; made by `load`, compiled by `tenon.compile`."""

    def __init__(
        self,
        core: _core.OnnxModel,
        sizes: Mapping[str, int] | None = None,
        values: Mapping[str, Any] | None = None,
        shapes: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        self._core = core
        self._sizes = dict(sizes or {})
        self._values = dict(values or {})
        self._shapes = {name: list(shape) for name, shape in (shapes or {}).items()}

    @property
    def name(self) -> str:
        """The name of the graph."""
        return self._core.name

    @property
    def input_names(self) -> list[str]:
        """The inputs that a call takes, in the graph's order."""
        return [name for name in self._core.input_names if name not in self._values]

    def network(self, values: Mapping[str, Any] | None = None) -> _core.OnnxNetwork:
        """Return the graph, in which the inputs among `values` are constants."""
        return self._core.network({**self._values, **(values or {})}, self._sizes, self._shapes)

    def check(self) -> list[tuple[str, str, int, int, str, str]]:
        """Return domain, name, version, count, status and reason of each operator."""
        return self._core.check(self._values, self._sizes, self._shapes)

    def __repr__(self) -> str:
        return f"<tenon.onnx.Model {self.name!r} of {', '.join(self.input_names)}>"


def load(
    path: str | os.PathLike[str],
    *,
    sizes: Mapping[str, int] | None = None,
    values: Mapping[str, Any] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    external_data_root: str | os.PathLike[str] | None = None,
) -> Model:
    """Read an ONNX model; the file is not trusted.

    Parameters
    ----------
    path
        A file of the ONNX format (protobuf), IR version 3 to 13, opset 7 to 27.
    sizes
        Sizes of named dimensions; others stay symbols, for which one compiled network is valid.
    values
        Inputs that are constants, by name. An input whose elements decide shapes has to be one;
        when it is not given here, the network is compiled anew for each of its values.
    shapes
        Shapes of inputs, by name, for models that do not say them; -1 for an open size.
    external_data_root
        The folder beneath which files with weights are opened; by default the model's.

    Raises
    ------
    ModelError
        The file cannot be opened, is no ONNX model, or contradicts itself.
    """
    root = None if external_data_root is None else os.fspath(external_data_root)
    return Model(_core.OnnxModel.open(os.fspath(path), root), sizes, values, shapes)
