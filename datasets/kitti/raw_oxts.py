"""KITTI raw's stamps, and its GPS and inertial packets: as poses of the inertial unit, and as a signal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from perceptum.inputs import BrokenRecord, LogError, Matrix, Poses, PoseUnknown, Signal, Times
from perceptum.inputs.poses import quaternion_from_rotation, rigid
from perceptum.inputs.signal import Measured

from ..reading.files import Numbered, floats, read_each, read_text
from ..reading.pose_matrices import rows_or_nan

__all__ = ["OXTS_MEASURES", "carry_to", "oxts_signal", "read_stamps", "world_from_imus"]


_STAMP = re.compile(r"(?:19[789]|20)\d+-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,9})?", re.ASCII)
# as the development kit's dataformat.txt has them
_COLUMNS = (
    ("lat lon", "deg"),
    ("alt", "m"),
    ("roll pitch yaw", "rad"),
    ("vn ve vf vl vu", "m/s"),
    ("ax ay az af al au", "m/s2"),
    ("wx wy wz wf wl wu", "rad/s"),
    ("pos_accuracy", "m"),
    ("vel_accuracy", "m/s"),
    ("navstat numsats posmode velmode orimode", "code"),
)
_UNITS = {name: unit for names, unit in _COLUMNS for name in names.split()}
_PACKET_NUMBERS = len(_UNITS)
OXTS_MEASURES: Mapping[Measured, str] = {
    "velocity": "velocity",
    "specific_force": "specific_force",
    "angular_rate": "angular_rate",
}
"""Of the signal `oxts`."""
_EARTH_RADIUS_M = 6378137.0
_NORTHERNMOST_DEG = 85.0


def read_stamps(path: Path, files: Numbered) -> tuple[Times, dict[int, LogError]]:
    """Returns (n,) ns since 1970 of the numbered files: file NNNNNNNNNN has line NNNNNNNNNN, counted from 0; and the
    row of each file whose line is not there, or is not a time, with what is wrong: its time here is 0.

    The clock is the computer's, taken as UTC. Lines of files that are not there may be anything, also empty.
    """
    lines = read_text(path, "the records have no times").splitlines()

    def stamp(row: int, number: int) -> int:
        if number >= len(lines):
            raise BrokenRecord(f"{path}: {len(lines)} lines, but {files.paths[row].name} needs line {number + 1}")
        return _stamp_ns(path, number, lines[number])

    found, broken = read_each(dict(enumerate(files.numbers.tolist())), stamp)
    times_ns = np.zeros(len(files), dtype=np.int64)
    for row, time_ns in found.items():
        times_ns[row] = time_ns
    return times_ns, broken


def _stamp_ns(path: Path, number: int, text: str) -> int:
    text = text.strip()
    if text.startswith("1970-01-01"):
        raise BrokenRecord(f"{path}: line {number + 1} is {text[:40]!r}, the first day of all clocks: it was never set")
    if _STAMP.fullmatch(text):
        try:
            return int(np.datetime64(text.replace(" ", "T"), "ns").astype(np.int64))
        except ValueError:
            pass  # a 13th month
    raise BrokenRecord(
        f"{path}: line {number + 1} is {text[:40]!r}, wanted a time such as 2011-09-26 13:02:25.964389445"
    )


def world_from_imus(files: Numbered) -> tuple[Matrix, dict[int, LogError]]:
    """Returns (n, 4, 4): east, north, up from the inertial unit's forward, left, up; and what could not be read.

    Mercator at the scale of the first latitude, as the development kit does; altitude as recorded. The origin is the
    first place. Raises the first error where no packet can be read; row i of one that cannot is NaN.
    """
    found, broken = read_each(dict(enumerate(files.paths)), lambda _, path: _packet(path))
    if not found:
        raise next(iter(broken.values()))
    packets = rows_or_nan(len(files), found, (6,))
    latitude, longitude, altitude, roll, pitch, yaw = packets.T
    first = min(found)
    scale_m = np.cos(np.radians(latitude[first])) * _EARTH_RADIUS_M
    east = scale_m * np.radians(longitude)
    north = scale_m * np.log(np.tan(np.radians(90 + latitude) / 2))
    place = np.stack([east, north, altitude], axis=1)
    return rigid(_rotations(roll, pitch, yaw), place - place[first]), broken


def oxts_signal(
    folder: Path, files: Numbered, times_ns: Times, broken_times: Mapping[int, LogError], velodyne_from_imu: Matrix
) -> Signal:
    """Returns the packets as the signal `oxts`: their 30 numbers, and three vectors in the inertial unit's axes.

    velocity: ve, vn, vu, turned into those axes by roll, pitch and yaw; specific_force: ax, ay, az, which hold what
    gravity does to an accelerometer; angular_rate: wx, wy, wz. Raises BrokenRecord where no packet can be used.
    """
    found, broken = read_each(dict(enumerate(files.paths)), lambda _, path: _numbers(path, _PACKET_NUMBERS))
    lines = [str(error) for _, error in sorted({**broken, **broken_times}.items())]
    rows = sorted(set(found) - set(broken_times))
    table = np.array([found[row] for row in rows], dtype=np.float64).reshape(len(rows), _PACKET_NUMBERS)
    columns = dict(zip(_UNITS, np.ascontiguousarray(table.T), strict=True))
    world_from_imu = _rotations(columns["roll"], columns["pitch"], columns["yaw"])
    over_ground = np.stack([columns["ve"], columns["vn"], columns["vu"]], axis=1)
    columns["velocity"] = np.einsum("nji,nj->ni", world_from_imu, over_ground)
    columns["specific_force"] = np.stack([columns["ax"], columns["ay"], columns["az"]], axis=1)
    columns["angular_rate"] = np.stack([columns["wx"], columns["wy"], columns["wz"]], axis=1)
    return Signal.leaving_gaps(
        "oxts",
        times_ns[rows],
        columns,
        source=str(folder),
        broken=lines,
        units={**_UNITS, "velocity": "m/s", "specific_force": "m/s2", "angular_rate": "rad/s"},
        frame="vectors in the inertial unit's axes: forward, left, up",
        measures=OXTS_MEASURES,
        ego_from_sensor=velodyne_from_imu,
    )


def _packet(path: Path) -> list[float]:
    """Returns latitude, longitude (degrees), altitude (metres), roll, pitch, yaw (radians) of one file."""
    values = _numbers(path, 6)
    limits = (_NORTHERNMOST_DEG, 180.0, 1e5, 10.0, 10.0, 10.0)
    if not all(abs(value) <= limit for value, limit in zip(values, limits, strict=True)):
        raise BrokenRecord(
            f"{path}: {values} are no latitude, longitude (degrees), altitude (m), roll, pitch, yaw (rad)"
        )
    return values


def _numbers(path: Path, first: int) -> list[float]:
    """Returns the first of a packet's numbers; raises BrokenRecord, MissingRecord."""
    words = read_text(path, "the drive has no pose there").split()
    if len(words) != _PACKET_NUMBERS:
        raise BrokenRecord(f"{path}: {len(words)} numbers, wanted {_PACKET_NUMBERS}")
    try:
        return floats(words[:first])
    except ValueError as error:
        raise BrokenRecord(f"{path}: {error}") from error


def _rotations(roll: Matrix, pitch: Matrix, yaw: Matrix) -> Matrix:
    """Returns (n, 3, 3) Rz(yaw) Ry(pitch) Rx(roll)."""
    (cr, sr), (cp, sp), (cy, sy) = ((np.cos(angle), np.sin(angle)) for angle in (roll, pitch, yaw))
    rows = [
        [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
        [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
        [-sp, cp * sr, cp * cr],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def carry_to(poses: Poses, times_ns: list[int], limit_ns: int) -> Poses:
    """Returns the poses with one more at each of the times beyond an end, if it is no further than `limit_ns`.

    The last motion goes on; times within the span, and further out, add nothing.
    """
    first, last = poses.span_ns
    beyond = [t for t in sorted(set(times_ns)) if first - limit_ns <= t < first or last < t <= last + limit_ns]
    try:
        added = poses.at_many(beyond, extrapolate_ns=limit_ns)
    except PoseUnknown:
        # the motion at that end is not known, as next to a broken pose
        return poses
    if not beyond:
        return poses
    times = np.concatenate([poses.times_ns, np.array(beyond, dtype=np.int64)])
    quaternions = np.concatenate([poses.quaternions, [quaternion_from_rotation(pose[:3, :3]) for pose in added]])
    translations = np.concatenate([poses.translations, added[:, :3, 3]])
    order = np.argsort(times)
    return Poses(times[order], quaternions[order], translations[order], poses.max_gap_ns, poses.broken)
