"""Foxglove's own messages for cameras, in whichever of its four encodings, with the fields that ROS's have.

Only their first fields are read, in all versions the same: later versions add ids and a lineage behind them.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from perceptum.inputs import BrokenRecord

from .foxglove_fields import READERS, Reader, Stamp
from .recording import Topic

__all__ = ["decode_foxglove", "described_stamp_ns"]

_DISTORTION = {"kannala_brandt": "equidistant"}
"""Foxglove's name of a model -> that of ROS."""
_SECOND_NS = 1_000_000_000


@dataclass(frozen=True)
class _Header:
    stamp: Stamp
    frame_id: str


@dataclass(frozen=True)
class _Video:
    header: _Header
    data: bytes
    format: str


@dataclass(frozen=True)
class _Region:
    x_offset: int = 0
    y_offset: int = 0
    height: int = 0
    width: int = 0


@dataclass(frozen=True)
class _Calibration:
    """As a CameraInfo of the full sensor."""

    header: _Header
    width: int
    height: int
    distortion_model: str
    d: Sequence[float]
    k: Sequence[float]
    r: Sequence[float]
    p: Sequence[float]
    binning_x: int = 0
    binning_y: int = 0
    roi: _Region = field(default_factory=_Region)


@dataclass(frozen=True)
class _Axes:
    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    w: float = 0.0


@dataclass(frozen=True)
class _Transform:
    translation: _Axes
    rotation: _Axes


@dataclass(frozen=True)
class _TransformStamped:
    header: _Header
    child_frame_id: str
    transform: _Transform


@dataclass(frozen=True)
class _Transforms:
    transforms: Sequence[_TransformStamped]


def decode_foxglove(topic: Topic, payload: bytes, where: str) -> Any:
    """Returns the message with the attributes of a CompressedImage, CameraInfo or TFMessage; raises BrokenRecord."""
    if topic.encoding not in READERS:
        raise BrokenRecord(
            f"{where}: messages are encoded as {topic.encoding!r}, wanted cdr (ROS 2), ros1, protobuf or json"
        )
    kind = topic.type.replace("/", ".").rsplit(".", 1)[-1]
    try:
        return _message(kind, READERS[topic.encoding], payload)
    # a message that is cut short or of other fields shows as any of these
    except (ValueError, TypeError, LookupError, AttributeError, struct.error, OverflowError) as error:
        said = " ".join(str(error).split())[:120]
        raise BrokenRecord(f"{where}: {len(payload)} bytes are not a complete {topic.type} ({said})") from error


def described_stamp_ns(topic: Topic, payload: bytes, where: str) -> int:
    """Returns the timestamp of a message in one of DESCRIBED; raises BrokenRecord."""
    stamp = decode_foxglove(topic, payload, where).header.stamp
    if not (stamp.sec >= 0 and 0 <= stamp.nanosec < _SECOND_NS and stamp.sec < 2**63 // _SECOND_NS):
        raise BrokenRecord(
            f"{where}: its stamp is {stamp.sec} s {stamp.nanosec} ns, wanted one since 1970; try clock='log'"
        )
    return int(stamp.sec) * _SECOND_NS + int(stamp.nanosec)


def _message(kind: str, read: Reader, payload: bytes) -> Any:
    if kind == "FrameTransforms":
        return _Transforms([_transform(row) for row in read(kind, payload)["transforms"]])
    values = read(kind, payload)
    if kind == "FrameTransform":
        return _Transforms([_transform(values)])
    header = _Header(values.pop("timestamp"), values.pop("frame_id"))
    if kind == "CompressedVideo":
        return _Video(header, **values)
    values["distortion_model"] = _DISTORTION.get(values["distortion_model"], values["distortion_model"])
    return _Calibration(header, **values)


def _transform(values: dict[str, Any]) -> _TransformStamped:
    header = _Header(values["timestamp"], values["parent_frame_id"])
    return _TransformStamped(
        header, values["child_frame_id"], _Transform(_Axes(*values["translation"]), _Axes(*values["rotation"]))
    )
