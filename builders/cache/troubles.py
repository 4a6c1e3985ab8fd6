"""What is wrong with a cache's folder: said once, and writing waits for a while where it failed."""

from __future__ import annotations

import errno
import logging
import time
from pathlib import Path

__all__ = ["Troubles"]

_log = logging.getLogger(__name__)

_WAIT_AFTER_FAILURE_S = 60.0


class Troubles:
    """Of one folder, in one process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._said: set[str] = set()
        self._waits_until_s = 0.0

    @property
    def may_write(self) -> bool:
        return time.monotonic() >= self._waits_until_s

    def say(self, once: str, line: str, *values: object) -> None:
        if once not in self._said:
            self._said.add(once)
            _log.warning(line, *values)

    def cannot_write(self, error: OSError) -> None:
        self._waits_until_s = time.monotonic() + _WAIT_AFTER_FAILURE_S
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        why = f"{error.strerror or error}" + ("; `perceptum cache gc` makes room" if full else "")
        self.say(f"write {error.errno}", "%s: tensors cannot be kept (%s); they are built each time", self._folder, why)
