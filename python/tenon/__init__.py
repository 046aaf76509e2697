"""Tenon, a tensor-operator compiler: tensor expressions, schedules, and kernels made from them."""

from tenon._core import __version__

__all__ = ["__version__"]
