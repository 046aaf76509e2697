"""Settings of the process: `tenon.config`."""

from __future__ import annotations

import os
from typing import Literal

from tenon import _core
from tenon.errors import UserError

__all__ = ["Config", "config"]

Verify = Literal["off", "verifier", "interpret"]
Libraries = Literal["never", "auto", "always"]


class Config:
    """Settings that every later build or call reads; each assignment is checked."""

    __slots__ = ("_check_numerics", "_libraries", "_verify")

    def __init__(self) -> None:
        self._check_numerics = False
        self._libraries: Libraries = "never"
        self._verify: Verify = "off"

    @property
    def threads(self) -> int:
        """Threads that parallel loops use; 0 restores the default, the cores that may be used."""
        return _core.num_threads()

    @threads.setter
    def threads(self, count: int) -> None:
        if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= 1024:
            raise UserError("E0140", f"config.threads should be 0 to 1024, got {count!r}")
        _core.set_num_threads(count)

    @property
    def verify(self) -> Verify:
        """How builds are checked.

        ``"verifier"`` checks the program after each pass; ``"interpret"`` also compares each call
        of what is built from now on with the interpreter, bit by bit, which is slow.
        """
        return self._verify

    @verify.setter
    def verify(self, mode: Verify) -> None:
        if mode not in ("off", "verifier", "interpret"):
            raise UserError(
                "E0141", f"config.verify should be 'off', 'verifier' or 'interpret', got {mode!r}"
            )
        self._verify = mode

    @property
    def check_numerics(self) -> bool:
        """Whether networks look for NaN and infinities.

        What is compiled from now on by `compile`, `fit` or `train_step` then looks at the result of
        each of its operators, and raises NumericError [E0704] with the name and the user's line of
        the first that made one of finite operands. Slow: nothing is fused.
        """
        return self._check_numerics

    @check_numerics.setter
    def check_numerics(self, is_on: bool) -> None:
        if not isinstance(is_on, bool):
            raise UserError(
                "E0143", f"config.check_numerics should be True or False, got {is_on!r}"
            )
        self._check_numerics = is_on

    @property
    def libraries(self) -> Libraries:
        """Whether networks for GPUs may call cuBLASLt instead of Tenon's kernels.

        ``"never"``: no, so that a row has the same bits alone and in a batch. ``"auto"``: for
        matrix products that are a kernel of their own, where this machine has the library.
        ``"always"``: for every matrix product of plain operands outside of branches and loops,
        whose element-wise readers then are kernels of their own; a call where the library is
        missing raises ResourceError [E1310]. The
        order of the library's sums is its own. Networks compiled from now on obey it, and their
        reports say which calls are the library's. CPUs and ``check_numerics`` ignore it.
        """
        return self._libraries

    @libraries.setter
    def libraries(self, mode: Libraries) -> None:
        if mode not in ("never", "auto", "always"):
            raise UserError(
                "E1315", f"config.libraries should be 'never', 'auto' or 'always', got {mode!r}"
            )
        self._libraries = mode

    @property
    def cache_dir(self) -> str | None:
        """The folder of compiled code; None where there is no cache."""
        folder = _core.cache_folder()
        return os.path.dirname(folder) if folder else None

    @cache_dir.setter
    def cache_dir(self, folder: str | os.PathLike[str] | None) -> None:
        if folder is not None and not isinstance(folder, (str, os.PathLike)):
            raise UserError("E0142", f"config.cache_dir should be a path or None, got {folder!r}")
        _core.use_cache_folder("" if folder is None else os.path.abspath(folder))

    @property
    def tuning_dir(self) -> str | None:
        """The folder of measured schedules that builds look up; None where there is none.

        By default ``$TENON_TUNING_DIR``, or ``tuning`` in the folder of compiled code.
        """
        return _core.tuning_folder() or None

    @tuning_dir.setter
    def tuning_dir(self, folder: str | os.PathLike[str] | None) -> None:
        if folder is not None and not isinstance(folder, (str, os.PathLike)):
            raise UserError("E1230", f"config.tuning_dir should be a path or None, got {folder!r}")
        _core.use_tuning_folder("" if folder is None else os.path.abspath(folder))

    def __repr__(self) -> str:
        return (
            f"<tenon.config threads={self.threads} verify={self.verify!r} "
            f"check_numerics={self.check_numerics} libraries={self.libraries!r} "
            f"cache_dir={self.cache_dir!r} tuning_dir={self.tuning_dir!r}>"
        )


config = Config()
