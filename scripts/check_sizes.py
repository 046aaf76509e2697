"""Fails when a file or a Python function is too long; prints the ten largest files.

A file above its limit needs a line 'path limit reason' in scripts/size_allow.txt. The length of
C++ functions is checked by clang-tidy (readability-function-size).
"""

import ast
import subprocess
import sys
from pathlib import Path

FUNCTION_LIMIT = 120
TUTORIAL_LIMIT = 200


def limit_of(rel: str) -> int | None:
    if not rel.endswith((".h", ".cpp", ".c", ".py", ".def")):
        return None
    if rel.startswith("tests/"):
        return 800
    if rel.startswith("tutorials/"):
        return TUTORIAL_LIMIT
    if rel.startswith("include/"):
        return 500
    return 900


def allowances(root: Path) -> dict[str, int]:
    found = {}
    for line in (root / "scripts/size_allow.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            path, limit, _reason = line.split(maxsplit=2)
            found[path] = int(limit)
    return found


def long_functions(rel: str, text: str) -> list[str]:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [
        f"{rel}:{node.lineno}: '{node.name}' has {node.end_lineno - node.lineno + 1} lines, "
        f"the limit is {FUNCTION_LIMIT}"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, functions)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > FUNCTION_LIMIT
    ]


def main(root: Path) -> int:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    allowed = allowances(root)
    bad, sizes = [], []
    for rel in sorted(set(listed)):
        limit = limit_of(rel)
        if limit is None or not (root / rel).exists():
            continue
        text = (root / rel).read_text()
        lines = text.count("\n")
        sizes.append((lines, rel))
        if lines > allowed.get(rel, limit):
            bad.append(f"{rel}: {lines} lines, the limit is {allowed.get(rel, limit)}")
        if rel.endswith(".py"):
            bad += long_functions(rel, text)
    bad += [
        f"scripts/size_allow.txt: '{rel}' does not exist"
        for rel in allowed
        if not (root / rel).exists()
    ]
    print("\n".join(bad) or "sizes ok")
    largest = sorted(sizes, reverse=True)[:10]
    print("largest: " + ", ".join(f"{Path(rel).name} {lines}" for lines, rel in largest))
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent.parent))
