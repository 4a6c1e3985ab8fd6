"""The KITTI object benchmark: unrelated frames of one lidar and two colour cameras.

The ego frame is the velodyne's own (x forward, y left, z up), for KITTI object has no other. No times are
published: frame NNNNNN is said to be at NNNNNN x 100 ms.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from perceptum.inputs import (
    CameraImage,
    Labels,
    Matrix,
    Poses,
    Source,
)
from perceptum.inputs.once import once

from ..listing import Listing
from ..reading.files import has_numbered, numbered
from ..reading.picture_file import picture_file
from .calibration import camera_of, read_calibration, rectified_from_velodyne
from .folders import KittiReader
from .labels import read_labels
from .splits import frames_in

__all__ = ["FRAME_NS", "LOOKS_LIKE", "KittiObject", "logs_in", "open_source", "recognises"]


LOOKS_LIKE = "training/ or testing/ with velodyne/NNNNNN.bin, calib/ and image_2/"
FRAME_NS = 100_000_000
"""The nominal time from one frame number to the next."""

_LIDAR_FOLDERS = ("velodyne", "velodyne_reduced")
_PROJECTIONS = {"image_2": "P2", "image_3": "P3"}


def recognises(path: Path) -> bool:
    """Whether `path` is the benchmark's root or one of its splits."""
    return _split(path) is not None


def _split(path: Path) -> Path | None:
    return next((folder for folder in (path, path / "training", path / "testing") if _is_split(folder)), None)


def _is_split(folder: Path) -> bool:
    # a sequence of KITTI odometry has the same folders, and these two files beside them
    if all(os.path.exists(folder / name) for name in ("calib.txt", "times.txt")):
        return False
    beside = any(os.path.isdir(folder / name) for name in ("calib", "label_2", "image_2"))
    points = any(has_numbered(folder / name, ".bin") for name in _LIDAR_FOLDERS)
    return beside and (points or (os.path.isdir(folder / "calib") and has_numbered(folder / "image_2", ".png")))


def logs_in(root: Path, split: str | None, options: Mapping[str, Any]) -> Listing:
    """Returns training/ and testing/, each one log, and the frames of them that are train and val."""
    return frames_in(root, _is_split)


def open_source(path: Path) -> Source:
    """Opens a split: `path` itself, else its training/, else its testing/."""
    return KittiObject(_split(path) or path)


class KittiObject(KittiReader):
    """One split of the benchmark, read in place."""

    dataset = "kitti_object"
    opens_noted = True
    sequential = False
    lacks = "KITTI object has no radar"

    def __init__(self, folder: Path) -> None:
        points = [numbered(folder / name, ".bin", unit=FRAME_NS) for name in _LIDAR_FOLDERS]
        pictures = {name: numbered(folder / name, ".png", ".jpg", unit=FRAME_NS) for name in _PROJECTIONS}
        found = next((files for files in points if len(files)), points[0])
        super().__init__(folder, found, pictures, lambda _, files: (files.numbers, {}))

    @once
    def poses(self) -> Poses:
        """The identity: the frames are unrelated and no motion is published."""
        return Poses.fixed(self.times_ns)

    def _path(self, folder: str, time_ns: int) -> Path:
        """The text beside the record of `time_ns`, under the very name the record has."""
        stem = self._frames.paths[int(np.searchsorted(self.times_ns, time_ns))].stem
        return self.folder / folder / f"{stem}.txt"

    def read_camera(self, camera: str, index: int) -> CameraImage:
        path = self._pictures[camera].paths[index]
        calibration_path = self.folder / "calib" / f"{path.stem}.txt"
        calibration = read_calibration(calibration_path)
        intrinsics, ego_from_camera = camera_of(calibration_path, calibration, _PROJECTIONS[camera])
        time_ns = int(self.cameras[camera][index])
        return picture_file(path, camera, time_ns, intrinsics, ego_from_camera, "the frame has no such picture")

    def rectified_from_ego(self, time_ns: int) -> Matrix:
        """Returns (4, 4), the axes in which KITTI gives the boxes of the frame at `time_ns`: as its calibration is
        written, orthonormal to 7 digits. Raises LogErrors."""
        return rectified_from_velodyne(read_calibration(self._path("calib", time_ns)))

    def read_labels(self, time_ns: int) -> Labels | None:
        """The boxes of the frame at `time_ns`; None in a split without label_2/."""
        if not os.path.isdir(self.folder / "label_2"):
            return None
        return read_labels(self._path("label_2", time_ns), time_ns, self.rectified_from_ego(time_ns))
