"""nuScenes-lidarseg and Panoptic nuScenes: files of a class, or of class and instance, for the points of a keyframe."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord

from ..reading.files import read_array, read_bytes
from .rows import Row, rows_in_parts
from .scene import stays_inside
from .tokens import packed

__all__ = ["LabelFiles", "label_files", "point_classes", "read_lidarseg", "read_panoptic"]

_PER_CLASS = 1000
"""A panoptic number is the class times this, plus the instance."""
_MEMBER = "data.npy"
_HEADER_BYTES = 4096

LabelFiles = Mapping[bytes, str]
"""16 bytes of a record's token -> its file."""


class _FileRow(Row, gc=False):
    sample_data_token: str
    filename: str


class _Category(Row, gc=False):
    name: str
    index: int | None = None


def label_files(path: Path) -> LabelFiles:
    """Returns the files that lidarseg.json or panoptic.json lists; none where it is not there. Raises LogErrors."""
    if not path.exists():
        return {}
    rows = [row for part in rows_in_parts(path, _FileRow) for row in part]
    for row in rows:
        if not stays_inside(row.filename):
            raise BrokenRecord(
                f"{path}: file name {row.filename[:120]!r} leaves the log's folder, wanted a path below it"
            )
    tokens = packed([row.sample_data_token for row in rows])
    return {token.tobytes(): row.filename for token, row in zip(tokens, rows, strict=True)}


def point_classes(path: Path) -> Mapping[int, str] | None:
    """Returns the index and the name of each category; None where category.json has no indices. Raises LogErrors."""
    rows = [row for part in rows_in_parts(path, _Category) for row in part]
    found = {row.index: row.name for row in sorted(rows, key=lambda row: row.index or 0) if row.index is not None}
    return found or None


def read_lidarseg(path: Path, points: int) -> tuple[NDArray[np.uint8], None]:
    """Returns the class of each point, (points,); raises MissingRecord or BrokenRecord."""
    encoded = read_array(path, "the sweep has no labels")
    if len(encoded) != points:
        raise BrokenRecord(
            f"{path}: {len(encoded)} labels of a byte, wanted one for each of the sweep's {points} points"
        )
    return encoded, None


def read_panoptic(path: Path, points: int) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """Returns class and instance, (points,) each; raises MissingRecord or BrokenRecord."""
    both = _panoptic_numbers(path, read_bytes(path, "the sweep has no labels"), points)
    semantic, instance = np.divmod(both, np.uint16(_PER_CLASS))
    return semantic.astype(np.uint8), instance


def _panoptic_numbers(path: Path, encoded: bytes, points: int) -> NDArray[np.uint16]:
    try:
        with zipfile.ZipFile(io.BytesIO(encoded)) as archive:
            # what is unpacked is bounded before it is
            size = archive.getinfo(_MEMBER).file_size
            if size > 2 * points + _HEADER_BYTES:
                raise ValueError(f"it has {size} bytes, wanted 2 for each of the sweep's {points} points")
            member = io.BytesIO(archive.read(_MEMBER))
        numbers = np.lib.format.read_array(member, allow_pickle=False)
    except (
        zipfile.BadZipFile,
        zlib.error,
        KeyError,
        ValueError,
        OSError,
        EOFError,
        RuntimeError,
        MemoryError,
    ) as error:
        raise BrokenRecord(f"{path}: not an npz of {_MEMBER} ({' '.join(str(error).split())[:120]})") from error
    if numbers.dtype != np.uint16 or numbers.shape != (points,):
        raise BrokenRecord(f"{path}: {_MEMBER} is {numbers.dtype} {numbers.shape}, wanted uint16 ({points},)")
    return numbers
