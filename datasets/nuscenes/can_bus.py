"""nuScenes' CAN bus expansion: what the vehicle reported of itself, a file for each scene and kind of message.

Their own words for its numbers are kept. meta is statistics of the others, and route has no times: they are no signals.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord, Signal
from perceptum.inputs.signal import Measured

from ..reading.files import read_bytes

__all__ = ["read_can", "signals_there"]

_PREFIX = "can/"
_US = 1000
_MOST_US = (2**63 - 1) // _US


class _Kind(NamedTuple):
    measures: Mapping[Measured, str] = {}
    frame: str = ""
    units: Mapping[str, str] = {}


_IMU_UNITS = {"linear_accel": "m/s2", "q": "w x y z", "rotation_rate": "rad/s"}
_POSE_UNITS = {"accel": "m/s2", "orientation": "w x y z", "pos": "m", "rotation_rate": "rad/s", "vel": "m/s"}
_MONITOR_UNITS = {
    "available_distance": "km",
    "battery_level": "percent",
    "brake": "bar",
    "rear_left_rpm": "rpm",
    "rear_right_rpm": "rpm",
    "steering": "deg",
    "steering_speed": "deg/s",
    "vehicle_speed": "km/h",
    "yaw_rate": "deg/s",
}
_WHEELS = ("FL_wheel_speed", "FR_wheel_speed", "RL_wheel_speed", "RR_wheel_speed")
_VEHICLE_UNITS = {
    **dict.fromkeys(_WHEELS, "rpm"),
    "longitudinal_accel": "m/s2",
    "meanEffTorque": "N m + 400",
    "odom": "cm",
    "odom_speed": "km/h",
    "requestedTorqueAfterProc": "N m + 400",
    "steer_corrected": "deg",
    "steer_offset_can": "deg",
    "steer_raw": "deg",
    "transversal_accel": "g",
}
# pose's accel is an accelerometer's: of a car that stands it is 9.8 upwards
_KINDS: Mapping[str, _Kind] = {
    "pose": _Kind(
        {"velocity": "vel", "specific_force": "accel", "angular_rate": "rotation_rate"},
        "vel, accel and rotation_rate in the ego frame, pos in the world",
        _POSE_UNITS,
    ),
    "steeranglefeedback": _Kind({"steering": "value"}, "", {"value": "rad, above 0 to the left"}),
    "ms_imu": _Kind({}, "the inertial unit's own, whose place is not published", _IMU_UNITS),
    "vehicle_monitor": _Kind({}, "", _MONITOR_UNITS),
    "zoesensors": _Kind(),
    "zoe_veh_info": _Kind({}, "", _VEHICLE_UNITS),
}


def _path(root: Path, scene: str, kind: str) -> Path:
    return root / "can_bus" / f"{scene}_{kind}.json"


def signals_there(root: Path, scene: str) -> dict[str, tuple[Measured, ...]]:
    """Returns can/pose and so on -> what it measures, of those whose file is there; scenes may have none."""
    # a name out of a table may hold anything, also a way out of the folder
    if not re.fullmatch(r"[\w-]+", scene):
        return {}
    return {
        f"{_PREFIX}{kind}": tuple(what.measures)
        for kind, what in _KINDS.items()
        if os.path.lexists(_path(root, scene, kind))
    }


def read_can(root: Path, scene: str, name: str) -> Signal:
    """Returns the signal can/KIND of a scene; messages that are not as the others are left out.

    Raises MissingRecord, or BrokenRecord where the file is not a list of messages or none of them can be used.
    """
    kind = name.removeprefix(_PREFIX)
    path, what = _path(root, scene, kind), _KINDS[kind]
    messages = _list_of(path)
    shape = _usual_shape(messages)
    times: list[int] = []
    rows: dict[str, list[Any]] = {column: [] for column, _ in shape}
    broken = []
    for number, message in enumerate(messages):
        why = _why_broken(message, shape)
        if why:
            broken.append(f"{path}: message {number} {why}")
            continue
        times.append(message["utime"] * _US)
        for column, values in rows.items():
            values.append(message[column])
    columns = {column: _floats(values, width) for (column, width), values in zip(shape, rows.values(), strict=True)}
    return Signal.leaving_gaps(
        name,
        np.array(times, dtype=np.int64),
        columns,
        source=str(path),
        broken=broken,
        units=what.units,
        frame=what.frame,
        measures={measured: column for measured, column in what.measures.items() if _fits(columns, measured, column)},
        ego_from_sensor=np.eye(4) if kind == "pose" else None,
    )


def _list_of(path: Path) -> list[Any]:
    encoded = read_bytes(path, "the scene has no such messages")
    try:
        messages = _decoded(encoded)
    except (ValueError, RecursionError) as error:
        raise BrokenRecord(f"{path}: not the expected JSON ({error})") from error
    if not isinstance(messages, list):
        raise BrokenRecord(f"{path}: starts with {encoded[:12]!r}, wanted [, a list of messages")
    return messages


def _decoded(encoded: bytes) -> Any:
    try:
        return msgspec.json.decode(encoded)
    except msgspec.DecodeError:
        # Python's own parser is slower, and knows NaN and Infinity
        if b"NaN" not in encoded and b"Infinity" not in encoded:
            raise
        return json.loads(encoded)


def _usual_shape(messages: list[Any]) -> tuple[tuple[str, int], ...]:
    """Returns the columns of most messages, and of each how many numbers: -1 for one that is not a list."""
    shapes = Counter(_shape(message) for message in messages if isinstance(message, dict))
    return shapes.most_common(1)[0][0] if shapes else ()


def _shape(message: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    parts = {name: len(value) if isinstance(value, list) else -1 for name, value in message.items() if name != "utime"}
    return tuple(sorted(parts.items()))


def _why_broken(message: Any, shape: tuple[tuple[str, int], ...]) -> str:
    if not isinstance(message, dict):
        return f"is {str(message)[:40]!r}, wanted an object"
    utime = message.get("utime")
    if isinstance(utime, bool) or not isinstance(utime, int) or not 0 < utime <= _MOST_US:
        return f"has the utime {str(utime)[:40]!r}, wanted whole microseconds since 1970, above 0"
    if _shape(message) != shape:
        return f"has {_listed(_shape(message))}, wanted {_listed(shape)}"
    for name, value in message.items():
        if not all(isinstance(number, int | float) and not isinstance(number, bool) for number in _numbers(value)):
            return f"has the {name} {str(value)[:40]}, wanted numbers"
    return ""


def _listed(shape: tuple[tuple[str, int], ...]) -> str:
    return ", ".join(f"{name[:40]} of {width}" if width >= 0 else name[:40] for name, width in shape) or "nothing"


def _numbers(value: Any) -> Iterator[Any]:
    yield from value if isinstance(value, list) else (value,)


def _floats(values: list[Any], width: int) -> NDArray[np.float64]:
    shape = (len(values), width) if width >= 0 else (len(values),)
    try:
        return np.array(values, dtype=np.float64).reshape(shape)
    except OverflowError:
        # a whole number beyond float64: its message is left out as one that is not finite
        return np.array([[_float(number) for number in _numbers(value)] for value in values]).reshape(shape)


def _float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        return float("inf")


def _fits(columns: Mapping[str, NDArray[np.float64]], measured: Measured, column: str) -> bool:
    """Whether the column is there, and has as many numbers as what it measures."""
    wanted = () if measured == "steering" else (3,)
    return column in columns and columns[column].shape[1:] == wanted
