"""Fails when a file includes, or a CMake target links, a floor that it may not stand on.

The table below is the architecture: changing it is a visible diff. scripts/check and the
pre-commit hook run this.
"""

import re
import sys
from pathlib import Path

BASE = {"support", "runtime", "ir"}
MAY_INCLUDE: dict[str, set[str]] = {
    "support": set(),
    "runtime": {"support"},
    "ir": {"support", "runtime"},
    "te": BASE,
    "schedule": BASE,
    "codegen": BASE,
    "rules": BASE | {"te", "schedule"},
    "autodiff": BASE | {"te", "schedule", "rules"},
    "driver": BASE | {"te", "schedule", "codegen", "rules"},
    "tune": BASE | {"te", "schedule", "rules", "driver"},
    "graph": BASE | {"te", "schedule", "rules", "autodiff", "tune"},
}
# Single files that may reach further, each with its reason in a comment.
EXTRA: dict[str, set[str]] = {
    # These alone compile graphs; the others are the library tenon_network, which needs no compiler.
    "include/tenon/graph/export.h": {"driver"},
    "src/graph/compile.cpp": {"driver"},
    "src/graph/plan_writer.cpp": {"driver"},
    "src/graph/plan_writer.h": {"driver"},
    "src/graph/schedule_for.h": {"driver"},
}

FLOORS = "|".join(MAY_INCLUDE)
INCLUDE = re.compile(rf'^\s*#\s*include\s+["<](?:tenon/)?({FLOORS})/', re.M)
COMPILER_HEADER = re.compile(r'^\s*#\s*include\s+["<](llvm|llvm-c|lld|nvrtc)[/.]', re.M)
IOSTREAM = re.compile(r"^\s*#\s*include\s+<iostream>", re.M)
USING_NAMESPACE = re.compile(r"^\s*using namespace ", re.M)
LINKED = re.compile(rf"\btenon_({FLOORS})\b")


def floor_of(path: str) -> str | None:
    match = re.match(r"(?:include/tenon|src)/(\w+)/", path)
    return match.group(1) if match else None


def check_file(rel: str, text: str) -> list[str]:
    here = floor_of(rel)
    if here not in MAY_INCLUDE:
        return [f"{rel}: not on a floor of the table"]
    bad = []
    if COMPILER_HEADER.search(text) and not rel.startswith("src/codegen/"):
        bad.append(f"{rel}: LLVM, lld and NVRTC headers belong under src/codegen")
    if IOSTREAM.search(text):
        bad.append(f"{rel}: the library does not include <iostream>")
    if rel.endswith(".h"):
        if "#pragma once" not in text:
            bad.append(f"{rel}: a header starts with #pragma once")
        if USING_NAMESPACE.search(text):
            bad.append(f"{rel}: no 'using namespace' in a header")
    if rel.startswith("include/") and COMPILER_HEADER.search(text):
        bad.append(f"{rel}: no compiler header in a public header")
    allowed = MAY_INCLUDE[here] | {here} | EXTRA.get(rel, set())
    bad += [
        f"{rel}: '{here}' may not include '{seen}'"
        for seen in dict.fromkeys(INCLUDE.findall(text))
        if seen not in allowed
    ]
    return bad


def check_links(rel: str, text: str) -> list[str]:
    here = rel.split("/")[1]
    allowed = MAY_INCLUDE.get(here, set()) | {here}
    for file, more in EXTRA.items():
        allowed |= more if file.startswith(f"src/{here}/") else set()
    return [
        f"{rel}: '{here}' may not link 'tenon_{seen}'"
        for seen in dict.fromkeys(LINKED.findall(text))
        if seen not in allowed
    ]


def main(root: Path) -> int:
    bad = []
    for file in sorted(p for d in ("include", "src") for p in (root / d).rglob("*.[hc]*")):
        bad += check_file(file.relative_to(root).as_posix(), file.read_text())
    for file in sorted((root / "src").glob("*/CMakeLists.txt")):
        bad += check_links(file.relative_to(root).as_posix(), file.read_text())
    print("\n".join(bad) or "layers ok")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent.parent))
