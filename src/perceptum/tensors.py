"""Tensors of a frame in a file, with what is known of how they were built."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from .errors import UsageError
from .output_file import check_ending, whole_file

__all__ = ["read_about", "write_tensors"]


def write_tensors(path: Path, tensors: Mapping[str, NDArray[Any]], about: Mapping[str, Any] | None = None) -> None:
    """Writes an .npz file completely or not at all; `about`, plain data, goes into it where `read_about` finds it."""
    check_ending(path, (".npz",), "tensors are an .npz file")
    with whole_file(path) as beside:
        with beside.open("wb") as file:
            np.savez(file, allow_pickle=False, **tensors)
        if about is not None:
            # the archive's comment: one more array would go to the model, and into its test data, with the others
            with zipfile.ZipFile(beside, "a") as archive:
                archive.comment = msgspec.json.encode(about)


def read_about(path: Path) -> dict[str, Any]:
    """Returns what a file of `perceptum build` says of itself; empty for one of an older Perceptum, or of numpy alone.

    "fingerprint" is `InputBuilder.fingerprint`, "training" whether presets gave their training values; "log" and
    "frame_id" say of what it was built, "augment" and "draw", where there are any, what was changed at random. Raises
    UsageError where it is not an .npz file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return msgspec.json.decode(archive.comment, type=dict[str, Any]) if archive.comment else {}
    except (zipfile.BadZipFile, msgspec.MsgspecError) as error:
        raise UsageError(f"{path}: not an .npz file that perceptum wrote ({error})") from error
