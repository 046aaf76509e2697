"""What of an ONNX model is supported."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from tenon.onnx._model import Model, load

__all__ = ["OperatorReport", "Report", "check"]


@dataclass(frozen=True)
class OperatorReport:
    """One kind of operator of a model."""

    domain: str
    """Empty for the standard operators."""
    name: str
    version: int
    """The opset of its domain; 0 for a function of the model."""
    count: int
    """How many nodes there are, those in bodies and functions included."""
    status: str
    """``"native"``, ``"decomposed"`` or ``"unsupported"``."""
    reason: str
    """Why it is not supported, or what it is decomposed into."""


@dataclass(frozen=True)
class Report:
    """Every operator of a model; prints as a table."""

    operators: list[OperatorReport]

    @property
    def is_supported(self) -> bool:
        """Whether the model can be compiled."""
        return all(row.status != "unsupported" for row in self.operators)

    def __str__(self) -> str:
        rows = [("operator", "nodes", "status", "reason")]
        for r in sorted(self.operators, key=lambda r: (r.status != "unsupported", r.name)):
            name = f"{r.domain}.{r.name}" if r.domain else r.name
            rows.append((f"{name}-{r.version}", str(r.count), r.status, r.reason))
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        return "\n".join(
            f"{a:{widths[0]}}  {b:>{widths[1]}}  {c:{widths[2]}}  {d}".rstrip()
            for a, b, c, d in rows
        )


def check(model: str | os.PathLike[str] | Model, **options: Any) -> Report:
    """Say of every operator whether it is native, decomposed or unsupported, without compiling.

    Parameters
    ----------
    model
        A path, or what `load` returned.
    options
        As `load` takes them, for a path.

    Raises
    ------
    ModelError
        As `load`; and for a node that contradicts the definition of its operator.
    """
    loaded = model if isinstance(model, Model) else load(model, **options)
    return Report([OperatorReport(*row) for row in loaded.check()])
