"""The fields of Foxglove's messages from their bytes: protobuf, JSON, ROS 2's cdr and ROS 1."""

from __future__ import annotations

import struct
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..reading.protobuf import bytes_of, doubles, fields_of, signed

__all__ = ["CALIBRATION", "READERS", "TRANSFORM", "VIDEO", "Reader", "Stamp", "is_described", "is_foxglove"]

VIDEO = ("foxglove.CompressedVideo", "foxglove_msgs/msg/CompressedVideo")
CALIBRATION = ("foxglove.CameraCalibration", "foxglove_msgs/msg/CameraCalibration")
TRANSFORM = ("foxglove.FrameTransform", "foxglove.FrameTransforms")
"""Of ROS messages the transforms are ROS's own."""

_TYPES = (*VIDEO, *CALIBRATION, *TRANSFORM)


@dataclass(frozen=True)
class Stamp:
    sec: int = 0
    nanosec: int = 0


Reader = Callable[[str, bytes], dict[str, Any]]
"""Returns the fields of a message of a kind, by their names; of FrameTransforms those of each, under transforms."""

# name and kind of each field in the order of the ROS message, and its number in protobuf
_FIELDS: Mapping[str, Sequence[tuple[str, str, int]]] = {
    "CompressedVideo": (
        ("timestamp", "time", 1),
        ("frame_id", "text", 2),
        ("data", "bytes", 3),
        ("format", "text", 4),
    ),
    "CameraCalibration": (
        ("timestamp", "time", 1),
        ("frame_id", "text", 9),
        ("width", "count", 2),
        ("height", "count", 3),
        ("distortion_model", "text", 4),
        ("d", "doubles", 5),
        ("k", "9 doubles", 6),
        ("r", "9 doubles", 7),
        ("p", "12 doubles", 8),
    ),
    "FrameTransform": (
        ("timestamp", "time", 1),
        ("parent_frame_id", "text", 2),
        ("child_frame_id", "text", 3),
        ("translation", "axes", 4),
        ("rotation", "axes", 5),
    ),
}


def is_foxglove(kind: str) -> bool:
    """Whether messages of this type are read here."""
    return kind in _TYPES


def is_described(kind: str, encoding: str) -> bool:
    """Whether such a message says itself where its fields are, so that it need not begin with its stamp."""
    return is_foxglove(kind) and encoding in ("protobuf", "json")


def _from_protobuf(kind: str, data: bytes) -> dict[str, Any]:
    found: dict[int, list[int | bytes]] = {}
    for number, value in fields_of(data):
        found.setdefault(number, []).append(value)
    if kind == "FrameTransforms":
        return {"transforms": [_from_protobuf("FrameTransform", bytes_of(part)) for part in found.get(1, [])]}
    return {name: _protobuf_value(form, found.get(number, [])) for name, form, number in _FIELDS[kind]}


def _protobuf_value(form: str, values: list[int | bytes]) -> Any:
    if form.endswith("doubles"):
        return _counted(form, doubles(values))
    # what is missing has its default, and of two the last counts
    if form == "count":
        return values[-1] if values else 0
    data = bytes_of(values[-1]) if values else b""
    if form == "time":
        stamp = dict(fields_of(data))
        return Stamp(signed(stamp.get(1, 0)), signed(stamp.get(2, 0)))
    if form == "axes":
        axes = {number: doubles([value])[0] for number, value in fields_of(data)}
        return [axes.get(number, 0.0) for number in (1, 2, 3, 4)]
    return data.decode("utf-8") if form == "text" else data


def _counted(form: str, values: Sequence[float]) -> Sequence[float]:
    count = form.split(" ")[0]
    if count.isdigit() and len(values) != int(count):
        raise ValueError(f"found {len(values)} numbers, wanted {count}")
    return values


def _from_json(kind: str, data: bytes) -> dict[str, Any]:
    # here, since a log of another kind is opened without it
    import msgspec

    return _json_fields(kind, msgspec.json.decode(data))


def _json_fields(kind: str, found: Any) -> dict[str, Any]:
    if kind == "FrameTransforms":
        return {"transforms": [_json_fields("FrameTransform", row) for row in found["transforms"]]}
    # D, K, R and P in the published schema
    return {name: _json_value(form, found[name if name in found else name.upper()]) for name, form, _ in _FIELDS[kind]}


def _json_value(form: str, value: Any) -> Any:
    if form == "time":
        return Stamp(int(value["sec"]), int(value["nsec"]))
    if form == "axes":
        return [float(value.get(name, 0)) for name in "xyzw"]
    if form.endswith("doubles"):
        return _counted(form, [float(number) for number in value])
    if form == "bytes":
        return b64decode(value, validate=True)
    return int(value) if form == "count" else str(value)


def _from_cdr(kind: str, data: bytes) -> dict[str, Any]:
    """ROS 2: four bytes that say the order of the others, and each number at a multiple of its size."""
    if len(data) < 4:
        raise ValueError("it has no head")
    return _ros_fields(kind, data[4:], "<" if data[1] & 1 else ">", aligned=True)


def _from_ros1(kind: str, data: bytes) -> dict[str, Any]:
    return _ros_fields(kind, data, "<", aligned=False)


def _ros_fields(kind: str, data: bytes, order: str, aligned: bool) -> dict[str, Any]:
    at = 0

    def numbers(form: str, count: int, size: int) -> tuple[Any, ...]:
        nonlocal at
        at += -at % size if aligned and count else 0
        values = struct.unpack_from(f"{order}{count}{form}", data, at)
        at += count * size
        return values

    def raw() -> bytes:
        nonlocal at
        length: int = numbers("I", 1, 4)[0]
        if at + length > len(data):
            raise ValueError(f"{length} bytes are said, {len(data) - at} are left")
        at += length
        return data[at - length : at]

    def value(form: str) -> Any:
        if form == "time":
            return Stamp(*numbers("I" if not aligned else "i", 1, 4), *numbers("I", 1, 4))
        if form == "count":
            return numbers("I", 1, 4)[0]
        if form.endswith("doubles"):
            words = form.split(" ")
            count = int(words[0]) if words[1:] else numbers("I", 1, 4)[0]
            if count > len(data):
                raise ValueError(f"{count} numbers are said in {len(data)} bytes")
            return numbers("d", count, 8)
        # ROS 2 ends text with a zero
        return raw().rstrip(b"\0").decode("utf-8") if form == "text" else raw()

    return {name: value(form) for name, form, _ in _FIELDS[kind]}


READERS: Mapping[str, Reader] = {
    "protobuf": _from_protobuf,
    "json": _from_json,
    "cdr": _from_cdr,
    "ros1": _from_ros1,
}
"""By how messages are encoded. What they raise is a ValueError, TypeError, LookupError or struct.error."""
