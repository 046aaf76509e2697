"""The error classes of Tenon.

One question decides the class: who must act? ``UserError`` (the caller), ``ResourceError`` (the
environment), ``InternalError`` (Tenon's developers). Errors of the C++ floors are raised as these
very classes. The first line of a message is complete by itself and ends with a stable code such as
``[E0203]``.
"""

from __future__ import annotations

import builtins

__all__ = [
    "CacheError",
    "DTypeError",
    "Error",
    "ExpressionError",
    "GradientError",
    "IndexError",
    "InternalError",
    "ModelError",
    "NumericError",
    "ResourceError",
    "ScheduleError",
    "ShapeError",
    "TargetError",
    "UnsupportedError",
    "UserError",
]


class Error(Exception):
    """Root of everything that Tenon raises.

    Parameters
    ----------
    code
        The stable code, ``"E"`` and four digits.
    message
        What went wrong, where, and what to do. ``[code]`` is put at the end of its first line
        unless it is there.
    """

    code: str
    """The stable code, such as ``"E0203"``."""

    def __init__(self, code: str, message: str) -> None:
        first, newline, rest = message.partition("\n")
        if not first.endswith(f"[{code}]"):
            first = f"{first} [{code}]"
        super().__init__(first + newline + rest)
        self.code = code

    def __reduce__(self) -> tuple[type[Error], tuple[str, str]]:
        """Pickle by code and message, so that errors cross process borders."""
        return type(self), (self.code, str(self))


class UserError(Error):
    """The caller can fix it."""


class ExpressionError(UserError, TypeError):
    """A tensor expression cannot be built as written."""


class ScheduleError(UserError):
    """A schedule step is illegal; the schedule is as it was before."""


class GradientError(UserError):
    """A derivative does not exist."""


class ShapeError(UserError, ValueError):
    """Sizes or ranks do not fit."""


class DTypeError(UserError, TypeError):
    """Data types do not fit."""


class IndexError(UserError, builtins.IndexError):
    """An index that depends on data is out of range."""


class NumericError(UserError):
    """NaN or infinity where it was checked for."""


class ModelError(UserError):
    """A model's file or folder is damaged, incomplete or not what it should be."""


class UnsupportedError(UserError):
    """Tenon knows what is asked for and does not support it."""


class TargetError(UserError):
    """A target, a CPU name or a device is unknown."""


class CacheError(UserError):
    """The on-disk cache cannot be used."""


class ResourceError(Error):
    """The environment is at fault: out of memory, device lost, no driver."""


class InternalError(Error):
    """A bug of Tenon; please report it."""
