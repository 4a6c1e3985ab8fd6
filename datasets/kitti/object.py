"""The KITTI object benchmark: unrelated frames of one lidar and two colour cameras.

The ego frame is the velodyne's own (x forward, y left, z up), for KITTI object has no other. No times are
published: frame NNNNNN is said to be at NNNNNN x 100 ms.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from perceptum.inputs import (
    CameraImage,
    HDMap,
    Labels,
    LidarSweep,
    MissingRecord,
    Poses,
    RadarSweep,
    Source,
    Times,
)
from perceptum.inputs.once import once

from ..reading.files import Numbered, has_numbered, numbered, read_bytes
from .calibration import camera_of, read_calibration, rectified_from_velodyne
from .labels import read_labels
from .points import velodyne_sweep

__all__ = ["FRAME_NS", "LOOKS_LIKE", "KittiObject", "open_source", "recognises"]


LOOKS_LIKE = "training/ or testing/ with velodyne/NNNNNN.bin, calib/ and image_2/"
FRAME_NS = 100_000_000
"""The nominal time from one frame number to the next."""

_LIDAR = "velodyne"
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


def open_source(path: Path) -> Source:
    """Opens a split: `path` itself, else its training/, else its testing/."""
    return KittiObject(_split(path) or path)


class KittiObject:
    """One split of the benchmark, read in place."""

    dataset = "kitti_object"
    sequential = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = os.path.basename(os.path.abspath(folder))
        self.location = str(folder)
        points = [numbered(folder / name, ".bin", unit=FRAME_NS) for name in _LIDAR_FOLDERS]
        self._points = next((files for files in points if len(files)), points[0])
        pictures = {name: numbered(folder / name, ".png", ".jpg", unit=FRAME_NS) for name in _PROJECTIONS}
        self._pictures = {name: files for name, files in pictures.items() if len(files)}
        self.times_ns: Times = self._frames().numbers
        self.lidars: Mapping[str, Times] = {_LIDAR: self._points.numbers} if len(self._points) else {}
        self.radars: Mapping[str, Times] = {}
        self.cameras: Mapping[str, Times] = {name: files.numbers for name, files in self._pictures.items()}

    def _frames(self) -> Numbered:
        """The frames are those with points; in a download without any, those with pictures."""
        return next((files for files in (self._points, *self._pictures.values()) if len(files)), self._points)

    @once
    def ids(self) -> list[str]:
        """The frames' own numbers: 000134."""
        return self._frames().stems

    @once
    def poses(self) -> Poses:
        """The identity: the frames are unrelated and no motion is published."""
        return Poses.fixed(self.times_ns)

    def _path(self, folder: str, time_ns: int) -> Path:
        """The text beside the record of `time_ns`, under the very name the record has."""
        files = self._frames()
        stem = files.paths[int(np.searchsorted(files.numbers, time_ns))].stem
        return self.folder / folder / f"{stem}.txt"

    def read_lidar(self, sensor: str, index: int) -> LidarSweep:
        return velodyne_sweep(self._points.paths[index], sensor, int(self._points.numbers[index]))

    def read_camera(self, camera: str, index: int) -> CameraImage:
        path = self._pictures[camera].paths[index]
        calibration_path = self.folder / "calib" / f"{path.stem}.txt"
        calibration = read_calibration(calibration_path)
        intrinsics, ego_from_camera = camera_of(calibration_path, calibration, _PROJECTIONS[camera])
        return CameraImage(
            camera=camera,
            time_ns=int(self._pictures[camera].numbers[index]),
            intrinsics=intrinsics,
            ego_from_camera=ego_from_camera,
            read=partial(read_bytes, path, "the frame has no such picture"),
            source=str(path),
        )

    def read_labels(self, time_ns: int) -> Labels | None:
        """The boxes of the frame at `time_ns`; None in a split without label_2/."""
        if not os.path.isdir(self.folder / "label_2"):
            return None
        calibration = read_calibration(self._path("calib", time_ns))
        return read_labels(self._path("label_2", time_ns), time_ns, rectified_from_velodyne(calibration))

    def read_radar(self, sensor: str, index: int) -> RadarSweep:
        raise MissingRecord(f"{self.location}: no sensor '{sensor}'; KITTI object has no radar")

    def read_map(self) -> HDMap | None:
        return None
