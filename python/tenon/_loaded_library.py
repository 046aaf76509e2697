"""Libraries that `export` made, run from Python: `aot.load`."""

from __future__ import annotations

from typing import Any

from tenon import _core
from tenon.errors import ExpressionError

__all__ = ["LoadedLibrary"]


class LoadedLibrary:
    """A model in a shared library, made by `aot.load`; several threads may call it."""

    manifest: dict[str, Any]
    """What the library says of itself, as `aot.inspect` returns it."""

    def __init__(self, path: str, manifest: dict[str, Any]) -> None:
        self.manifest = manifest
        self._model = _core.LoadedModel(path, str(manifest["model"]))

    @property
    def input_names(self) -> list[str]:
        """The names of the inputs, in order."""
        return [str(row["name"]) for row in self.manifest["inputs"]]

    @property
    def result_names(self) -> list[str]:
        """The names of the results, in order."""
        return [str(row["name"]) for row in self.manifest["results"]]

    def __call__(self, *arrays: Any, **named: Any) -> Any:
        """Run on arrays, by position or by name; return a `Tensor`, or a tuple of several."""
        names = self.input_names
        rest = names[len(arrays) :]
        if len(arrays) > len(names) or set(named) != set(rest):
            raise ExpressionError(
                "E0155",
                f"the library takes {', '.join(names)}; got {len(arrays)} by position and"
                f" {', '.join(named) or 'none by name'}",
            )
        results = self._model(*arrays, *(named[name] for name in rest))
        return results[0] if len(results) == 1 else tuple(results)
