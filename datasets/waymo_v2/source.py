"""A segment of Waymo Open v2: five lidars as range images, five cameras, boxes, in Parquet components.

The ego frame is Waymo's vehicle frame (x forward, y left, z up). Points are handed out in it: TOP's are moved to the
frame's pose by each pixel's own, as Waymo's kit does.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import (
    BrokenRecord,
    CameraImage,
    HDMap,
    Labels,
    LidarSweep,
    LogError,
    MissingRecord,
    Poses,
    Times,
)
from perceptum.inputs.once import once

from ..reading.label_table import LabelTable
from ..reading.pose_matrices import poses_of
from ..reading.reader import Reader, first_times
from ..reading.unread import Unread
from .calibration import CAMERAS, LIDARS, Camera, Lidar, read_cameras, read_lidars
from .labels import read_boxes
from .parquet import Rows, read_table
from .streams import FRAME, frame_times, read_streams
from .sweep import IMAGE, POSES, image_columns, range_image, sweep_of

__all__ = ["WaymoV2"]


_TOP = "TOP"
_POSE = "[VehiclePoseComponent].world_from_vehicle.transform"
_JPEG = "[CameraImageComponent].image"
_POSE_TIME = "[CameraImageComponent].pose_timestamp"
_NO_PIXEL_POSES = "TOP's points need each pixel's pose; without, open with compensate=False"

Calibrated = TypeVar("Calibrated", Lidar, Camera)


class WaymoV2(Reader):
    """One segment, read in place; opening it reads the rows' keys."""

    dataset = "waymo_v2"
    opens_noted = True
    sequential = True
    lacks = "Waymo has no radar"

    def __init__(self, folder: Path, segment: str, returns: int, drop_no_label_zones: bool, compensate: bool) -> None:
        super().__init__(folder, name=segment)
        self._drop_zones = drop_no_label_zones
        self._compensate = compensate
        self._returns = [f"{IMAGE}{i + 1}" for i in range(returns)]
        stored = tuple(column for name in self._returns for column in image_columns(name))
        self._images = Rows(self._file("lidar"), stored, "the segment has no points")
        self._pixel_poses = Rows(self._file("lidar_pose"), image_columns(POSES), _NO_PIXEL_POSES)
        self._jpegs = Rows(self._file("camera_image"), (_JPEG,), "the segment has no pictures")
        self._sweeps, sweeps_out = read_streams(self._file("lidar"), "key.laser_name", LIDARS)
        self._pictures, pictures_out = read_streams(self._file("camera_image"), "key.camera_name", CAMERAS, _POSE_TIME)
        self.unreadable: list[LogError] = [*sweeps_out, *pictures_out]
        self.lidars = {name: stream.times_ns for name, stream in self._sweeps.items()}
        self.cameras = {name: stream.times_ns for name, stream in self._pictures.items()}
        # the frames are TOP's sweeps; in a download without lidar, those that have a pose
        self.times_ns = first_times(self.lidars) if self.lidars else np.sort(self._pose_times())

    def _file(self, component: str) -> Path:
        return self.folder / component / f"{self.name}.parquet"

    def _pose_times(self) -> Times:
        path = self._file("vehicle_pose")
        times_ns = frame_times(read_table(path, [FRAME], "the segment has neither points nor poses"))
        return times_ns[times_ns > 0]

    @once
    def ids(self) -> list[str]:
        """key.frame_timestamp_micros."""
        return [str(time_ns // 1000) for time_ns in self.times_ns.tolist()]

    @once
    def poses(self) -> Poses:
        """World from vehicle, stored as float32 of 1 mm steps at 15 km, widened to float64 first."""
        path = self._file("vehicle_pose")
        table = read_table(path, [FRAME, _POSE], "the segment has no poses")
        times_ns = frame_times(table)
        world_from_ego, unreadable = table.transforms_or_gaps(_POSE)
        order = np.argsort(times_ns, kind="stable")
        broken = {at: unreadable[row] for at, row in enumerate(order.tolist()) if row in unreadable}
        return poses_of(path, times_ns[order], world_from_ego[order], broken)

    @once
    def _lidars(self) -> Mapping[str, Lidar | BrokenRecord]:
        return read_lidars(self._file("lidar_calibration"))

    @once
    def _cameras(self) -> Mapping[str, Camera | BrokenRecord]:
        return read_cameras(self._file("camera_calibration"))

    @once
    def _pose_rows(self) -> dict[int, int]:
        """Time -> row of the pixel poses, which only TOP has."""
        path = self._file("lidar_pose")
        if not os.path.lexists(path):
            raise MissingRecord(f"{path}: no such file; {_NO_PIXEL_POSES}")
        stream = read_streams(path, "key.laser_name", {1: _TOP})[0].get(_TOP)
        return {} if stream is None else dict(zip(stream.times_ns.tolist(), stream.rows.tolist(), strict=True))

    def _poses_at(self, time_ns: int) -> NDArray[np.float32]:
        path = self._file("lidar_pose")
        if time_ns not in self._pose_rows:
            raise MissingRecord(f"{path}: no row of TOP at {time_ns} ns; {_NO_PIXEL_POSES}")
        found = range_image(path, self._pixel_poses.at(self._pose_rows[time_ns]), POSES, 6)
        if found is None:
            raise BrokenRecord(f"{path}: the row of TOP at {time_ns} ns holds a null")
        return found

    def read_lidar(self, sensor: str, index: int) -> LidarSweep:
        path, time_ns = self._file("lidar"), int(self.lidars[sensor][index])
        lidar = _calibrated(self._file("lidar_calibration"), self._lidars, sensor)
        row = self._images.at(int(self._sweeps[sensor].rows[index]))
        images = [image for name in self._returns if (image := range_image(path, row, name, 4)) is not None]
        moved = sensor == _TOP and self._compensate
        pixel_poses, world_from_ego = (self._poses_at(time_ns), self.poses.at(time_ns)) if moved else (None, np.eye(4))
        points = sweep_of(path, images, lidar, pixel_poses, world_from_ego, self._drop_zones)
        x, y, z, intensity, elongation = points.values
        return LidarSweep(
            sensor=sensor,
            time_ns=time_ns,
            ego_from_sensor=np.eye(4),
            x=x,
            y=y,
            z=z,
            intensity=intensity,
            ring=points.ring,
            elongation=elongation,
            return_index=points.return_index,
            image_column=points.image_column,
            compensated_to_ns=time_ns if moved else None,
            row_of_ring=np.arange(points.rings, dtype=np.int32),
            origin=lidar.ego_from_lidar[:3, 3].copy(),
            source=f"{path} {sensor} {time_ns}",
        )

    def read_camera(self, camera: str, index: int) -> CameraImage:
        lens = _calibrated(self._file("camera_calibration"), self._cameras, camera)
        path, row = self._file("camera_image"), int(self._pictures[camera].rows[index])
        time_ns = int(self.cameras[camera][index])
        return CameraImage(
            camera=camera,
            time_ns=time_ns,
            intrinsics=lens.intrinsics,
            ego_from_camera=lens.ego_from_camera,
            read=partial(_jpeg, path, self._jpegs, row),
            distortion=lens.distortion,
            distortion_model="brown",
            source=f"{path} {camera} {time_ns}",
            size=lens.size,
        )

    @once
    def _boxes(self) -> LabelTable | None:
        path = self._file("lidar_box")
        return read_boxes(path) if os.path.lexists(path) else None

    def read_labels(self, time_ns: int) -> Labels | None:
        """The boxes of the frame at `time_ns`; None in a segment without boxes."""
        return self._boxes.at(time_ns, self.poses.at(time_ns)) if self._boxes is not None else None

    def read_map(self) -> HDMap | None:
        """None: the published components have no map. One that looks like a map is named in a warning."""
        unread = Unread(self.folder)
        for component in sorted(self.folder.glob("*map*")):
            unread.add(f"component {component.name[:40]}")
        unread.warn()
        return None


def _calibrated(path: Path, table: Mapping[str, Calibrated | BrokenRecord], sensor: str) -> Calibrated:
    if sensor not in table:
        raise MissingRecord(f"{path}: no sensor '{sensor}', found {', '.join(table) or 'none'}")
    calibrated = table[sensor]
    if isinstance(calibrated, BrokenRecord):
        # its own, not the kept one: raising that again would grow its traceback
        raise BrokenRecord(str(calibrated))
    return calibrated


def _jpeg(path: Path, rows: Rows, row: int) -> bytes:
    picture = rows.at(row).column(0)[0].as_py()
    if not isinstance(picture, bytes):
        raise BrokenRecord(f"{path}: row {row} holds no picture")
    return picture
