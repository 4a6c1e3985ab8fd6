"""aiMotive's JSON records: radar targets and boxes."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from perceptum.inputs import BrokenRecord, Labels, Matrix, RadarSweep
from perceptum.inputs.poses import rotation_from_quaternion, yaw_from_rotation

from ..reading.typed_json import read_json

__all__ = ["read_boxes", "read_stamp", "read_targets"]


_FARTHEST = 1e6


class _Target(msgspec.Struct):
    range: float
    azimuth: float
    elevation: float
    speed: float
    rcs: float


class _Targets(msgspec.Struct):
    targets: list[_Target]


class _Box(msgspec.Struct):
    ObjectType: str
    ObjectId: int
    x: float = msgspec.field(name="BoundingBox3D Origin X")
    y: float = msgspec.field(name="BoundingBox3D Origin Y")
    z: float = msgspec.field(name="BoundingBox3D Origin Z")
    length: float = msgspec.field(name="BoundingBox3D Extent X")
    width: float = msgspec.field(name="BoundingBox3D Extent Y")
    height: float = msgspec.field(name="BoundingBox3D Extent Z")
    qw: float = msgspec.field(name="BoundingBox3D Orientation Quat W")
    qx: float = msgspec.field(name="BoundingBox3D Orientation Quat X")
    qy: float = msgspec.field(name="BoundingBox3D Orientation Quat Y")
    qz: float = msgspec.field(name="BoundingBox3D Orientation Quat Z")


class _Boxes(msgspec.Struct):
    CapturedObjects: list[_Box]


class _Stamped(msgspec.Struct):
    Timestamp: str


def read_stamp(path: Path) -> int:
    """Returns the ns of a box file; raises BrokenRecord, also for 0, which was never set."""
    text = read_json(path, _Stamped, "the frame has no time").Timestamp
    if not (text.isascii() and text.isdigit() and len(text) <= 18 and int(text)):
        raise BrokenRecord(f"{path}: Timestamp is {text[:40]!r}, wanted nanoseconds above 0")
    return int(text)


def read_targets(path: Path, sensor: str, time_ns: int, ego_from_sensor: Matrix) -> RadarSweep:
    """Returns one cycle: x y z by the reported angles, azimuth > 0 to the left; speed < 0 approaches.

    rcs is stored in square metres: its decibels, and not its numbers, follow power and range as in the radar equation.
    """
    rows = read_json(path, _Targets, "the radar cycle is missing").targets
    stored = np.array([[t.range, t.azimuth, t.elevation, t.speed, t.rcs] for t in rows], dtype=np.float64).reshape(
        -1, 5
    )
    _check(path, stored, "target")
    range_m, azimuth_rad, elevation_rad, speed, rcs_m2 = stored.T
    if (rcs_m2 < 0).any():
        row = int(np.argmax(rcs_m2 < 0))
        raise BrokenRecord(f"{path}: target {row} has an rcs of {rcs_m2[row]:g}, wanted square metres, 0 or more")
    with np.errstate(divide="ignore"):
        rcs_dbsm = 10 * np.log10(rcs_m2)
    level_m = range_m * np.cos(elevation_rad)
    return RadarSweep(
        sensor=sensor,
        time_ns=time_ns,
        ego_from_sensor=ego_from_sensor,
        x=level_m * np.cos(azimuth_rad),
        y=level_m * np.sin(azimuth_rad),
        z=range_m * np.sin(elevation_rad),
        rcs=rcs_dbsm,
        v_radial=np.ascontiguousarray(speed),
        source=str(path),
    )


def read_boxes(path: Path, time_ns: int) -> Labels:
    """Returns the boxes in the body frame. Their velocities are relative to a motion that is not given: left out."""
    rows = read_json(path, _Boxes, "the frame has no boxes").CapturedObjects
    stored = np.array(
        [[b.x, b.y, b.z, b.length, b.width, b.height, b.qw, b.qx, b.qy, b.qz] for b in rows], dtype=np.float64
    ).reshape(-1, 10)
    _check(path, stored, "box")
    wrong = (stored[:, 3:6] < 0).any(axis=1) | (np.abs(np.linalg.norm(stored[:, 6:], axis=1) - 1) > 0.01)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise BrokenRecord(f"{path}: box {row} has a negative size or a quaternion that is not of length 1")
    yaw_rad = yaw_from_rotation(rotation_from_quaternion(stored[:, 6:]))
    return Labels(
        time_ns=time_ns,
        boxes=np.column_stack([stored[:, :6], yaw_rad]),
        category=np.array([b.ObjectType for b in rows], dtype=np.str_),
        track_id=np.array([str(b.ObjectId) for b in rows], dtype=np.str_),
    )


def _check(path: Path, stored: Matrix, what: str) -> None:
    bad = ~(np.abs(stored) <= _FARTHEST).all(axis=1)
    if bad.any():
        raise BrokenRecord(f"{path}: {what} {int(np.argmax(bad))} holds a number that is not finite or beyond 1e6")
