"""Networks that are compiled anew for each value of inputs that decide shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tenon import _core
from tenon.errors import ExpressionError
from tenon.onnx._model import Model

__all__ = ["SpecialisedNetwork"]

Compiled = Callable[..., Any]
_MAX_KEPT = 64


class SpecialisedNetwork:
    """A network of which some inputs decide shapes.

    It is compiled at its first call with each of their values; the 64 used last are kept.
    """

    def __init__(
        self, model: Model, needed: Sequence[str], make: Callable[[_core.OnnxNetwork], Compiled]
    ) -> None:
        self._model = model
        self._needed = list(needed)
        self._make = make
        self._kept: dict[Any, Compiled] = {}

    @property
    def input_names(self) -> list[str]:
        """The names of the inputs, in order."""
        return self._model.input_names

    @property
    def value_names(self) -> list[str]:
        """The inputs whose elements decide shapes, as far as is known."""
        return list(self._needed)

    def __call__(self, *arrays: Any, **named: Any) -> Any:
        """Run on arrays, by position or by name; return a `Tensor`, or a tuple of them."""
        names = self.input_names
        given = {**dict(zip(names, arrays, strict=False)), **named}
        if len(arrays) + len(named) != len(names) or set(given) != set(names):
            raise ExpressionError(
                "E0155",
                f"the network takes {', '.join(names)}; got {len(arrays)} by position and"
                f" {', '.join(named)}",
            )
        while True:
            values = {name: np.asarray(given[name]) for name in self._needed}
            key = tuple((n, v.dtype.str, v.shape, v.tobytes()) for n, v in values.items())
            network = self._kept.pop(key, None)
            if network is None:
                graph = self._model.network(values)
                if graph.needed_values:
                    self._needed += graph.needed_values
                    self._kept.clear()
                    continue
                network = self._make(graph)
            self._kept[key] = network
            if len(self._kept) > _MAX_KEPT:
                del self._kept[next(iter(self._kept))]
            return network(*(given[name] for name in names if name not in values))
