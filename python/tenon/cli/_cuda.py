"""Which parts of CUDA there are, found as `dlopen` finds them; nothing is compiled or run."""

from __future__ import annotations

import ctypes
import glob
import os
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

__all__ = ["cuda_parts"]

_DRIVER = ("libcuda.so.1", "libcuda.so")
_NVRTC = ("libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so")
_CUBLAS = ("libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so")
_CUDNN = ("libcudnn.so.9", "libcudnn.so")


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
            if os.path.exists(path):
                error = str(failure).splitlines()[0]
            continue
        try:
            version = version_of(library)
        except (AttributeError, OSError):
            version = None
        return {"found": True, "path": path, "version": version, "library": library}
    return {"found": False, "error": error}


def _candidates(names: tuple[str, ...], place: str) -> Iterator[str]:
    folders = [f"{place}/lib64", f"{place}/lib", place] if place else []
    for name in names:
        yield from (f"{folder}/{name}" for folder in folders)
        yield name
    folders = ["/usr/local/cuda/lib64", *glob.glob("/usr/local/cuda-*/lib64")]
    for key in ("purelib", "platlib"):
        folders += glob.glob(str(Path(sysconfig.get_path(key)) / "nvidia" / "*" / "lib"))
    for name in names:
        for folder in folders:
            if os.path.exists(f"{folder}/{name}"):
                yield f"{folder}/{name}"


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
    major, minor = ctypes.c_int(0), ctypes.c_int(0)
    library.cuDeviceGet(ctypes.byref(device), number)
    library.cuDeviceGetName(name, 128, device)
    library.cuDeviceGetAttribute(ctypes.byref(major), 75, device)
    library.cuDeviceGetAttribute(ctypes.byref(minor), 76, device)
    return {
        "name": name.value.decode(errors="replace"),
        "architecture": f"sm_{major.value}{minor.value}",
    }


def _first_problem(parts: dict[str, Any], place: str) -> dict[str, str] | None:
    """Return what is wrong and its cure; a machine without a driver is a machine without CUDA."""
    if not parts["driver"]["found"]:
        return None
    if not parts["devices"]:
        return {
            "what": "the driver finds no device",
            "cure": "check `nvidia-smi`, CUDA_VISIBLE_DEVICES and the rights on /dev/nvidia*",
        }
    for name, package in (
        ("nvrtc", "nvidia-cuda-nvrtc"),
        ("cublaslt", "nvidia-cublas"),
        ("cudnn", "nvidia-cudnn-cu12 or -cu13"),
    ):
        if not parts[name]["found"]:
            where = f" or set TENON_CUDA_PATH (now '{place}')" if place else ""
            return {
                "what": f"there is a driver but no {name} ({parts[name]['error']})",
                "cure": f"pip install {package}{where}",
            }
    driver, nvrtc = parts["driver"]["version"], parts["nvrtc"]["version"]
    if driver and nvrtc and int(nvrtc.split(".")[0]) > int(driver.split(".")[0]):
        return {
            "what": f"NVRTC {nvrtc} is newer than the driver, which runs CUDA {driver}",
            "cure": f"update the driver, or install NVRTC {driver.split('.')[0]}",
        }
    return None
