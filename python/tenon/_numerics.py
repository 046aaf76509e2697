"""Networks that look for NaN and infinities: `config.check_numerics`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tenon import _core
from tenon._config import config
from tenon.errors import NumericError

__all__ = ["CheckedNetwork", "compile_graph"]

GraphValues = Sequence[_core.GraphValue]


def compile_graph(
    inputs: GraphValues,
    outputs: GraphValues,
    title: str,
    target: _core.Target,
    in_place: Sequence[tuple[int, int]] = (),
    result_names: Sequence[str] = (),
) -> _core.CompiledNetwork | CheckedNetwork:
    """Compile a network as `config` says; `in_place` has pairs (output, input).

    `result_names` are what a file calls the outputs.
    """
    if config.check_numerics:
        return CheckedNetwork(inputs, outputs, title, target)
    return _core.compile_graph(
        list(inputs),
        list(outputs),
        title,
        target,
        config.verify != "off",
        in_place,
        result_names,
        config.libraries,
    )


class CheckedNetwork:
    """A network whose results include those of all operators, which each call looks at."""

    def __init__(
        self, inputs: GraphValues, outputs: GraphValues, title: str, target: _core.Target
    ) -> None:
        self._num_outputs = len(outputs)
        self._inputs = list(inputs)
        self._order = [v for v in _in_order(outputs) if v.op != "input"]
        watched = [v for v in self._order if _is_float(v)]
        self._watched = [v.identity for v in watched]
        self._core = _core.compile_graph(
            self._inputs, [*outputs, *watched], title, target, config.verify != "off"
        )
        self.calls = self._core.calls
        self.num_compiled = self._core.num_compiled
        self.compile_seconds = self._core.compile_seconds

    def __call__(self, *arrays: Any, out: Any = None) -> Any:
        """Run; nothing is written to `out` when an operator made NaN or infinity."""
        found = self._core(*arrays)
        results = list(found) if isinstance(found, tuple) else [found]
        values = [np.asarray(result) for result in results]
        self._check(arrays, dict(zip(self._watched, values[self._num_outputs :], strict=True)))
        kept = results[: self._num_outputs]
        if out is not None:
            targets = [out] if len(kept) == 1 else list(out)
            for i, target in enumerate(targets):
                if target is not None:
                    np.copyto(np.asarray(target), values[i])
                    kept[i] = target
        return kept[0] if len(kept) == 1 else tuple(kept)

    def report(self) -> str:
        """Return which kernels run."""
        return self._core.report()

    def workspace_bytes(self, shapes: list[list[int]]) -> int:
        """Return how much memory temporaries take."""
        return self._core.workspace_bytes(shapes)

    def _check(self, arrays: Sequence[Any], results: dict[int, npt.NDArray[Any]]) -> None:
        is_finite: dict[int, bool] = {}
        for value, given in zip(self._inputs, arrays, strict=True):
            is_finite[value.identity] = not _is_float(value) or _place(np.asarray(given)) is None
        for value in self._order:
            result = results.get(value.identity)
            place = None if result is None else _place(result)
            is_finite[value.identity] = place is None
            if place is None or result is None or value.op == "constant":
                continue
            if all(is_finite.get(operand.identity, True) for operand in value.inputs):
                line = f" at {value.line}" if value.line else ""
                at = f" at [{', '.join(str(i) for i in place)}]" if place else ""
                operands = ", ".join(str(operand) for operand in value.inputs)
                raise NumericError(
                    "E0704",
                    f"operator '{value.op}'{line} made {result[place]}{at} of finite operands"
                    f" ({operands})",
                )


def _place(array: npt.NDArray[Any]) -> tuple[int, ...] | None:
    """Return the first place of a NaN or an infinity."""
    bad = ~np.isfinite(array)
    if not bad.any():
        return None
    return tuple(int(i) for i in np.unravel_index(int(bad.argmax()), array.shape))


def _is_float(value: _core.GraphValue) -> bool:
    return value.dtype.startswith(("float", "bfloat"))


def _in_order(outputs: GraphValues) -> list[_core.GraphValue]:
    """Return all values behind the outputs, operands first."""
    order: list[_core.GraphValue] = []
    done: set[int] = set()
    stack = [(value, False) for value in reversed(outputs)]
    while stack:
        value, is_finished = stack.pop()
        if is_finished:
            order.append(value)
        elif value.identity not in done:
            done.add(value.identity)
            stack.append((value, True))
            stack.extend((operand, False) for operand in reversed(value.inputs))
    return order
