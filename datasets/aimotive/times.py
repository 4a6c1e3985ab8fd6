"""aiMotive's frame numbers, which link all files, and their times."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import LogError

__all__ = ["FrameTimes", "listed"]

_FRAMES_PER_S = 15
_MOST_DIGITS = 9


def listed(folder: Path, prefix: str, suffix: str) -> dict[int, Path]:
    """Lists folder/<prefix>_<number><suffix>, in the order of the numbers; a missing folder is empty."""
    pattern = re.compile(rf"{re.escape(prefix)}_(\d{{1,{_MOST_DIGITS}}}){re.escape(suffix)}", re.ASCII)
    try:
        names = sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise LogError(f"{folder}: cannot be listed ({error.strerror})") from error
    found = {int(match[1]): folder / match[0] for match in map(pattern.fullmatch, names) if match}
    return dict(sorted(found.items()))


class FrameTimes:
    """Frame number -> ns: as recorded with the frame's boxes, else between those of its neighbours, at 15 per s."""

    def __init__(self, stamps: Mapping[int, int]) -> None:
        self._numbers = np.array(list(stamps), dtype=np.int64)
        self._stamps_ns = np.array(list(stamps.values()), dtype=np.int64)

    def of(self, numbers: Collection[int]) -> NDArray[np.int64]:
        """Returns (n,) ns."""
        wanted = np.array(list(numbers), dtype=np.int64)
        if not len(self._numbers):
            return _steps_ns(wanted)
        # as differences to the first stamp: whole numbers that float64 holds
        first = self._stamps_ns[0]
        near = np.clip(wanted, self._numbers[0], self._numbers[-1])
        inside = np.interp(near, self._numbers, (self._stamps_ns - first).astype(np.float64))
        return np.asarray(first + np.rint(inside).astype(np.int64) + _steps_ns(wanted - near))


def _steps_ns(frames: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.asarray(frames * 1_000_000_000 // _FRAMES_PER_S)
