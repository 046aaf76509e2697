"""A BERT-family sentence encoder as one callable: ids and mask in, normalised vectors out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tenon._compile import Network, TensorSpec, compile
from tenon.errors import ShapeError
from tenon.models.bert_config import BertConfig
from tenon.models.bert_module import BertModule

__all__ = ["BertEncoder"]

Floats = npt.NDArray[np.float32]


class BertEncoder:
    """The compiled network. It may be called from several threads.

    Parameters
    ----------
    config
        The sizes.
    weights
        By their published names; embeddings are used in place, matrices are packed.
    target
        What to compile for; this machine by default.
    """

    compiled: Network
    """The network: its report, its kernels, its workspace."""
    num_kernels: int
    """How many kernels were compiled: one set serves every batch and length."""
    compile_s: float
    """How long it took to compile them, or to find them in the cache, in seconds."""

    def __init__(
        self, config: BertConfig, weights: Mapping[str, Floats], target: str | None = None
    ) -> None:
        module = BertModule(config)
        module.load_state_dict(weights)
        inputs = [
            TensorSpec(["batch", "length"], "int64"),
            TensorSpec(["batch", "length"], "bool"),
        ]
        self.compiled = compile(module, inputs, target or "cpu", "encoder")
        self.num_kernels = self.compiled.num_compiled
        self.compile_s = self.compiled.compile_seconds

    def __call__(self, ids: npt.NDArray[np.int64], mask: npt.NDArray[np.bool_]) -> Any:
        """Return the vectors ``[b, hidden]`` of the sentences ``ids[b, s]``.

        Raises
        ------
        ShapeError
            ``E0831``: ``ids`` and ``mask`` are not two arrays of one shape ``[b, s]``.
        IndexError
            An id is not in the vocabulary.
        """
        if ids.ndim != 2 or ids.shape != mask.shape:
            raise ShapeError(
                "E0831",
                f"ids and mask should have one shape [b, s], got {ids.shape} and {mask.shape}",
            )
        return self.compiled(ids, mask)
