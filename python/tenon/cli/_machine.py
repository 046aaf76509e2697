"""What the machine is: CPU, caches, threads, and the folder of compiled code."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from tenon import _core
from tenon._config import config

__all__ = ["cache_folder", "caches", "cpu", "threads"]

_CPU0 = Path("/sys/devices/system/cpu/cpu0")
_LEVELS = {"x86-64-v4": "AVX-512", "x86-64-v3": "AVX2 and FMA"}


def cpu() -> dict[str, Any]:
    """Return model, features and the level that kernels are made for."""
    target = _core.Target("cpu")
    wide = target.vector_bytes == 64
    return {
        "model": _model_name(),
        "target": str(target),
        "level": "x86-64-v4" if wide else "x86-64-v3",
        "vectors": _LEVELS["x86-64-v4" if wide else "x86-64-v3"],
        "features": [a[1:] for a in target.attributes.split(",") if a.startswith("+")],
        "register_tile_float32": list(target.register_tile("float32")),
    }


def _model_name() -> str:
    for line in _read(Path("/proc/cpuinfo")).splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return "unknown"


def threads() -> dict[str, Any]:
    """Return how many threads kernels use, and what decides it."""
    return {
        "used": config.threads,
        "default": _core.default_num_threads(),
        "machine": os.cpu_count(),
        "affinity": len(os.sched_getaffinity(0)),
        "cgroup_quota": cgroup_quota(),
        "threads_per_core": len(_cpu_list(_read(_CPU0 / "topology/thread_siblings_list"))) or 1,
        "TENON_NUM_THREADS": os.environ.get("TENON_NUM_THREADS"),
    }


def cgroup_quota() -> float | None:
    """Return the CPUs that the strictest cgroup around this process allows; None: no limit."""
    groups = ["/"]
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        if line.startswith("0::/"):
            groups.append(line[3:])
    limits = []
    for group in groups:
        folder = Path("/sys/fs/cgroup") / group.lstrip("/")
        for part in (folder, *folder.parents):
            words = _read(part / "cpu.max").split()
            if len(words) == 2 and words[0].isdigit() and words[1].isdigit() and int(words[1]):
                limits.append(int(words[0]) / int(words[1]))
    return min(limits, default=None)


def caches() -> list[dict[str, Any]]:
    """Return the data caches that one core reaches."""
    found = []
    for index in sorted((_CPU0 / "cache").glob("index*")):
        kind = _read(index / "type").strip()
        if kind == "Instruction":
            continue
        found.append(
            {
                "level": int(_read(index / "level") or 0),
                "bytes": _cache_bytes(_read(index / "size").strip()),
                "shared_by_threads": len(_cpu_list(_read(index / "shared_cpu_list"))) or 1,
            }
        )
    if found:
        return found
    sizes = _core.Target("cpu").cache_bytes
    return [{"level": i + 1, "bytes": b, "shared_by_threads": None} for i, b in enumerate(sizes)]


def _cache_bytes(text: str) -> int:
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    if text[-1:] in units and text[:-1].isdigit():
        return int(text[:-1]) * units[text[-1]]
    return int(text) if text.isdigit() else 0


def _cpu_list(text: str) -> list[int]:
    """Return the numbers of a text such as 0-3,8."""
    numbers: list[int] = []
    for part in text.strip().split(","):
        low, _, high = part.partition("-")
        if low.isdigit():
            numbers += range(int(low), int(high if high.isdigit() else low) + 1)
    return numbers


def cache_folder() -> dict[str, Any]:
    """Return where compiled code is kept, and how much of it."""
    folder = _core.cache_folder()
    if not folder:
        return {"path": None}
    info: dict[str, Any] = {"path": folder, "entries": 0, "bytes": 0, "mode": None, "is_mine": True}
    try:
        status = os.stat(folder)
        info["mode"] = f"{stat.S_IMODE(status.st_mode):04o}"
        info["is_mine"] = status.st_uid == os.geteuid()
        for entry in os.scandir(folder):
            if entry.name.endswith(".object") and entry.is_file(follow_symlinks=False):
                info["entries"] += 1
                info["bytes"] += entry.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        pass  # made when the first kernel is compiled
    except OSError as error:
        info["error"] = error.strerror
    return info


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
