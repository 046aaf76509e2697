"""Records of measured schedules."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tenon import _core
from tenon._config import config
from tenon.errors import UserError

__all__ = ["ExportReport", "MergeReport", "Record", "export", "merge", "records", "show", "store"]


@dataclass(frozen=True)
class Record:
    """One measured schedule of one function.

    It is used in builds of functions with the same structure, shapes, target, compiler, numeric
    settings and number of threads, on machines of the same class, if it was verified.

    Attributes
    ----------
    function
        A name, for people: it is no part of the key.
    shapes
        Of the parameters, such as ``"64x32 32xs0 -> 64xs0; s0 1..4096"``.
    target, compiler, numeric, threads
        What the code was made for and by.
    machine
        The class of the machine that measured: times compare within one class only.
    seconds, default_seconds
        Of one call with this schedule, and with that of the rules.
    runs, noise
        The number of runs behind them, and their relative spread.
    verified
        ``"bit-equal"``, ``"within bound"``, or ``"no"``: such a record is never used.
    date
        UTC.
    trace
        Its steps; ``$2`` stands for the third name of the function.
    text
        The whole record as JSON.
    """

    function: str
    shapes: str
    target: str
    compiler: str
    numeric: str
    threads: int
    machine: str
    seconds: float
    default_seconds: float
    runs: int
    noise: float
    verified: str
    date: str
    trace: _core.Trace = field(compare=False, repr=False)
    text: str = field(repr=False)

    @property
    def speedup(self) -> float:
        """How many times as fast as the default schedule."""
        return self.default_seconds / self.seconds


class ExportReport(NamedTuple):
    """What was exported; `damage` has a line for each part of the database that is damaged."""

    num_records: int
    damage: list[str]


class MergeReport(NamedTuple):
    """What became of merged files.

    `num_added` records are new and `num_known` ones were there; `damage` has a line for each
    damaged part of a file, and for each file of which the end is missing.
    """

    num_added: int
    num_known: int
    damage: list[str]


def store(
    function: _core.Function,
    trace: _core.Trace,
    *,
    target: str | _core.Target = "cpu",
    seconds: float,
    default_seconds: float,
    runs: int = 1,
    noise: float = 0.0,
    verified: str,
) -> Record:
    """Store a measured schedule for later builds.

    Parameters
    ----------
    function
        Without a schedule.
    trace
        Of a schedule of that function.
    target
        That the code was made for.
    seconds, default_seconds
        Of one call with the schedule, and with that of the default rules.
    runs, noise
        The number of runs behind them, and their relative spread.
    verified
        ``"bit-equal"`` to the default schedule, ``"within bound"`` of it, or ``"no"``: then it is
        stored, and never used.

    Raises
    ------
    CacheError
        A time or count is none [E1200], tuning is off [E1225], or the folder belongs to others
        [E1224].
    ResourceError
        The folder cannot be written [E1221 to E1223]; what is stored stays as it is.
    """
    chosen = target if isinstance(target, _core.Target) else _core.Target(target)
    if verified not in ("bit-equal", "within bound", "no"):
        raise UserError(
            "E1231", f"verified should be 'bit-equal', 'within bound' or 'no', got {verified!r}"
        )
    text = _core.tuning_record(
        function, chosen, trace, seconds, default_seconds, runs, noise, verified
    )
    _core.TuningDatabase(config.tuning_dir or "").add([text])
    return _record(text)


def records(*, best: bool = False) -> list[Record]:
    """Return what is stored.

    Parameters
    ----------
    best
        Only the fastest verified record of each key and machine class.

    Raises
    ------
    CacheError, ResourceError
        The file is none of ours [E1201], of another version [E1202] or cannot be read [E1203].
    """
    return [_record(text) for text in _texts(best)[0]]


def export(path: str | os.PathLike[str], *, best: bool = False) -> ExportReport:
    """Write records to one file, which appears whole or not at all.

    Parameters
    ----------
    path
        JSON, one record a line, each with its length and checksum.
    best
        Only the fastest verified record of each key and machine class.

    Raises
    ------
    CacheError, ResourceError
        As `records` does, or the file cannot be written [E1220].
    """
    texts, damage = _texts(best)
    _core.write_tuning_file(texts, os.fspath(path))
    return ExportReport(len(texts), damage)


def merge(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
) -> MergeReport:
    """Take over records from exported files; the order of files does not matter.

    Damaged records are left out and named. Records for other targets, compilers or machines are
    kept and not used.

    Raises
    ------
    CacheError
        A file is none of ours [E1201] or of another version [E1202]; files before it are merged.
    ResourceError
        A file cannot be read [E1203], or the database cannot be written [E1221 to E1223].
    """
    names = [os.fspath(p) for p in ([paths] if isinstance(paths, (str, os.PathLike)) else paths)]
    if not names:
        raise UserError("E1232", "merge takes at least one file")
    database = _core.TuningDatabase(config.tuning_dir or "")
    added = known = 0
    damage: list[str] = []
    for name in names:
        more, again, lines, is_cut_off = database.merge(name)
        added += more
        known += again
        damage += _damage(name, lines, is_cut_off)
    return MergeReport(added, known, damage)


def show(*, best: bool = True) -> str:
    """Return a table of what is stored, by default the best record of each key.

    Raises
    ------
    CacheError, ResourceError
        As `records` does.
    """
    texts, damage = _texts(best)
    rows = [("function", "shapes", "time", "gain", "verified", "date", "threads", "target")]
    found = [_record(text) for text in texts]
    for r in found:
        time = f"{r.seconds * 1e6:.1f} us"
        gain = f"{r.speedup:.2f}x"
        threads = str(r.threads)
        rows.append((r.function, r.shapes, time, gain, r.verified, r.date[:10], threads, r.target))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    machines = sorted({r.machine for r in found})
    lines += [f"measured on {machine}" for machine in machines]
    lines += [f"damaged: {line}" for line in damage]
    where = config.tuning_dir or "nowhere: tuning is off"
    return "\n".join([f"{len(found)} records in {where}", *(lines if found or damage else [])])


def _record(text: str) -> Record:
    data: dict[str, Any] = json.loads(text)
    key = data["key"]
    return Record(
        function=data["function"],
        shapes=key["shapes"],
        target=key["target"],
        compiler=key["compiler"],
        numeric=key["numeric"],
        threads=key["threads"],
        machine=data["machine"],
        seconds=data["seconds"],
        default_seconds=data["default_seconds"],
        runs=data["runs"],
        noise=data["noise"],
        verified=data["verified"],
        date=data["date"],
        trace=_core.Trace.from_json(json.dumps(data["trace"])),
        text=text,
    )


def _texts(best: bool) -> tuple[list[str], list[str]]:
    """Return the records of the database as text, and what is damaged."""
    folder = config.tuning_dir or ""
    # An unfinished last line is a writer at work, or was not reported.
    texts, lines, _ = _core.read_tuning_database(folder)
    damage = _damage(folder, lines, False)
    return (_core.best_tuning_records(texts) if best else texts), damage


def _damage(name: str, lines: list[str], is_cut_off: bool) -> list[str]:
    end = [f"{name}: the end of the file is missing, with the records there"] if is_cut_off else []
    return [f"{name}, {line}" for line in lines] + end
