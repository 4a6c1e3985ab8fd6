"""What a map holds and its reader does not take: counted by name, and said once, so that nothing vanishes silently."""

from __future__ import annotations

import os
import warnings
from collections import Counter

from perceptum.inputs import LogError

__all__ = ["NotRead", "Unread"]


class NotRead(UserWarning):
    """A file holds what its reader does not take; nothing is wrong with it."""


class Unread:
    """The things of one map that are not read."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)
        self._counts: Counter[str] = Counter()

    def add(self, what: str, count: int = 1) -> None:
        """Counts `count` more things of the kind `what`; 0 of them are none."""
        if count:
            self._counts[what] += count

    def warn(self) -> tuple[str, ...]:
        """Returns a line for each kind with its count, and says all of them in one warning; none where all was read."""
        lines = tuple(_printable(f"{what} ({count})") for what, count in self._counts.items())
        if lines:
            warnings.warn(_printable(f"{self._path}: not read: {', '.join(lines)}"), NotRead, stacklevel=3)
        return lines


def _printable(text: str) -> str:
    """Names come out of files: what cannot be printed is escaped as in our errors."""
    return str(LogError(text))
