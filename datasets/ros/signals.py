"""A recording's signals: its inertial units, and what its odometry says of velocity."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from perceptum.inputs import BrokenRecord, LogError, Matrix, Signal
from perceptum.inputs.signal import Measured

from .frames import set_stamp_ns
from .index import STUCK
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

    What a message says was not measured is left out; so are messages that cannot be read, those without a stamp, and
    those of another frame than most are in. Where the transforms do not say where it is measured, it measures nothing
    that is known in the ego frame. Raises BrokenRecord where no message was ever stamped.
    """
    topic, where = recording.topics[name], f"{recording.location}: {name}"
    row_of = _imu_row if topic.type == IMU else _odometry_row
    times: list[int] = []
    rows: list[dict[str, tuple[float, ...]]] = []
    frames: list[str] = []
    recorded: list[int] = []
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
        recorded.append(found.log_ns)
        rows.append(row)
        frames.append(frame.lstrip("/"))
    if not rows:
        more = f" (and {len(broken) - 1} more; none can be used)" if broken[1:] else ""
        raise BrokenRecord(f"{broken[0]}{more}" if broken else f"{where}: has no messages")
    if len(set(times)) == 1 and len(set(recorded)) >= STUCK:
        raise BrokenRecord(
            f"{where}: all {len(times)} messages have the stamp {times[0]} ns, which was never updated; read the log "
            "by the times at which they were recorded with clock='log'"
        )
    usual = Counter(frames).most_common(1)[0][0]
    broken += [
        f"{where}: the message at {time_ns} ns is in the frame '{frame[:40]}', most are in '{usual[:40]}'"
        for time_ns, frame in zip(times, frames, strict=True)
        if frame != usual
    ]
    order = sorted((i for i, frame in enumerate(frames) if frame == usual), key=times.__getitem__)
    names = dict.fromkeys(column for row in rows for column in row)
    columns = {
        column: np.array([rows[i].get(column, (np.nan,) * _width(column)) for i in order], dtype=np.float64)
        for column in names
    }
    # an odometry without a child's name means the ego, as it does for poses
    is_ego = topic.type == ODOMETRY and not usual
    ego_from_sensor = np.eye(4) if is_ego else _mount(partial(ego_from, usual, times[order[0]]))
    return Signal.leaving_gaps(
        name,
        np.array([times[i] for i in order], dtype=np.int64),
        columns,
        source=where,
        broken=broken,
        units={column: _UNITS[column] for column in columns},
        frame=usual,
        measures={} if ego_from_sensor is None else _MEASURES[topic.type],
        ego_from_sensor=ego_from_sensor,
    )


def _mount(ego_from: Callable[[], Matrix]) -> Matrix | None:
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
