"""A recording's signals: its inertial units, and what its odometry says of velocity."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from perceptum.inputs import BrokenRecord, LogError, Matrix, Signal
from perceptum.inputs.signal import Measured

from .frames import set_stamp_ns
from .options import RecordingOptions
from .recording import WHOLE, Recording
from .types import IMU, ODOMETRY, decode

__all__ = ["read_signal_of", "signals_among"]

_MEASURES: Mapping[str, Mapping[Measured, str]] = {
    IMU: {"specific_force": "linear_acceleration", "angular_rate": "angular_velocity"},
    ODOMETRY: {"velocity": "linear_velocity", "angular_rate": "angular_velocity"},
}
_UNITS = {
    "linear_acceleration": "m/s2",
    "linear_velocity": "m/s",
    "angular_velocity": "rad/s",
    "orientation": "w x y z",
    "position": "m",
}
_UNKNOWN = -1.0
"""The first number of a covariance, where what it is of was not measured."""


def signals_among(recording: Recording) -> dict[str, tuple[Measured, ...]]:
    """Returns the topics of Imu and Odometry, by name -> what they measure."""
    return {
        name: tuple(_MEASURES[topic.type])
        for name, topic in sorted(recording.topics.items())
        if topic.count and topic.type in _MEASURES
    }


def read_signal_of(
    recording: Recording, name: str, options: RecordingOptions, ego_from: Callable[[str, int], Matrix]
) -> Signal:
    """Returns all messages of a topic, by the clock that was asked for, in the order of their times.

    What a message says was not measured is left out; so are messages that cannot be read, and those without a stamp.
    Where the transforms do not say where it is measured, it measures nothing that is known in the ego frame.
    """
    topic, where = recording.topics[name], f"{recording.location}: {name}"
    row_of = _imu_row if topic.type == IMU else _odometry_row
    times: list[int] = []
    rows: list[dict[str, tuple[float, ...]]] = []
    frames: list[str] = []
    broken: list[str] = []
    for found in sorted(recording.scan([name], WHOLE), key=lambda one: (one.log_ns, one.place)):
        try:
            message = decode(topic, found.data, f"{where} at {found.log_ns} ns")
        except BrokenRecord as error:
            broken.append(str(error))
            continue
        recorded_ns = found.publish_ns if options.clock == "publish" else found.log_ns
        time_ns = set_stamp_ns(message.header.stamp) if options.clock == "header" else recorded_ns
        if time_ns == 0:
            broken.append(f"{where}: the message recorded at {found.log_ns} ns has the stamp 0, which was never set")
            continue
        frame, row = row_of(message)
        times.append(time_ns)
        rows.append(row)
        frames.append(frame.lstrip("/"))
    if not rows:
        raise BrokenRecord(broken[0] if broken else f"{where}: has no messages")
    order = sorted(range(len(rows)), key=times.__getitem__)
    names = dict.fromkeys(column for row in rows for column in row)
    columns = {
        column: np.array([rows[i].get(column, (np.nan,) * _width(column)) for i in order], dtype=np.float64)
        for column in names
    }
    ego_from_sensor = _mount(frames, partial(ego_from, frames[0], times[order[0]]))
    return Signal.leaving_gaps(
        name,
        np.array([times[i] for i in order], dtype=np.int64),
        columns,
        source=where,
        broken=broken,
        units={column: _UNITS[column] for column in columns},
        frame=frames[0],
        measures={} if ego_from_sensor is None else _MEASURES[topic.type],
        ego_from_sensor=ego_from_sensor,
    )


def _mount(frames: list[str], ego_from: Callable[[], Matrix]) -> Matrix | None:
    if len(set(frames)) > 1:
        return None
    try:
        return ego_from()
    except LogError:
        # no transforms connect it with the ego frame: whoever needs that finds none that measures it
        return None


def _width(column: str) -> int:
    return 4 if column == "orientation" else 3


def _imu_row(message: Any) -> tuple[str, dict[str, tuple[float, ...]]]:
    parts = {
        "linear_acceleration": (message.linear_acceleration_covariance, _xyz(message.linear_acceleration)),
        "angular_velocity": (message.angular_velocity_covariance, _xyz(message.angular_velocity)),
        "orientation": (message.orientation_covariance, _wxyz(message.orientation)),
    }
    return str(message.header.frame_id), {
        name: values for name, (covariance, values) in parts.items() if covariance[0] != _UNKNOWN
    }


def _odometry_row(message: Any) -> tuple[str, dict[str, tuple[float, ...]]]:
    twist, pose = message.twist.twist, message.pose.pose
    return str(message.child_frame_id), {
        "linear_velocity": _xyz(twist.linear),
        "angular_velocity": _xyz(twist.angular),
        "position": _xyz(pose.position),
        "orientation": _wxyz(pose.orientation),
    }


def _xyz(vector: Any) -> tuple[float, ...]:
    return (vector.x, vector.y, vector.z)


def _wxyz(quaternion: Any) -> tuple[float, ...]:
    return (quaternion.w, quaternion.x, quaternion.y, quaternion.z)
