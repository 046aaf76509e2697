"""The committed scores of the node tests of the package onnx, and the page that is made of them."""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from pathlib import Path

import node_tests
import onnx
from node_tests import Outcome

HERE = Path(__file__).resolve().parent
SCORES = HERE / "onnx_node_scores.txt"
PAGE = HERE.parent.parent / "docs" / "onnx_operators.md"

HEAD = """\
# Cases of ONNX's node tests that Tenon refuses, with the reasons; all others pass.
# Written by scripts/onnx_scores.py --update, asserted by tests/python/test_onnx_nodes.py.
"""
PAGE_HEAD = """\
# ONNX operators

Written by `scripts/onnx_scores.py --update` from the node tests of the package onnx {version};
`tests/python/test_onnx_nodes.py` runs all of them and asserts this result.

| | cases |
|---|---|
| all | {all} |
| pass | {passed} |
| of these with random results, checked in shape, dtype and distribution | {random} |
| refused with `UnsupportedError` | {unsupported} |
| wrong results, other errors | 0 |

*Cases* are passed of all; *expanded* likewise for the operator as ONNX composes it of others. A
model is judged by `tenon check`, which also knows versions and attributes.

"""


def committed() -> dict[str, str]:
    """Return the reasons of the cases that are refused."""
    lines = SCORES.read_text().splitlines() if SCORES.exists() else []
    return dict(line.split("\t") for line in lines if "\t" in line)


def changes(outcomes: list[Outcome]) -> list[str]:
    """Return how outcomes differ from the committed scores, a line a case."""
    refused = committed()
    found = []
    for o in outcomes:
        was_refused = o.name in refused
        if o.status == "pass" and was_refused:
            found.append(f"{o.name} passes now: run scripts/onnx_scores.py --update")
        elif o.status == "unsupported" and not was_refused:
            found.append(f"{o.name} passed before and is refused: {o.detail}")
        elif o.status not in ("pass", "unsupported"):
            found.append(f"{o.name}: {o.status}: {o.detail}")
    return found


@functools.cache
def operator_of(name: str) -> tuple[str, bool]:
    """Return the operator that a case is for, and whether it is there as a composition."""
    head, separator, _ = name.partition("_expanded")
    base = node_tests.DATA / head / "model.onnx"
    path = base if base.exists() else node_tests.DATA / name / "model.onnx"
    node = onnx.load(path).graph.node[0]
    operator = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
    return operator, bool(separator) and base.exists()


def short(reason: str) -> str:
    """Return a reason without the node that it is about, fit for a table."""
    while reason.startswith("node '") and "): " in reason:
        node, _, rest = reason.partition("): ")
        kind = node[node.rindex("(") + 1 :]
        reason = rest if not rest.startswith("Tenon has no") else f"no {kind}"
    return reason.replace("|", "\\|")


def page() -> str:
    """Return the page that the committed scores make."""
    refused = committed()
    names = node_tests.names()
    rows: dict[str, list[str]] = defaultdict(list)
    for name in names:
        rows[operator_of(name)[0]].append(name)
    text = PAGE_HEAD.format(
        version=onnx.__version__,
        all=len(names),
        passed=len(names) - len(refused),
        random=sum(name not in refused for name in node_tests.RANDOM),
        unsupported=len(refused),
    )
    tables: dict[str, list[str]] = {"yes": [], "partly": [], "no": []}
    for operator in sorted(rows, key=lambda o: (o.count("."), o)):
        counts = []
        for is_expanded in (False, True):
            cases = [name for name in rows[operator] if operator_of(name)[1] == is_expanded]
            passed = sum(name not in refused for name in cases)
            counts.append(f"{passed} of {len(cases)}" if cases else "")
        own = [name for name in rows[operator] if not operator_of(name)[1]]
        missing = Counter(short(refused[name]) for name in own if name in refused)
        kind = "yes" if not missing else "no" if missing.total() == len(own) else "partly"
        why = "; ".join(reason for reason, _ in missing.most_common(4))
        more = f"; {len(missing) - 4} other reasons" if len(missing) > 4 else ""
        tables[kind].append(f"| {operator} | {counts[0]} | {counts[1]} | {why}{more} |")
    titles = {"yes": "Supported", "partly": "Partly supported", "no": "Not supported"}
    for kind, lines in tables.items():
        text += f"## {titles[kind]}: {len(lines)}\n\n"
        if lines:
            text += "| operator | cases | expanded | what is refused |\n|---|---|---|---|\n"
            text += "\n".join(lines) + "\n\n"
    return text.rstrip() + "\n"


def write(outcomes: list[Outcome]) -> None:
    """Write the scores and the page."""
    lines = [f"{o.name}\t{o.detail}\n" for o in outcomes if o.status == "unsupported"]
    SCORES.write_text(HEAD + "".join(lines))
    PAGE.write_text(page())
