"""One drive of KITTI raw, synced and rectified: one lidar, four cameras, GPS and inertial poses.

The ego frame is the velodyne's own (x forward, y left, z up), as in KITTI object and odometry, so that a model made for
one reads the others. The inertial unit's poses are taken to it by calib_imu_to_velo.txt; the world is east, north, up.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from perceptum.inputs import (
    CameraImage,
    Matrix,
    MissingRecord,
    NotALog,
    Poses,
    PoseUnknown,
    Signal,
    Source,
)
from perceptum.inputs.once import once
from perceptum.inputs.poses import rigid

from ..reading.files import floats, has_numbered, numbered
from ..reading.picture_file import picture_file, size_of
from ..reading.pose_matrices import poses_of
from .calibration import calibration_lines, camera_of, matrix_of, rotation_of
from .folders import LIDAR, KittiReader
from .raw_oxts import OXTS_MEASURES, carry_to, oxts_signal, read_stamps, world_from_imus

__all__ = ["LOOKS_LIKE", "KittiRaw", "open_source", "recognises"]


LOOKS_LIKE = "one DATE_drive_NNNN_sync with velodyne_points/data/NNNNNNNNNN.bin, the calib_*.txt one folder up"

_PROJECTIONS = {f"image_{i:02}": f"P{i}" for i in range(4)}
_CARRY_NS = 50_000_000
"""How far the first and last motion goes on: a drive's first sweep may be stamped before its first GPS packet."""


def recognises(path: Path) -> bool:
    """Whether `path` is one drive."""
    points = path / "velodyne_points"
    if has_numbered(points / "data", ".bin", ".txt") and os.path.exists(points / "timestamps.txt"):
        return True
    return any(
        has_numbered(path / name / "data", ".png", ".jpg") and os.path.exists(path / name / "timestamps.txt")
        for name in _PROJECTIONS
    )


def open_source(path: Path) -> Source:
    """Opens the folder of one synced drive."""
    return KittiRaw(path)


class KittiRaw(KittiReader):
    """One drive, read in place; opening it lists its files and reads the timestamps.txt."""

    dataset = "kitti_raw"
    opens_noted = True
    sequential = True
    lacks = "KITTI raw has no radar"
    compensated = False
    """The points are as measured over 0.1 s, and none has a time of its own."""

    def __init__(self, folder: Path) -> None:
        if has_numbered(folder / "velodyne_points" / "data", ".txt"):
            raise NotALog(f"{folder}: an unsynced drive (points as text, raw pictures); open the _sync drive instead")
        points = numbered(folder / "velodyne_points" / "data", ".bin")
        pictures = {name: numbered(folder / name / "data", ".png", ".jpg") for name in _PROJECTIONS}
        folders = {LIDAR: "velodyne_points"}
        super().__init__(
            folder,
            points,
            pictures,
            lambda sensor, files: read_stamps(folder / folders.get(sensor, sensor) / "timestamps.txt", files),
        )
        # where the drive has its packets
        if has_numbered(folder / "oxts" / "data", ".txt"):
            self.signals = {"oxts": tuple(OXTS_MEASURES)}

    @once
    def poses(self) -> Poses:
        """East, north, up from velodyne; raises PoseUnknown in a download without oxts/."""
        folder = self.folder / "oxts"
        files = numbered(folder / "data", ".txt")
        if not len(files):
            raise PoseUnknown(f"{folder / 'data'}: no packets NNNNNNNNNN.txt, so the drive has no poses")
        times_ns, broken = read_stamps(folder / "timestamps.txt", files)
        world_from_imu, unreadable = world_from_imus(files)
        imu_from_velodyne = np.linalg.inv(self._rigid("calib_imu_to_velo.txt", "poses"))
        poses = poses_of(folder, times_ns, world_from_imu @ imu_from_velodyne, broken | unreadable, files.paths)
        return carry_to(poses, [int(self.times_ns[0]), int(self.times_ns[-1])], _CARRY_NS)

    def read_signal(self, name: str) -> Signal:
        folder = self.folder / "oxts"
        files = numbered(folder / "data", ".txt")
        stamps = read_stamps(folder / "timestamps.txt", files)
        return oxts_signal(folder, files, *stamps, self._rigid("calib_imu_to_velo.txt", "vectors of the signal oxts"))

    def _calibration(self, file: str, needs: str) -> tuple[Path, dict[str, str]]:
        """The file is the date's: it lies in the folder above the drive, or in the drive itself."""
        # as text: the folder may be "." or a link
        above = Path(os.path.abspath(self.folder)).parent / file
        path = self.folder / file if os.path.exists(self.folder / file) else above
        return path, calibration_lines(path, f"{needs} need the date's calibration")

    def _rigid(self, file: str, needs: str) -> Matrix:
        """Returns (4, 4) of a file's R and T."""
        path, lines = self._calibration(file, needs)
        r, t = (_of(path, lines, key, shape) for key, shape in (("R", (3, 3)), ("T", (3, 1))))
        return rigid(rotation_of(path, "R", r), t[:, 0])

    @once
    def _camera_files(self) -> tuple[Path, dict[str, Matrix]]:
        """The calibration by the names of KITTI object's, which hold for the rectified pictures."""
        path, lines = self._calibration("calib_cam_to_cam.txt", "pictures")
        calibration = {"R0_rect": _of(path, lines, "R_rect_00", (3, 3))}
        rotation_of(path, "R_rect_00", calibration["R0_rect"])
        calibration["Tr_velo_to_cam"] = self._rigid("calib_velo_to_cam.txt", "pictures")[:3]
        for camera in self._pictures:
            key = f"P_rect_{camera[-2:]}"
            calibration[_PROJECTIONS[camera]] = _of(path, lines, key, (3, 4))
        return path, calibration

    @once
    def _sizes(self) -> dict[str, tuple[int, int] | None]:
        """Camera -> height and width of the rectified pictures, which S_rect_NN gives the other way round."""
        _, lines = self._calibration("calib_cam_to_cam.txt", "pictures")
        return {camera: _size(lines.get(f"S_rect_{camera[-2:]}", "")) for camera in self._pictures}

    def read_camera(self, camera: str, index: int) -> CameraImage:
        path = self._pictures[camera].paths[index]
        intrinsics, ego_from_camera = camera_of(*self._camera_files, _PROJECTIONS[camera])
        time_ns = int(self.cameras[camera][index])
        what = "the drive has no such picture"
        return picture_file(path, camera, time_ns, intrinsics, ego_from_camera, what, size=self._sizes[camera])


def _size(text: str) -> tuple[int, int] | None:
    try:
        width, height = floats(text.split())
    except ValueError:
        return None
    return size_of(height, width)


def _of(path: Path, lines: Mapping[str, str], key: str, shape: tuple[int, int]) -> Matrix:
    if key not in lines:
        raise MissingRecord(f"{path}: no {key}; found {', '.join(list(lines)[:8]) or 'nothing'}")
    return matrix_of(path, key, lines[key], shape)
