"""Waymo v2's calibrations: lidars and cameras by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from perceptum.inputs import BrokenRecord, Matrix
from perceptum.inputs.poses import rigid

from ..reading.picture_file import size_of
from ..reading.widened import widened
from .parquet import Table, read_table

__all__ = ["CAMERAS", "LIDARS", "Camera", "Lidar", "read_cameras", "read_lidars"]


LIDARS = {1: "TOP", 2: "FRONT", 3: "SIDE_LEFT", 4: "SIDE_RIGHT", 5: "REAR"}
CAMERAS = {1: "FRONT", 2: "FRONT_LEFT", 3: "FRONT_RIGHT", 4: "SIDE_LEFT", 5: "SIDE_RIGHT"}

_LIDAR = "[LiDARCalibrationComponent]"
_CAMERA = "[CameraCalibrationComponent]"
_LENS = ("f_u", "f_v", "c_u", "c_v", "k1", "k2", "p1", "p2", "k3")
_WAYMO_FROM_OPTICAL = rigid([[0, 0, 1], [-1, 0, 0], [0, -1, 0]], np.zeros(3))
"""Their camera looks along x with y left and z up; ours along z with x right and y down."""


@dataclass(frozen=True, eq=False)
class Lidar:
    ego_from_lidar: Matrix
    lowest_rad: float
    highest_rad: float
    inclinations: Matrix | None
    """(beams,) ascending; None: evenly spread from lowest to highest."""


@dataclass(frozen=True, eq=False)
class Camera:
    ego_from_camera: Matrix
    """Axes x right, y down, z forward."""
    intrinsics: Matrix
    """(3, 3), pixel centres at whole numbers."""
    distortion: Matrix
    """k1 k2 p1 p2 k3."""
    size: tuple[int, int] | None
    """Height and width, px."""


def read_lidars(path: Path) -> Mapping[str, Lidar | BrokenRecord]:
    """Returns lidar -> its calibration, or what is wrong with it; raises MissingRecord or BrokenRecord."""
    names = ("key.laser_name", f"{_LIDAR}.extrinsic.transform")
    beams = tuple(f"{_LIDAR}.beam_inclination.{part}" for part in ("min", "max", "values"))
    table = read_table(path, names + beams, "points need the lidars' calibration")
    lowest, highest = (widened(table.numbers(name, nulls=True)) for name in beams[:2])
    extrinsics, broken = _rigid(path, table, names[1])
    tables = table.lists(beams[2])
    lidars: dict[str, Lidar | BrokenRecord] = {}
    for row, number in enumerate(table.numbers(names[0]).tolist()):
        values = tables[row]
        given = values if values is not None and len(values) else None
        angles = [lowest[row], highest[row]] if given is None else given
        if not (np.abs(angles) <= np.pi / 2).all():
            why = f"{path}: row {row} has beam inclinations beyond 90 degrees or none at all"
            broken.setdefault(row, BrokenRecord(why))
        lidars[LIDARS.get(number, "")] = broken.get(
            row, Lidar(extrinsics[row], float(lowest[row]), float(highest[row]), given)
        )
    return lidars


def read_cameras(path: Path) -> Mapping[str, Camera | BrokenRecord]:
    """Returns camera -> its calibration, or what is wrong with it; raises MissingRecord or BrokenRecord."""
    names = ("key.camera_name", f"{_CAMERA}.extrinsic.transform")
    lens = tuple(f"{_CAMERA}.intrinsic.{part}" for part in _LENS)
    sides = (f"{_CAMERA}.height", f"{_CAMERA}.width")
    table = read_table(path, names + lens, "pictures need the cameras' calibration", sides)
    values = np.stack([widened(table.numbers(name, nulls=True)) for name in lens], axis=1)
    extrinsics, broken = _rigid(path, table, names[1])
    good = np.isfinite(values).all(axis=1) & (values[:, :2] > 0).all(axis=1)
    for row in np.flatnonzero(~good).tolist():
        why = f"{path}: the lens in row {row} is wrong; wanted finite numbers and focal lengths above 0"
        broken.setdefault(row, BrokenRecord(why))
    ego_from_cameras = extrinsics @ _WAYMO_FROM_OPTICAL
    known = all(name in table for name in sides)
    sizes = zip(*(table.numbers(name, nulls=True).tolist() for name in sides), strict=True) if known else ()
    found = [size_of(*pair) for pair in sizes] or [None] * len(table)
    cameras: dict[str, Camera | BrokenRecord] = {}
    for row, number in enumerate(table.numbers(names[0]).tolist()):
        fu, fv, cu, cv = values[row, :4]
        # u = cu - fu y/x = cu + fu x_right/z_forward: the sign is in the turned axes
        # theirs count from the edge of the first pixel, ours from its middle
        intrinsics = np.array([[fu, 0, cu - 0.5], [0, fv, cv - 0.5], [0, 0, 1.0]])
        own = Camera(ego_from_cameras[row], intrinsics, values[row, 4:], found[row])
        cameras[CAMERAS.get(number, "")] = broken.get(row, own)
    return cameras


def _rigid(path: Path, table: Table, name: str) -> tuple[Matrix, dict[int, BrokenRecord]]:
    """Returns (n, 4, 4), and what is wrong with each row that is not a rotation and translation."""
    transforms, unreadable = table.transforms_or_gaps(name)
    broken = {row: BrokenRecord(str(error)) for row, error in unreadable.items()}
    for row, transform in enumerate(transforms):
        rotation = transform[:3, :3]
        bounded = (np.abs(transform) <= 1e6).all()
        if not bounded or np.abs(rotation @ rotation.T - np.eye(3)).max() > 1e-3:
            broken.setdefault(
                row, BrokenRecord(f"{path}: the extrinsic transform in row {row} is not a rotation and translation")
            )
    return transforms, broken
