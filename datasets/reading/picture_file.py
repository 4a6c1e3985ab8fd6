"""A picture that lies in a file of its own."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from perceptum.inputs import CameraImage, Matrix

from .files import read_bytes

__all__ = ["picture_file"]


def picture_file(
    path: Path,
    camera: str,
    time_ns: int,
    intrinsics: Matrix,
    ego_from_camera: Matrix,
    what: str,
    distortion: Matrix | None = None,
    distortion_model: str = "none",
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
    )
