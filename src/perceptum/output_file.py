"""A file that appears under its name only when it is complete."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import UsageError

__all__ = ["FORMATS", "check_ending", "check_file_place", "check_folder_name", "whole_file"]

_ENDINGS = (
    ".arrow .feather .ipc .parquet .orc .avro .csv .tsv .json .jsonl .yaml .xlsx .h5 .hdf5 .npz .npy .mat .pkl "
    ".txt .html .mcap .bag .db3 .bin .pcd .ply .las .laz .png .jpg .jpeg .svg .pdf .eps .tif .tiff .webp .gif "
    ".bmp .mp4 .zip .tar .gz .neuropod .onnx .pt .pth .pt2 .pb .keras .safetensors .pickle .zarr"
)
FORMATS = frozenset(_ENDINGS.split())
"""Endings that promise a format. Others, as in run.v2, promise none."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def check_ending(path: Path, endings: tuple[str, ...], what: str) -> None:
    """Raises UsageError where a file's name says that it holds something else than what is written into it.

    endings: those that are right, the usual first. A name without an ending, or with one of its own, says nothing.
    """
    if path.suffix.lower() in FORMATS and path.suffix.lower() not in endings:
        raise UsageError(f"cannot write {path}: {what}; name it {path.with_suffix(endings[0])}")


def check_folder_name(path: Path, what: str) -> None:
    """Raises UsageError where a folder is to be written and the name is that of a file, such as tensors.parquet, or a
    file is there, or in the place of a folder above it."""
    there = next((one for one in (path, *path.parents) if one.exists()), path)
    if there.exists() and not there.is_dir():
        raise UsageError(f"cannot write {path}: {there} is a file; name a folder")
    if path.suffix.lower() in FORMATS and not path.is_dir():
        raise UsageError(f"cannot write {path}: {what}; name one without an ending")


def check_file_place(path: Path) -> Path:
    """Returns what a file is written in the place of: the path, or where it leads to. Raises UsageError where there can
    be none, so that it is known before there is something to write."""
    if path.is_dir():
        raise UsageError(f"cannot write {path}: it is a folder; name a file")
    # a link stays one; a device would be replaced by a file of its name
    try:
        target = path.resolve() if path.is_symlink() else path
    except (OSError, RuntimeError) as error:
        raise UsageError(f"cannot write {path}: it is a link that leads back to itself") from error
    if target.exists() and not target.is_file():
        raise UsageError(f"cannot write {path}: it is not a regular file; name another")
    if not target.parent.is_dir():
        raise UsageError(f"cannot write {path}: there is no folder {target.parent}")
    return target


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yields the path to write to, beside `path`, whose place it then takes; after any error nothing is left of it.

    Raises UsageError where no file can be written there, before anything else is done.
    """
    target = check_file_place(path)
    beside = target.with_name(f".{target.name}.part")
    try:
        beside.touch()
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    try:
        yield beside
        beside.replace(target)
    except OSError as error:
        if error.errno in _FULL:  # libraries leave out of which file they speak
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
        raise
    finally:
        beside.unlink(missing_ok=True)
