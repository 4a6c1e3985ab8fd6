"""An Argoverse 2 sensor log: two stacked lidars in one merged sweep, ring and stereo cameras, labels, HD map.

The ego frame is the log's own (rear axle, x forward, y left, z up), the world is the city frame. The points are
stored in the ego frame, already motion-compensated to the sweep's stamp.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import (
    BrokenRecord,
    CameraImage,
    HDMap,
    Labels,
    LidarSweep,
    Matrix,
    MissingRecord,
    Poses,
)
from perceptum.inputs.once import once

from ..reading.feather import Kind, read_columns
from ..reading.files import Numbered, numbered, subfolders
from ..reading.label_table import LabelTable
from ..reading.picture_file import picture_file, size_of
from ..reading.reader import Reader, first_times
from ..reading.rotations import not_finite, poses_of_columns, transforms_or_errors
from .beams import row_of_ring
from .labels import read_label_table

__all__ = ["Argoverse2"]


_LIDAR = "lidar"
_POSE_COLUMNS: dict[str, Kind] = dict.fromkeys(("qw", "qx", "qy", "qz", "tx_m", "ty_m", "tz_m"), "float")
_LIDAR_COLUMNS: dict[str, Kind] = {
    **dict.fromkeys(("x", "y", "z"), "float"),
    **dict.fromkeys(("intensity", "laser_number", "offset_ns"), "int"),
}
_INTRINSICS = ("fx_px", "fy_px", "cx_px", "cy_px")
_SIZE = ("height_px", "width_px")


class Argoverse2(Reader):
    """One log, read in place; opening it lists its files."""

    dataset = "argoverse2"
    opens_noted = True
    sequential = True
    # the rear axle's height
    ground_z_m = -0.3
    lacks = "Argoverse 2 has no radar"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._sweeps = numbered(folder / "sensors" / "lidar", ".feather")
        self._pictures = _pictures(folder / "sensors" / "cameras")
        self.lidars = {_LIDAR: self._sweeps.numbers} if len(self._sweeps) else {}
        self.cameras = {name: files.numbers for name, files in self._pictures.items()}
        # the frames are the sweeps; in a download without any, the pictures of the first camera
        self.times_ns = first_times(self.lidars, self.cameras)

    @once
    def poses(self) -> Poses:
        """City from ego; the stamps are irregular and hold each sensor's exactly."""
        path = self.folder / "city_SE3_egovehicle.feather"
        kinds: dict[str, Kind] = {"timestamp_ns": "int", **_POSE_COLUMNS}
        columns = read_columns(path, kinds, "the log has no poses", nulls=True)
        return poses_of_columns(path, columns["timestamp_ns"].astype(np.int64), columns)

    @once
    def ego_from_sensors(self) -> Mapping[str, Matrix | BrokenRecord]:
        """Sensor -> (4, 4), from calibration/, or what is wrong with it."""
        path = self.folder / "calibration" / "egovehicle_SE3_sensor.feather"
        columns = read_columns(
            path, {"sensor_name": "text", **_POSE_COLUMNS}, "where the sensors are mounted is not known", nulls=True
        )
        numbers = {name: columns[name] for name in _POSE_COLUMNS}
        return transforms_or_errors(path, columns["sensor_name"], numbers)

    @once
    def _cameras(self) -> tuple[Path, Mapping[str, NDArray[Any]]]:
        path = self.folder / "calibration" / "intrinsics.feather"
        kinds: dict[str, Kind] = {
            "sensor_name": "text",
            **dict.fromkeys(_INTRINSICS, "float"),
            **dict.fromkeys(_SIZE, "int"),
        }
        return path, read_columns(path, kinds, "pictures need the cameras' intrinsics", _SIZE, nulls=True)

    @once
    def sizes(self) -> Mapping[str, tuple[int, int] | None]:
        """Camera -> height and width, px."""
        _, columns = self._cameras
        if any(name not in columns for name in _SIZE):
            return {}
        sides = zip(*(columns[name].tolist() for name in _SIZE), strict=True)
        return dict(zip(columns["sensor_name"].tolist(), (size_of(*pair) for pair in sides), strict=True))

    @once
    def intrinsics(self) -> Mapping[str, Matrix | BrokenRecord]:
        """Camera -> (3, 3), pixels, or what is wrong with it."""
        path, columns = self._cameras
        broken = not_finite({name: columns[name] for name in _INTRINSICS})
        rows = zip(*(columns[name].tolist() for name in _INTRINSICS), strict=True)
        matrices = [np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]]) for fx, fy, cx, cy in rows]
        return {
            name: BrokenRecord(f"{path}: {broken[row]}") if row in broken else matrices[row]
            for row, name in enumerate(columns["sensor_name"].tolist())
        }

    def _calibrated(self, table: Mapping[str, Matrix | BrokenRecord], sensor: str, file: str) -> Matrix:
        if sensor not in table:
            found = ", ".join(table) or "none"
            raise MissingRecord(f"{self.folder / 'calibration' / file}: no sensor '{sensor}', found {found}")
        calibrated = table[sensor]
        if isinstance(calibrated, BrokenRecord):
            # its own, not the kept one: raising that again would grow its traceback
            raise BrokenRecord(str(calibrated))
        return calibrated

    def _ego_from(self, sensor: str) -> Matrix:
        return self._calibrated(self.ego_from_sensors, sensor, "egovehicle_SE3_sensor.feather")

    @once
    def _rows(self) -> NDArray[np.int32]:
        up, down = (float(np.sign(self._ego_from(name)[2, 2])) for name in ("up_lidar", "down_lidar"))
        return row_of_ring(up, down)

    def read_lidar(self, sensor: str, index: int) -> LidarSweep:
        path, time_ns = self._sweeps.paths[index], int(self._sweeps.numbers[index])
        optional = ("intensity", "laser_number", "offset_ns")
        columns = read_columns(path, _LIDAR_COLUMNS, "the sweep is missing", optional)
        return LidarSweep(
            sensor=sensor,
            time_ns=time_ns,
            ego_from_sensor=np.eye(4),
            x=columns["x"],
            y=columns["y"],
            z=columns["z"],
            intensity=columns.get("intensity"),
            ring=_rings(path, columns),
            offset_ns=columns.get("offset_ns"),
            intensity_scale=255.0,
            compensated_to_ns=time_ns,
            row_of_ring=self._rows,
            origin=self._ego_from("up_lidar")[:3, 3].copy(),
            source=str(path),
        )

    def read_camera(self, camera: str, index: int) -> CameraImage:
        """Published pictures are undistorted; k1 k2 k3 in the calibration are the lens's own and are not applied."""
        files = self._pictures[camera]
        intrinsics = self._calibrated(self.intrinsics, camera, "intrinsics.feather")
        ego_from_camera = self._ego_from(camera)
        path, time_ns = files.paths[index], int(files.numbers[index])
        size, what = self.sizes.get(camera), "the picture is missing"
        return picture_file(path, camera, time_ns, intrinsics, ego_from_camera, what, size=size)

    @once
    def _labels(self) -> LabelTable | None:
        path = self.folder / "annotations.feather"
        return read_label_table(path, lambda: self.poses) if os.path.lexists(path) else None

    def read_labels(self, time_ns: int) -> Labels | None:
        """The boxes at a sweep's stamp; None in a log without labels, and outside the labelled span."""
        labels = self._labels
        return labels.at(time_ns) if labels is not None and labels.spans(time_ns) else None

    def read_map(self) -> HDMap | None:
        from .map import read_map

        return read_map(self.folder / "map")


def _pictures(folder: Path) -> dict[str, Numbered]:
    listed = {path.name: numbered(path, ".jpg", ".png") for path in subfolders(folder)}
    return {name: files for name, files in listed.items() if len(files)}


def _rings(path: Path, columns: Mapping[str, NDArray[Any]]) -> NDArray[Any] | None:
    ring = columns.get("laser_number")
    if ring is not None and len(ring) and (ring.min() < 0 or ring.max() > 63):
        raise BrokenRecord(f"{path}: laser_number goes from {ring.min()} to {ring.max()}, wanted 0 to 63")
    return ring
