"""radar_msgs/RadarScan and RadarTracks to columns, in the sensor's frame."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord

from .recording import Topic

__all__ = ["frame_of_scan", "scan_columns", "track_columns"]

Column = NDArray[Any]

_RETURN = ("range", "azimuth", "elevation", "doppler_velocity", "amplitude")


def frame_of_scan(topic: Topic, payload: bytes, where: str) -> str:
    """Returns the frame_id of a RadarScan; raises BrokenRecord."""
    return _split(topic, payload, where)[0]


def scan_columns(topic: Topic, payload: bytes, where: str) -> dict[str, Column]:
    """Returns the columns of a RadarSweep: x y z from range, azimuth and elevation, v_radial, rcs; float32.

    azimuth counts from x to y, elevation up from the plane. The returns are taken from the bytes as one array, for
    the library would make an object of each. `amplitude` is in dB, and dBsm only where the driver says so.
    """
    returns = _split(topic, payload, where)[1]
    range_m, azimuth, elevation = (returns[name].astype(np.float64) for name in _RETURN[:3])
    with np.errstate(invalid="ignore"):
        flat = range_m * np.cos(elevation)
        x, y, z = flat * np.cos(azimuth), flat * np.sin(azimuth), range_m * np.sin(elevation)
    native = {name: np.ascontiguousarray(returns[name], dtype=np.float32) for name in _RETURN[3:]}
    return {
        **{name: column.astype(np.float32) for name, column in (("x", x), ("y", y), ("z", z))},
        "v_radial": native["doppler_velocity"],
        "rcs": native["amplitude"],
    }


def _split(topic: Topic, payload: bytes, where: str) -> tuple[str, Column]:
    """Returns frame_id and the (n,) structured view of the returns: Header, then a counted array of five float32."""
    ros1 = topic.encoding == "ros1"
    order = "<" if ros1 or payload[1:2] == b"\x01" else ">"
    at = 12
    try:
        (length,) = struct.unpack_from(order + "I", payload, at)
        frame = payload[at + 4 : at + 4 + length]
        at += 4 + length
        # CDR counts from behind its four bytes of encapsulation, and both are multiples of four
        at += 0 if ros1 else -at % 4
        (count,) = struct.unpack_from(order + "I", payload, at)
        returns = np.frombuffer(payload, [(name, order + "f4") for name in _RETURN], count, at + 4)
        left = len(payload) - at - 4 - returns.nbytes
        # CDR may be filled up to a multiple of four
        if left > (0 if ros1 else 3):
            raise ValueError(f"{left} bytes after {count} returns")
        return frame.rstrip(b"\0").decode(), returns
    except (struct.error, ValueError) as error:
        raise BrokenRecord(f"{where}: {len(payload)} bytes are not a complete {topic.type} ({error})") from error


def track_columns(message: Any) -> dict[str, Column]:
    """Returns the columns of a RadarSweep: centre and velocity of each track; float64, id uint64.

    `id` is the first half of the track's UUID. Velocity is as the tracker gives it: over ground where it takes the
    ego motion out, which the message does not say, so it is in vx and vy.
    """
    tracks = message.tracks
    rows = [(t.position.x, t.position.y, t.position.z, t.velocity.x, t.velocity.y) for t in tracks]
    table = np.array(rows, dtype=np.float64).reshape(-1, 5)
    ids = [t.uuid.uuid[:8].tobytes() for t in tracks]
    columns: dict[str, Column] = dict(zip(("x", "y", "z", "vx", "vy"), np.ascontiguousarray(table.T), strict=True))
    return {**columns, "id": np.frombuffer(b"".join(ids), np.uint64)}
