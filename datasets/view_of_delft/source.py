"""View-of-Delft: a lidar, a 3+1D radar and a camera in KITTI's layout, with poses.

The ego frame is the lidar's own (x forward, y left, z up). No times are published with the frames: frame NNNNN is said
to be at NNNNN x 100 ms. The folder holds many drives, one after the other, and does not say where one ends: the frames
are unrelated moments unless the caller names a range that is one drive.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import numpy as np

from perceptum.inputs import (
    CameraImage,
    Labels,
    LidarSweep,
    Matrix,
    Poses,
    PoseUnknown,
    RadarSweep,
)
from perceptum.inputs.once import once

from ..kitti.calibration import camera_of, read_calibration, rectified_from_velodyne
from ..kitti.labels import read_labels
from ..reading.files import Numbered, numbered, read_each
from ..reading.picture_file import picture_file
from ..reading.point_file import read_points, velodyne_sweep
from ..reading.pose_matrices import poses_of, rows_or_nan
from ..reading.reader import Reader
from .poses import read_world_from_camera

__all__ = ["ViewOfDelft"]


_FRAME_NS = 100_000_000
"""The nominal time from one frame number to the next."""

_LIDAR = "lidar"
_RADAR = "radar"
_CAMERA = "image_2"
_RADAR_COLUMNS = ("x", "y", "z", "rcs", "v_r", "v_r_compensated", "time")


class ViewOfDelft(Reader):
    """The dataset, read in place."""

    dataset = "view_of_delft"
    opens_noted = True

    def __init__(self, folder: Path, radar: str, first: int | None, last: int | None, pose_key: str) -> None:
        super().__init__(folder)
        self.sequential = first is not None or last is not None
        self._pose_key = pose_key
        listed = partial(_within, first=first, last=last)
        self._points = listed(_training(folder, "lidar") / "velodyne", (".bin",))
        self._detections = listed(_training(folder, radar) / "velodyne", (".bin",))
        self._pictures = listed(_training(folder, "lidar") / "image_2", (".jpg", ".png"))
        self.lidars = {_LIDAR: self._points.numbers} if len(self._points) else {}
        self.radars = {_RADAR: self._detections.numbers} if len(self._detections) else {}
        self.cameras = {_CAMERA: self._pictures.numbers} if len(self._pictures) else {}
        # the frames are the sweeps; in a download without lidar, the radar's
        self._frames = self._points if len(self._points) else self._detections
        self.times_ns = self._frames.numbers

    @once
    def ids(self) -> list[str]:
        """The frames' numbers: 01047."""
        return self._frames.stems

    @once
    def poses(self) -> Poses:
        """World from lidar; a frame without a pose file has none."""
        folder = _training(self.folder, "lidar") / "pose"
        stored = numbered(folder, ".json", unit=_FRAME_NS)
        kept = np.flatnonzero(np.isin(stored.numbers, self.times_ns))
        if not len(kept):
            raise PoseUnknown(f"{folder}: no NNNNN.json of these frames, so the log has no poses")
        paths = [stored.paths[i] for i in kept]
        found, broken = read_each(
            dict(enumerate(paths)),
            lambda _, path: read_world_from_camera(path, self._pose_key) @ self._camera_from("lidar", path.stem),
        )
        world_from_lidar = rows_or_nan(len(paths), found, (4, 4))
        return poses_of(folder, stored.numbers[kept], world_from_lidar, broken, paths)

    def _calibration(self, sensor: str, stem: str) -> tuple[Path, dict[str, Matrix]]:
        path = _training(self.folder, sensor) / "calib" / f"{stem}.txt"
        return path, read_calibration(path)

    def _camera_from(self, sensor: str, stem: str) -> Matrix:
        """Returns (4, 4): Tr_velo_to_cam is, in the radar's file, the radar's."""
        return rectified_from_velodyne(self._calibration(sensor, stem)[1])

    def read_lidar(self, sensor: str, index: int) -> LidarSweep:
        return velodyne_sweep(self._points.paths[index], sensor, int(self._points.numbers[index]))

    def read_radar(self, sensor: str, index: int) -> RadarSweep:
        """`scan` is the stored scan number: 0 the newest, -1 the one before, ..."""
        path = self._detections.paths[index]
        x, y, z, rcs, v_radial, v_radial_comp, scan = read_points(path, _RADAR_COLUMNS, "the frame has no radar points")
        camera_from_ego, camera_from_radar = (self._camera_from(name, path.stem) for name in ("lidar", "radar"))
        return RadarSweep(
            sensor=sensor,
            time_ns=int(self._detections.numbers[index]),
            # a general inverse: the published rotations have few digits
            ego_from_sensor=np.asarray(np.linalg.inv(camera_from_ego) @ camera_from_radar),
            x=x,
            y=y,
            z=z,
            rcs=rcs,
            v_radial=v_radial,
            v_radial_comp=v_radial_comp,
            scan=scan,
            source=str(path),
        )

    def read_camera(self, camera: str, index: int) -> CameraImage:
        path = self._pictures.paths[index]
        intrinsics, ego_from_camera = camera_of(*self._calibration("lidar", path.stem), "P2")
        time_ns = int(self._pictures.numbers[index])
        return picture_file(path, camera, time_ns, intrinsics, ego_from_camera, "the frame has no such picture")

    def read_labels(self, time_ns: int) -> Labels | None:
        """The boxes of the frame at `time_ns`; None where it has no file, as in the test split."""
        stem = self._frames.paths[int(np.searchsorted(self._frames.numbers, time_ns))].stem
        path = _training(self.folder, "lidar") / "label_2" / f"{stem}.txt"
        return read_labels(path, time_ns, self._camera_from("lidar", stem)) if os.path.lexists(path) else None


def _training(path: Path, sensor: str) -> Path:
    return path / sensor / "training"


def _within(folder: Path, suffixes: tuple[str, ...], first: int | None, last: int | None) -> Numbered:
    """The numbered files of a folder, as times, from `first` to `last`, both included."""
    files = numbered(folder, *suffixes, unit=_FRAME_NS)
    low = 0 if first is None else int(np.searchsorted(files.numbers, first * _FRAME_NS, side="left"))
    high = len(files) if last is None else int(np.searchsorted(files.numbers, last * _FRAME_NS, side="right"))
    return Numbered(files.numbers[low:high], files.paths[low:high])
