"""Fails when .clang-tidy asks for a check that the pinned clang-tidy does not know."""

import re
import subprocess
import sys
from pathlib import Path


def main(root: Path) -> int:
    text = (root / ".clang-tidy").read_text()
    match = re.search(r"^Checks: >\n((?:  .*\n)+)", text, re.M)
    if match is None:
        print(".clang-tidy: no list 'Checks: >'")
        return 1
    names = [name.strip() for name in match.group(1).replace("\n", "").split(",")]
    asked = [name for name in names if name != "-*"]
    tool = Path(sys.executable).parent / "clang-tidy"
    listing = subprocess.run(
        [tool, "--list-checks"], cwd=root, capture_output=True, text=True, check=True
    ).stdout
    known = set(listing.split())
    bad = [
        f".clang-tidy: clang-tidy does not know the check '{name}'"
        for name in asked
        if name not in known
    ]
    bad += [
        f".clang-tidy: '{name}' stands in the list twice"
        for name in set(asked)
        if asked.count(name) > 1
    ]
    print("\n".join(bad) or f"tidy config ok: {len(asked)} checks asked, {len(asked)} known")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent.parent))
