"""A picture that lies in a file of its own, and the size that a calibration gives for it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from perceptum.inputs import CameraImage, Matrix

from .files import read_bytes

__all__ = ["picture_file", "size_of"]

_MOST_PIXELS = 65_535
"""Along a side: what a JPEG can have."""


def picture_file(
    path: Path,
    camera: str,
    time_ns: int,
    intrinsics: Matrix,
    ego_from_camera: Matrix,
    what: str,
    distortion: Matrix | None = None,
    distortion_model: str = "none",
    size: tuple[int, int] | None = None,
) -> CameraImage:
    """Returns the picture, whose file is read when its bytes are asked for; `what` says what is then missing."""
    return CameraImage(
        camera=camera,
        time_ns=time_ns,
        intrinsics=intrinsics,
        ego_from_camera=ego_from_camera,
        read=partial(read_bytes, path, what),
        distortion=distortion,
        distortion_model=distortion_model,
        source=str(path),
        size=size,
    )


def size_of(height: Any, width: Any) -> tuple[int, int] | None:
    """Returns height and width as ints; None where these are not numbers of pixels: the log does not say."""
    try:
        sides = int(height), int(width)
        whole = sides == (height, width) and all(0 < side <= _MOST_PIXELS for side in sides)
    except (TypeError, ValueError, OverflowError):
        return None
    return sides if whole else None
