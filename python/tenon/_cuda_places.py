"""Tells the compiler where Python's packages are: NVRTC may be among them."""

from __future__ import annotations

import sys

from tenon import _core

__all__ = ["tell_package_folders"]


def tell_package_folders() -> None:
    """Pass `sys.path` on; the folders are looked into when a library of CUDA is needed.

    The empty entry, the working folder, is left out: who can write there should not choose what
    code runs here.
    """
    _core.set_cuda_package_folders("\n".join(folder for folder in sys.path if folder))
