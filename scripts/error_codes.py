"""Keeps docs/errors.md, the table of error codes, in step with the sources.

usage: python scripts/error_codes.py [--update]

Without --update: fails when a code that the sources raise has no row, a row's code is raised
nowhere, or one code stands for two things (two error classes or two floors). With --update: adds
and removes rows; the hand-written columns of rows that stay are kept.
"""

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

FOLDERS = ("include", "src", "python")
CODE = re.compile(r'(?<!`)"(E\d{4})"')
COMMENT = re.compile(r"//.*$", re.M)
ERROR_CLASS = re.compile(r"\b(\w+Error)\b")
STATEMENT_START = re.compile(r"[;{}]|^\s*(?=raise |return |if |def )", re.M)
TEXT = re.compile(r'"((?:[^"\\\n]|\\.)+)"')
ROW = re.compile(r"^\| (E\d{4}) \| (.*?) \| (.*?) \| (.*?) \|$", re.M)
INTERNAL = "E9999"
# The interpreter checks arguments as the runtime does, code generation a CPU's name as a target.
SHARED = {"E0451", "E0452", "E0453", "E0454", "E0455", "E0553", "E0651", "E0652", "E0902"}
HEADER = """# Error codes

The first line of every error ends with its code. A code keeps its meaning for ever: a new mistake
gets a new code. `python scripts/error_codes.py --update` adds the rows of new codes.

| code | class | what is wrong | what to do |
|---|---|---|---|
"""


@dataclass
class Use:
    """Where and as what a code is raised."""

    classes: set[str] = field(default_factory=set)
    floors: set[str] = field(default_factory=set)
    text: str = ""


def floor_of(rel: str) -> str:
    match = re.match(r"(?:include/tenon|src)/(\w+)/", rel)
    return match.group(1) if match else "python"


def scan(root: Path) -> dict[str, Use]:
    """Find every code, its error class (named before it) and its message (the text after it)."""
    uses: dict[str, Use] = {}
    files = [p for d in FOLDERS for p in (root / d).rglob("*") if p.suffix in (".h", ".cpp", ".py")]
    for file in sorted(files):
        text = file.read_text() if file.suffix == ".py" else COMMENT.sub("", file.read_text())
        rel = file.relative_to(root).as_posix()
        for match in CODE.finditer(text):
            use = uses.setdefault(match.group(1), Use())
            use.floors.add(floor_of(rel))
            statement = STATEMENT_START.split(text[: match.start()])[-1]
            use.classes |= set(ERROR_CLASS.findall(statement)[-1:])
            message = text[match.end() : match.end() + 400].split(";")[0]
            use.text = use.text or " … ".join(TEXT.findall(message)).strip()
    uses.pop(INTERNAL, None)
    return uses


def rows(page: Path) -> dict[str, tuple[str, str, str]]:
    found = ROW.findall(page.read_text()) if page.exists() else []
    return {code: (cls, wrong, fix) for code, cls, wrong, fix in found}


def check(root: Path, page: Path) -> int:
    uses, documented = scan(root), rows(page)
    bad = [f"docs/errors.md: no row for {code}" for code in sorted(uses.keys() - documented.keys())]
    bad += [
        f"docs/errors.md: {code} is raised nowhere"
        for code in sorted(documented.keys() - uses.keys())
    ]
    for code, use in sorted(uses.items()):
        for kind, names in (("classes", use.classes), ("floors", use.floors)):
            if len(names) > 1 and code not in SHARED:
                bad.append(f"{code} is used for two {kind}: {', '.join(sorted(names))}")
        if code in documented and not all(documented[code]):
            bad.append(f"docs/errors.md: the row of {code} is not filled in")
    print("\n".join(bad) or f"error codes ok: {len(uses)}")
    return bool(bad)


def update(root: Path, page: Path) -> int:
    old = rows(page)
    lines = []
    for code, use in sorted(scan(root).items()):
        message, _, hint = use.text.replace("|", "\\|").partition("\\n  hint: ")
        known, wrong, fix = old.get(code, ("", message.strip(" …"), hint))
        cls = "/".join(sorted(use.classes)) or known
        lines.append(f"| {code} | {cls} | {wrong} | {fix} |\n")
    page.write_text(HEADER + "".join(lines))
    return 0


if __name__ == "__main__":
    repository = Path(__file__).resolve().parent.parent
    command = update if "--update" in sys.argv[1:] else check
    sys.exit(command(repository, repository / "docs/errors.md"))
