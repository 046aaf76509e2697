"""What graph passes did: `Network.rewrites`."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Rewrite"]


class Rewrite(NamedTuple):
    """What a pass did to one operator."""

    graph_pass: str
    """The name of the pass."""
    node: str
    """The operator and the type of its result: ``"relu -> float32[batch, 64]"``."""
    line: str
    """The user's line that made it; may be empty."""
    action: str
    """removed, computed, left, merged, moved, added or fused."""
    reason: str
    """Why."""
    kernel: int | None
    """The kernel call that it is fused into."""
