"""A sequence of KITTI odometry: one lidar, up to four cameras, and poses for the sequences 00 to 10.

The ego frame is the velodyne's own (x forward, y left, z up), as in KITTI object; the world is that of the first
frame. The published poses are those of camera 0, and are taken to the velodyne by calib.txt.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from perceptum.inputs import (
    BrokenRecord,
    CameraImage,
    LidarSweep,
    LogError,
    Matrix,
    MissingRecord,
    PointLabels,
    Poses,
    PoseUnknown,
    Source,
    Times,
)
from perceptum.inputs.once import once
from perceptum.inputs.poses import rigid

from ..reading.files import Numbered, has_numbered, numbered, read_each, read_text
from ..reading.picture_file import picture_file
from ..reading.pose_matrices import poses_of, rows_or_nan
from .calibration import calibration_lines, camera_of, matrix_of, rotation_of
from .folders import LIDAR, KittiReader
from .point_labels import POINT_CLASSES, read_label_file
from .splits import ODOMETRY as SPLITS

__all__ = ["LOOKS_LIKE", "SPLITS", "KittiOdometry", "open_source", "recognises"]


LOOKS_LIKE = "one sequences/NN with times.txt, calib.txt and velodyne/NNNNNN.bin"

_PROJECTIONS = {"image_0": "P0", "image_1": "P1", "image_2": "P2", "image_3": "P3"}
_LONGEST_S = 1e6


def recognises(path: Path) -> bool:
    """Whether `path` is one sequence."""
    if not all(os.path.exists(path / name) for name in ("times.txt", "calib.txt")):
        return False
    return has_numbered(path / LIDAR, ".bin") or any(has_numbered(path / name, ".png") for name in _PROJECTIONS)


def open_source(path: Path) -> Source:
    """Opens the folder of one sequence."""
    return KittiOdometry(path)


class KittiOdometry(KittiReader):
    """One sequence, read in place; opening it lists its files and reads times.txt."""

    dataset = "kitti_odometry"
    opens_noted = True
    sequential = True
    lacks = "KITTI odometry has no radar"

    def __init__(self, folder: Path) -> None:
        stamps = folder / "times.txt"
        self._all_times, self._no_time = _read_times(stamps)
        pictures = {name: numbered(folder / name, ".png", ".jpg") for name in _PROJECTIONS}
        points = numbered(folder / LIDAR, ".bin")
        super().__init__(folder, points, pictures, lambda _, files: self._times_of(files, stamps))

    def _times_of(self, files: Numbered, path: Path) -> tuple[Times, dict[int, LogError]]:
        """Returns (n,) ns: a file's number is the line of its time; and what is wrong with that of each row."""
        broken: dict[int, LogError] = {}
        for row, number in enumerate(files.numbers.tolist()):
            if number >= len(self._all_times):
                said = f"{path}: {len(self._all_times)} lines, but {files.paths[row].name} needs line {number + 1}"
                broken[row] = BrokenRecord(said)
            elif number in self._no_time:
                broken[row] = self._no_time[number]
        lines = np.minimum(files.numbers, max(len(self._all_times) - 1, 0))
        return self._all_times[lines] if len(self._all_times) else np.zeros(len(files), dtype=np.int64), broken

    @once
    def poses(self) -> Poses:
        """The first frame's velodyne from each frame's; raises PoseUnknown for a sequence without."""
        path = self._pose_file()
        text = read_text(path, "the sequence has no poses")
        lines = _lines_of(text, len(self._all_times))
        if len(lines) != len(self._all_times):
            raise BrokenRecord(f"{path}: {len(lines)} poses, wanted {len(self._all_times)}, one per line of times.txt")
        read, broken = read_each(
            dict(enumerate(lines)), lambda row, line: matrix_of(path, f"line {row + 1}", line, (3, 4))
        )
        stored = rows_or_nan(len(lines), read, (3, 4))
        first_from_camera = rigid(stored[:, :, :3], stored[:, :, 3])
        camera_from_velodyne = self._camera_from_velodyne
        # a general inverse: the transpose would lose what the rounded rotation lacks, 9 um at 200 m
        velodyne_from_camera = np.linalg.inv(camera_from_velodyne)
        world_from_ego = velodyne_from_camera @ first_from_camera @ camera_from_velodyne
        return poses_of(path, self._all_times, world_from_ego, {**broken, **self._no_time})

    @once
    def _labelled(self) -> frozenset[str]:
        """The frames that SemanticKITTI's labels are there for: 000134."""
        return frozenset(numbered(self.folder / "labels", ".label").stems)

    @property
    def point_classes(self) -> Mapping[int, str] | None:
        """SemanticKITTI's, where its labels/ are unpacked beside velodyne/."""
        return POINT_CLASSES if self._labelled else None

    def read_lidar(self, sensor: str, index: int) -> LidarSweep:
        sweep, stem = super().read_lidar(sensor, index), self._points.paths[index].stem
        if stem not in self._labelled:
            return sweep
        path = self.folder / "labels" / f"{stem}.label"
        return replace(
            sweep, point_labels=PointLabels(partial(read_label_file, path, len(sweep)), len(sweep), str(path))
        )

    def _pose_file(self) -> Path:
        """The published poses/NN.txt beside sequences/, else a poses.txt within the sequence, as SemanticKITTI has."""
        # as text: the folder may be "." or a link
        published = Path(os.path.abspath(self.folder)).parents[1] / "poses" / f"{self.name}.txt"
        found = next((path for path in (published, self.folder / "poses.txt") if os.path.lexists(path)), None)
        if found is None:
            raise PoseUnknown(
                f"{published}: no such file, so sequence {self.name} has no poses; KITTI publishes them for 00 to 10"
            )
        return found

    @once
    def _lines(self) -> dict[str, str]:
        return calibration_lines(self.folder / "calib.txt", "pictures and poses need the sequence's calibration")

    def _calibrated(self, key: str) -> Matrix:
        path = self.folder / "calib.txt"
        if key not in self._lines:
            raise MissingRecord(f"{path}: no {key}; found {', '.join(list(self._lines)[:8]) or 'nothing'}")
        return matrix_of(path, key, self._lines[key], (3, 4))

    @once
    def _camera_from_velodyne(self) -> Matrix:
        tr = self._calibrated("Tr")
        return rigid(rotation_of(self.folder / "calib.txt", "Tr", tr), tr[:, 3])

    def read_camera(self, camera: str, index: int) -> CameraImage:
        path, projection = self._pictures[camera].paths[index], _PROJECTIONS[camera]
        calibration = {
            projection: self._calibrated(projection),
            "R0_rect": np.eye(3),
            "Tr_velo_to_cam": self._camera_from_velodyne[:3],
        }
        intrinsics, ego_from_camera = camera_of(self.folder / "calib.txt", calibration, projection)
        time_ns = int(self.cameras[camera][index])
        return picture_file(path, camera, time_ns, intrinsics, ego_from_camera, "the frame has no such picture")


def _lines_of(text: str, wanted: int) -> list[str]:
    """Returns the lines. One that is empty stands for a pose, unless there are as many as are wanted without it."""
    lines = text.splitlines()
    filled = [line for line in lines if line.strip()]
    if len(filled) == wanted:
        return filled
    while len(lines) > wanted and not lines[-1].strip():
        lines.pop()
    return lines


def _read_times(path: Path) -> tuple[Times, dict[int, LogError]]:
    """Returns (n,) ns of the seconds in times.txt, one per line, 0 where that is not a time; and what is wrong with
    each such line, counted from 0."""
    lines = read_text(path, "the frames have no times").rstrip().splitlines()
    found, broken = read_each(dict(enumerate(lines)), lambda line, text: _time_ns(path, line, text))
    times_ns = np.zeros(len(lines), dtype=np.int64)
    times_ns[list(found)] = list(found.values())
    return times_ns, broken


def _time_ns(path: Path, line: int, text: str) -> int:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not abs(seconds) <= _LONGEST_S:
        raise BrokenRecord(f"{path}: line {line + 1} is {text.strip()[:40]!r}, wanted seconds since the start")
    return round(seconds * 1e9)
