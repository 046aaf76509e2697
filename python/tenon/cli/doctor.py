"""`tenon doctor`: what the machine has, what it reaches, and what is wrong with it."""

from __future__ import annotations

import argparse
import os
import platform
from typing import Any

import numpy as np

from tenon import _core
from tenon._peaks import measure_peaks
from tenon.cli import _machine
from tenon.cli._command import add_command, print_json, size_text, stage
from tenon.cli._cuda import cuda_parts

_DESCRIPTION = """\
Say what this machine has and what it reaches: CPU and the level that kernels are made for, threads
and what limits them, caches, measured peaks of generated kernels (about a second), LLVM, parts of
CUDA, and the folder of compiled code. Exit code 1 when something is wrong; its cure is printed."""


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "doctor",
        run,
        "what this machine has, reaches and lacks",
        _DESCRIPTION,
        "tenon doctor\ntenon doctor --json\nTENON_CUDA_PATH=none tenon doctor --no-peaks",
    )
    parser.add_argument("--no-peaks", action="store_true", help="do not measure")


def run(arguments: argparse.Namespace) -> int:
    """Print the findings; 1 when there is a problem."""
    found = examine(measures=not arguments.no_peaks)
    if arguments.json:
        print_json(found)
    else:
        print(_text(found))
    return 1 if found["problems"] else 0


def examine(measures: bool) -> dict[str, Any]:
    """Return all findings."""
    found: dict[str, Any] = {
        "tenon": _core.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "codegen": _core.codegen_version(),
        "cpu": _machine.cpu(),
        "threads": _machine.threads(),
        "caches": _machine.caches(),
        "peaks": None,
        "cuda": _without_libraries(cuda_parts()),
        "cache_folder": _machine.cache_folder(),
    }
    if measures:
        with stage("measuring peaks"):
            counts = dict.fromkeys((1, int(found["threads"]["used"])))
            found["peaks"] = [measure_peaks(count)._asdict() for count in counts]
    found["problems"] = _problems(found)
    return found


def _without_libraries(parts: dict[str, Any]) -> dict[str, Any]:
    for part in parts.values():
        if isinstance(part, dict):
            part.pop("library", None)
    return parts


def _problems(found: dict[str, Any]) -> list[dict[str, str]]:
    problems = []
    folder = found["cache_folder"]
    if folder["path"] is None:
        wanted = os.environ.get("TENON_CACHE_DIR")
        if wanted not in (None, "", "none"):
            what = f"the cache folder '{wanted}' (TENON_CACHE_DIR) cannot be used"
            cure = "name a folder of yours that others cannot write"
            problems.append({"what": what, "cure": cure})
    elif not folder["is_mine"] or folder["mode"] not in (None, "0700") or "error" in folder:
        what = f"the cache folder '{folder['path']}' should be yours with mode 0700"
        problems.append({"what": what, "cure": f"chmod 700 '{folder['path']}', or remove it"})
    threads = found["threads"]
    if threads["cgroup_quota"] is not None and threads["used"] > threads["cgroup_quota"] + 1:
        problems.append(
            {
                "what": f"{threads['used']} threads share the {threads['cgroup_quota']:g} CPUs that"
                " the cgroup allows: they are stopped part of the time",
                "cure": "unset TENON_NUM_THREADS, or raise the quota",
            }
        )
    if found["cuda"]["problem"] is not None:
        problems.append(found["cuda"]["problem"])
    return problems


def _text(found: dict[str, Any]) -> str:
    cpu, threads = found["cpu"], found["threads"]
    lines = [
        ("tenon", f"{found['tenon']} (Python {found['python']}, NumPy {found['numpy']})"),
        ("compiler", found["codegen"]),
        ("cpu", f"{cpu['model']}, target '{cpu['target']}'"),
        ("level", f"{cpu['level']} ({cpu['vectors']}): {', '.join(cpu['features'])}"),
        ("threads", _threads_text(threads)),
        ("caches", ", ".join(_cache_text(c) for c in found["caches"])),
    ]
    for peak in found["peaks"] or []:
        count = f"{peak['threads']} thread{'s' * (peak['threads'] > 1)}"
        text = f"{peak['flops'] * 1e-9:.1f} GF/s float32, {peak['bytes'] * 1e-9:.1f} GB/s read"
        lines.append(("peak", f"{text} ({count})"))
    lines += _cuda_lines(found["cuda"])
    lines.append(("cache", _folder_text(found["cache_folder"])))
    for problem in found["problems"]:
        lines.append(("PROBLEM", f"{problem['what']}; cure: {problem['cure']}"))
    if not found["problems"]:
        lines.append(("verdict", "fine"))
    return "\n".join(f"{name:<9} {text}" for name, text in lines)


def _threads_text(threads: dict[str, Any]) -> str:
    quota = threads["cgroup_quota"]
    parts = [
        f"{threads['machine']} in the machine, {threads['threads_per_core']} a core",
        f"{threads['affinity']} by affinity",
        "no cgroup quota" if quota is None else f"cgroup quota {quota:g}",
    ]
    if threads["TENON_NUM_THREADS"] is not None:
        parts.append(f"TENON_NUM_THREADS={threads['TENON_NUM_THREADS']}")
    return f"{threads['used']} used ({'; '.join(parts)})"


def _cache_text(cache: dict[str, Any]) -> str:
    shared = cache["shared_by_threads"]
    return f"L{cache['level']} {size_text(cache['bytes'])}" + (
        f" for {shared} threads" if shared and shared > 1 else ""
    )


def _cuda_lines(parts: dict[str, Any]) -> list[tuple[str, str]]:
    if not parts["looked_for"]:
        return [("cuda", f"not looked for ({parts['reason']})")]
    lines = []
    if not parts["driver"]["found"]:
        why = "" if parts["driver"]["error"] == "not found" else f": {parts['driver']['error']}"
        lines.append(("cuda", f"no driver (libcuda.so.1): kernels run on the CPU{why}"))
    for name in ("driver", "nvrtc", "cublaslt", "cudnn"):
        part = parts[name]
        if not parts["driver"]["found"] and not part["found"]:
            continue
        if name == "driver" and not part["found"]:
            continue
        version = part["version"] or "version unknown" if part["found"] else None
        if name == "driver":
            version = f"for CUDA up to {version}"
        lines.append(
            ("cuda", f"{name} {version}, {part['path']}" if version else f"{name} {part['error']}")
        )
    for device in parts["devices"]:
        memory = size_text(device["memory_bytes"])
        lines.append(("cuda", f"card {device['name']}, {device['architecture']}, {memory}"))
    return lines


def _folder_text(folder: dict[str, Any]) -> str:
    if folder["path"] is None:
        return "off: nothing is kept"
    if folder["mode"] is None:
        return f"{folder['path']} (made when the first kernel is compiled)"
    entries = f"{folder['entries']} entries, {size_text(folder['bytes'])}"
    return f"{folder['path']}: {entries}, mode {folder['mode']}"
