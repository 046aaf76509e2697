"""What a compiled network is made of, as plain data: for JSON and for the page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from tenon import _core
from tenon._profile import Profile, roof_fraction

__all__ = ["describe", "shapes_of", "sizes_of"]


def shapes_of(core: _core.CompiledNetwork) -> list[list[int]]:
    """Return the shapes of the inputs with 1 for each symbol."""
    return [[int(d) if d.isdigit() else 1 for d in dims] for _, _, dims in core.arguments(False)]


def sizes_of(core: _core.CompiledNetwork, shapes: Sequence[Sequence[int]]) -> dict[str, int]:
    """Return the values that these shapes of the inputs give to symbols."""
    sizes: dict[str, int] = {}
    for (_, _, dims), shape in zip(core.arguments(False), shapes, strict=True):
        for dim, size in zip(dims, shape, strict=True):
            if not dim.isdigit():
                sizes.setdefault(dim, int(size))
    return sizes


def describe(
    core: _core.CompiledNetwork,
    shapes: Sequence[Sequence[int]],
    profile: Profile | None,
) -> dict[str, Any]:
    """Return inputs, results, kernels with their costs and times, memory plan and rewrites.

    `shapes` are those of the inputs; times are those of `profile`, if any.
    """
    lists = [list(shape) for shape in shapes]
    memory = core.memory(lists)  # checks numbers and ranks
    sizes = sizes_of(core, shapes)
    kernels = []
    costs = core.costs(lists)
    for i, (call, cost) in enumerate(zip(core.call_details, costs, strict=True)):
        kernel: dict[str, Any] = {"index": i, **call, "fused": []}
        kernel["sized_result"] = with_sizes(call["result"], sizes)
        for operand in call["inputs"]:
            operand["sized_type"] = with_sizes(operand["type"], sizes)
        kernel["operations"], kernel["bytes_read"], kernel["bytes_written"] = cost
        kernel["seconds"] = kernel["roof"] = kernel["calls"] = None
        if profile is not None:
            timed = profile.kernels[i]
            kernel["seconds"], kernel["calls"] = timed.seconds, timed.calls
            kernel["roof"] = timed.roof
            kernel["bound"] = _bound(timed.operations, timed.bytes, timed.seconds, profile)
        kernels.append(kernel)
    rewrites = []
    for graph_pass, node, line, action, reason, kernel_index in core.rewrites:
        row = {"pass": graph_pass, "node": node, "line": line, "action": action, "reason": reason}
        rewrites.append({**row, "kernel": kernel_index})
        if kernel_index is not None:
            kernels[kernel_index]["fused"].append({"node": node, "line": line, "reason": reason})
    return {
        "name": core.name,
        "target": core.target,
        "tenon": _core.__version__,
        "sizes": sizes,
        "inputs": _arguments(core, False, sizes),
        "results": _arguments(core, True, sizes),
        "num_compiled": core.num_compiled,
        "compile_seconds": core.compile_seconds,
        "kernels": kernels,
        "regions": [
            {"first_kernel": first, "depth": depth, "text": text}
            for first, depth, text in core.regions
        ],
        "memory": {
            "arena_bytes": memory["arena_bytes"],
            "scratch_bytes": memory["scratch_bytes"],
            "blocks": [
                {"offset": offset, "bytes": num_bytes, "first": first, "last": last}
                for offset, num_bytes, first, last in memory["blocks"]
            ],
        },
        "rewrites": rewrites,
        "profile": None
        if profile is None
        else {
            "latency": profile.latency._asdict(),
            "threads": profile.threads,
            "num_runs": profile.num_runs,
            "peaks": None if profile.peaks is None else profile.peaks._asdict(),
        },
    }


def _arguments(
    core: _core.CompiledNetwork, is_result: bool, sizes: dict[str, int]
) -> list[dict[str, Any]]:
    rows = []
    for name, dtype, dims in core.arguments(is_result):
        text = f"{dtype}[{', '.join(dims)}]"
        rows.append({"name": name, "type": text, "sized_type": with_sizes(text, sizes)})
    return rows


def with_sizes(text: str, sizes: dict[str, int]) -> str:
    """Return a type with numbers for symbols: float32[batch, 3] as float32[8, 3]."""
    head, bracket, dims = text.partition("[")
    known = re.sub(r"[A-Za-z_]\w*", lambda m: str(sizes.get(m[0], m[0])), dims)
    return head + bracket + known


def _bound(operations: float, moved: float, seconds: float, profile: Profile) -> str | None:
    """Return which roof is nearer: "compute" or "memory"."""
    compute = roof_fraction(operations, 0.0, seconds, profile.peaks)
    memory = roof_fraction(0.0, moved, seconds, profile.peaks)
    if compute is None or memory is None:
        return None
    return "compute" if compute >= memory else "memory"
