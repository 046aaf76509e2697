"""Writing the page: one HTML file that needs nothing else."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

from tenon._page.graph_svg import graph_svg
from tenon._page.memory_svg import memory_svg

__all__ = ["page_html"]

_HERE = Path(__file__).parent
# Nothing is loaded from anywhere, and nothing in a model can make the page do so.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"

_TIMED = (
    '<span class="key compute"></span>nearer to the arithmetic roof'
    ' <span class="key memory"></span>nearer to the memory roof; length: share of the longest time'
)
_COUNTED = "not measured: the length is the share of the most operations"


def page_html(network: dict[str, Any]) -> str:
    """Return the page of what `tenon._inspect.describe` says of a network."""
    title = html.escape(str(network["name"]))
    # `<` as an escape, so that no text of a model ends the script.
    data = json.dumps(network, separators=(",", ":")).replace("<", "\\u003c")
    style = (_HERE / "page.css").read_text(encoding="utf-8")
    script = (_HERE / "page.js").read_text(encoding="utf-8")
    body = (_HERE / "body.html").read_text(encoding="utf-8")
    for mark, text in (
        ("{{title}}", title),
        ("{{summary}}", _summary(network)),
        ("{{legend}}", _TIMED if network["profile"] is not None else _COUNTED),
        ("{{graph}}", graph_svg(network)),
        ("{{memory}}", memory_svg(network)),
    ):
        body = body.replace(mark, text)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title} - Tenon</title>\n<style>\n{style}</style>\n</head>\n{body}"
        f'<script type="application/json" id="data">{data}</script>\n'
        f"<script>\n{script}</script>\n</body>\n</html>\n"
    )


def _summary(network: dict[str, Any]) -> str:
    kernels = network["kernels"]
    parts = [f"{len(kernels)} kernel calls of {network['num_compiled']} kernels"]
    if network["profile"] is not None:
        latency = network["profile"]["latency"]["median"]
        threads = network["profile"]["threads"]
        parts.append(f"{latency * 1e3:.3f} ms ({threads} thread{'s' * (threads > 1)})")
    operations = sum(k["operations"] * (k["calls"] or 1) for k in kernels)
    parts.append(f"{operations * 1e-9:.3g} GFLOP")
    parts.append(f"{network['memory']['arena_bytes'] / 2**20:.2f} MiB of temporaries")
    if network["sizes"]:
        sizes = ", ".join(f"{name} = {size}" for name, size in network["sizes"].items())
        parts.append(f"for {sizes}")
    parts.append(network["target"])
    return " &middot; ".join(html.escape(part) for part in parts)
