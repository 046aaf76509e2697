"""Which parts of CUDA there are; nothing is compiled or run.

They are found as the compiler and the runtime find them (src/runtime/cuda_places.h).
"""

from __future__ import annotations

import ctypes
import glob
import os
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["cuda_parts"]

_DRIVER = ("libcuda.so.1", "libcuda.so")
_NVRTC = ("libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so")
_CUBLAS = ("libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so")
_CUDNN = ("libcudnn.so.9", "libcudnn.so")
_CUDNN_MAJOR = 9
# As in src/runtime/device/cuda_driver.h; functions that older drivers lack.
_OLDEST_DRIVER = (12, 0)
_NEWEST_FUNCTIONS = ("cuStreamBeginCapture_v2", "cuGraphInstantiateWithFlags")


def cuda_parts() -> dict[str, Any]:
    """Return each part with its version and place, devices, and the first mismatch with its cure.

    `TENON_CUDA_PATH` is a folder whose libraries come first; `none` means that CUDA is not looked
    for.
    """
    place = os.environ.get("TENON_CUDA_PATH", "")
    if place == "none":
        return {"looked_for": False, "reason": "TENON_CUDA_PATH=none", "problem": None}
    driver = _part(_DRIVER, place, _driver_version)
    parts: dict[str, Any] = {
        "looked_for": True,
        "driver": driver,
        "devices": _devices(driver),
        "nvrtc": _part(_NVRTC, place, _nvrtc_version),
        "cublaslt": _part(_CUBLAS, place, _cublas_version),
        "cudnn": _part(_CUDNN, place, _cudnn_version),
    }
    parts["problem"] = _first_problem(parts, place)
    return parts


def _part(
    names: tuple[str, ...], place: str, version_of: Callable[[ctypes.CDLL], str | None]
) -> dict[str, Any]:
    error = "not found"
    for path in _candidates(names, place):
        try:
            library = ctypes.CDLL(path)
        except OSError as failure:
            # A library that is there and cannot be opened says more than one that is not.
            if os.path.exists(path) and error == "not found":
                error = str(failure).splitlines()[0]
            continue
        try:
            version = version_of(library)
        except (AttributeError, OSError):
            version = None
        return {"found": True, "path": path, "version": version, "library": library}
    return {"found": False, "error": error}


def _candidates(names: tuple[str, ...], place: str) -> Iterator[str]:
    own = [f"{place}/lib64", f"{place}/lib", place] if place else []
    yield from _files(names, own)
    yield from names  # where the system's loader looks
    toolkits = sorted(glob.glob("/usr/local/cuda-*/lib64"), key=_numbers, reverse=True)
    yield from _files(names, ["/usr/local/cuda/lib64", *toolkits])
    sites = [site for site in sys.path if site]
    yield from _files(names, [f for site in sites for f in glob.glob(f"{site}/nvidia/*/lib")])


def _files(names: tuple[str, ...], folders: list[str]) -> Iterator[str]:
    for name in names:
        yield from (f"{f}/{name}" for f in folders if os.path.exists(f"{f}/{name}"))


def _numbers(path: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", path)]


def _driver_version(library: ctypes.CDLL) -> str | None:
    version = ctypes.c_int(0)
    if library.cuDriverGetVersion(ctypes.byref(version)) != 0:
        return None
    return f"{version.value // 1000}.{version.value % 1000 // 10}"


def _nvrtc_version(library: ctypes.CDLL) -> str | None:
    major, minor = ctypes.c_int(0), ctypes.c_int(0)
    if library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)) != 0:
        return None
    return f"{major.value}.{minor.value}"


def _cublas_version(library: ctypes.CDLL) -> str | None:
    library.cublasLtGetVersion.restype = ctypes.c_size_t
    version = int(library.cublasLtGetVersion())
    return f"{version // 10000}.{version // 100 % 100}.{version % 100}"


def _cudnn_version(library: ctypes.CDLL) -> str | None:
    library.cudnnGetVersion.restype = ctypes.c_size_t
    version = int(library.cudnnGetVersion())
    if version < 90000:  # before 9 a minor version had one digit: 8907
        return f"{version // 1000}.{version // 100 % 10}.{version % 100}"
    return f"{version // 10000}.{version // 100 % 100}.{version % 100}"


def _devices(driver: dict[str, Any]) -> list[dict[str, Any]]:
    library = driver.get("library")
    count = ctypes.c_int(0)
    try:
        if library is None or library.cuInit(0) != 0:
            return []
        if library.cuDeviceGetCount(ctypes.byref(count)) != 0:
            return []
        return [_device(library, i) for i in range(count.value)]
    except (AttributeError, OSError):
        return []


def _device(library: ctypes.CDLL, number: int) -> dict[str, Any]:
    device, name = ctypes.c_int(0), ctypes.create_string_buffer(128)
    major, minor, total = ctypes.c_int(0), ctypes.c_int(0), ctypes.c_size_t(0)
    library.cuDeviceGet(ctypes.byref(device), number)
    library.cuDeviceGetName(name, 128, device)
    library.cuDeviceGetAttribute(ctypes.byref(major), 75, device)
    library.cuDeviceGetAttribute(ctypes.byref(minor), 76, device)
    library.cuDeviceTotalMem_v2(ctypes.byref(total), device)
    return {
        "name": name.value.decode(errors="replace"),
        "architecture": f"sm_{major.value}{minor.value}",
        "memory_bytes": total.value,
    }


def _first_problem(parts: dict[str, Any], place: str) -> dict[str, str] | None:
    """Return what is wrong and its cure; a machine without a driver is a machine without CUDA."""
    driver = parts["driver"]
    if not driver["found"]:
        return _broken("the CUDA driver", driver, "install NVIDIA's driver again")
    return _driver_problem(parts) or _missing_part(parts, place) or _version_problem(parts)


def _broken(title: str, part: dict[str, Any], cure: str) -> dict[str, str] | None:
    """Return the problem of a library that is there and does not open."""
    error = part.get("error", "not found")
    if error == "not found":
        return None
    return {"what": f"{title} is there and does not open ({error})", "cure": cure}


def _driver_problem(parts: dict[str, Any]) -> dict[str, str] | None:
    driver = parts["driver"]
    version = _version(driver)
    lacks = [name for name in _NEWEST_FUNCTIONS if not _has(driver.get("library"), name)]
    if (version and version[:2] < _OLDEST_DRIVER) or lacks:
        why = f"lacks {lacks[0]}" if lacks else f"runs CUDA {driver['version']}"
        needed = ".".join(str(n) for n in _OLDEST_DRIVER)
        what = f"the CUDA driver is too old: it {why}, needed is CUDA {needed}"
        return {"what": what, "cure": "update NVIDIA's driver"}
    if not parts["devices"]:
        return {
            "what": "the driver finds no device",
            "cure": "check `nvidia-smi`, CUDA_VISIBLE_DEVICES and the rights on /dev/nvidia*",
        }
    return None


def _has(library: ctypes.CDLL | None, name: str) -> bool:
    return library is None or hasattr(library, name)


def _missing_part(parts: dict[str, Any], place: str) -> dict[str, str] | None:
    for name, package in (
        ("nvrtc", "nvidia-cuda-nvrtc"),
        ("cublaslt", "nvidia-cublas"),
        ("cudnn", "nvidia-cudnn-cu13"),
    ):
        if parts[name]["found"]:
            continue
        where = f" or set TENON_CUDA_PATH (now '{place}')" if place else ""
        cure = f"pip install {package}{where}"
        absent = f"there is a driver but no {name} ({parts[name]['error']})"
        return _broken(name, parts[name], cure) or {"what": absent, "cure": cure}
    return None


def _version_problem(parts: dict[str, Any]) -> dict[str, str] | None:
    driver = parts["driver"]["version"]
    for name, title in (("nvrtc", "NVRTC"), ("cublaslt", "cuBLASLt")):
        found = parts[name]["version"]
        if driver and found and _version(parts[name])[0] > _version(parts["driver"])[0]:
            return {
                "what": f"{title} {found} is newer than the driver, which runs CUDA {driver}",
                "cure": f"update the driver, or install {title} {driver.split('.')[0]}",
            }
    cudnn = _version(parts["cudnn"])
    if cudnn and cudnn[0] != _CUDNN_MAJOR:
        return {
            "what": f"cuDNN {parts['cudnn']['version']} is found, Tenon uses {_CUDNN_MAJOR}",
            "cure": f"install cuDNN {_CUDNN_MAJOR}: pip install nvidia-cudnn-cu13",
        }
    return None


def _version(part: dict[str, Any]) -> tuple[int, ...]:
    """Return the numbers of a version; empty when it is unknown."""
    return tuple(_numbers(part["version"])) if part.get("version") else ()
