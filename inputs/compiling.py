"""Says once that kernels are being compiled: it takes seconds to minutes, and looks like a program that hangs.

On a terminal it is a warning, which Python shows without being asked; elsewhere it is INFO, for whoever keeps a log, so
that what programs read stays as it is. Where kernels are there already, nothing is said.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from contextlib import suppress

__all__ = ["say_compiling"]

_log = logging.getLogger(__name__)
_MARK = ".compiling_said"
_AGAIN_S = 600.0
"""So long after any process compiled into a folder, no other says it again: a loader's workers compile all at once."""
_said: list[bool] = []
"""Not empty: this process need not say it any more."""


def say_compiling(folder: str | None) -> None:
    """Called where a kernel is about to be compiled. folder: where it will be kept; None: nothing can be written."""
    is_news = folder is None or _is_news(os.path.join(folder, _MARK))
    if _said:
        return
    _said.append(True)
    if not is_news:
        return
    kept = (
        f"once, and kept in {folder}"
        if folder is not None
        else "and again in every process: no folder can be written to keep them in; PERCEPTUM_CACHE names one"
    )
    level = logging.WARNING if sys.stderr is not None and sys.stderr.isatty() else logging.INFO
    _log.log(level, "compiling kernels for this machine, a minute or so, %s", kept)


def _is_news(mark: str) -> bool:
    """Whether no process has compiled into the folder lately; from here on this one has."""
    with suppress(OSError):
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        return True
    with suppress(OSError):
        before_s = os.stat(mark).st_mtime
        os.utime(mark)
        return time.time() - before_s > _AGAIN_S
    return True
