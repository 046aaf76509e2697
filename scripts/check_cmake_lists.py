"""Fails when a source is in no CMakeLists.txt, a listed one is missing, or a block is unsorted."""

import re
import sys
from pathlib import Path

SOURCE = re.compile(r"^\s*([\w./-]+\.(?:cpp|c))\s*$")
FOLDERS = ("src", "tests", "python/bindings")


def blocks(text: str) -> list[list[str]]:
    """List the runs of neighbouring lines that name one source each."""
    found: list[list[str]] = [[]]
    for line in text.splitlines():
        match = SOURCE.match(line)
        if match:
            found[-1].append(match.group(1))
        elif found[-1]:
            found.append([])
    return [block for block in found if block]


def main(root: Path) -> int:
    bad = []
    listed = set()
    for file in [
        root / "CMakeLists.txt",
        *sorted(p for d in FOLDERS for p in (root / d).rglob("CMakeLists.txt")),
    ]:
        rel = file.relative_to(root).as_posix()
        text = file.read_text()
        if re.search(r"file\s*\(\s*GLOB", text):
            bad.append(f"{rel}: sources are listed by hand, not by file(GLOB)")
        for block in blocks(text):
            if block != sorted(block):
                first = next(a for a, b in zip(block, sorted(block), strict=True) if a != b)
                bad.append(f"{rel}: the block with '{first}' is not sorted")
            bad += [
                f"{rel}: '{name}' does not exist"
                for name in block
                if not (file.parent / name).exists()
            ]
        listed |= {
            (file.parent / name).resolve() for name in re.findall(r"[\w./-]+\.(?:cpp|c)\b", text)
        }
    for folder in FOLDERS:
        for source in sorted((root / folder).rglob("*.c*")):
            if source.suffix in (".c", ".cpp") and source.resolve() not in listed:
                bad.append(f"{source.relative_to(root).as_posix()}: in no CMakeLists.txt")
    print("\n".join(bad) or "cmake lists ok")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent.parent))
