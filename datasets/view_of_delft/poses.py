"""View-of-Delft's pose files: where the camera stood, in three worlds."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord, MissingRecord

from ..reading.files import read_text

__all__ = ["read_world_from_camera"]


class _Line(msgspec.Struct):
    """Each file holds three of these, one per line, each with one key."""

    odomToCamera: list[float] | None = None
    mapToCamera: list[float] | None = None
    UTMToCamera: list[float] | None = None


def read_world_from_camera(path: Path, key: str) -> NDArray[np.float64]:
    """Returns (4, 4) of one key, e.g. odomToCamera; raises BrokenRecord or MissingRecord."""
    for line in filter(str.strip, read_text(path, "the frame has no pose").splitlines()):
        values = getattr(_parsed(path, line), key)
        if values is not None:
            return _matrix(path, key, values)
    raise MissingRecord(f'{path}: no {key}; wanted lines such as {{"{key}": [16 numbers]}}')


def _parsed(path: Path, line: str) -> _Line:
    try:
        return msgspec.json.decode(line, type=_Line)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BrokenRecord(f"{path}: not the expected JSON ({error})") from error


def _matrix(path: Path, key: str, values: list[float]) -> NDArray[np.float64]:
    if len(values) != 16 or values[12:] != [0, 0, 0, 1]:
        raise BrokenRecord(f"{path}: {key} is not a 4x4 pose; wanted 16 numbers, row by row, the last four 0 0 0 1")
    return np.array(values, dtype=np.float64).reshape(4, 4)
