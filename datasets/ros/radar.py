"""radar_msgs/RadarScan and RadarTracks to columns, in the sensor's frame."""

from __future__ import annotations

import struct
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord

from .recording import Topic

__all__ = ["Amplitude", "Doppler", "TrackVelocity", "frame_of_scan", "receding", "scan_columns", "track_columns"]

Column = NDArray[Any]
Doppler = Literal["receding", "approaching"]
Amplitude = Literal["rcs", "power"]
TrackVelocity = Literal["relative", "ground"]

_RETURN = ("range", "azimuth", "elevation", "doppler_velocity", "amplitude")


def frame_of_scan(topic: Topic, payload: bytes, where: str) -> str:
    """Returns the frame_id of a RadarScan; raises BrokenRecord."""
    return _split(topic, payload, where)[0]


def receding(speed: Column, doppler: Doppler) -> Column:
    """Returns Doppler speeds that are positive for what recedes, given which way they count as positive."""
    if doppler == "receding":
        return speed
    # the negative of some integers is not one of their kind
    return -speed if speed.dtype.kind == "f" else -speed.astype(np.float64)


def scan_columns(
    topic: Topic, payload: bytes, where: str, doppler: Doppler = "receding", amplitude: Amplitude = "rcs"
) -> dict[str, Column]:
    """Returns the columns of a RadarSweep: x y z from range, azimuth and elevation, v_radial, rcs; float32.

    azimuth counts from x to y, elevation up from the plane. The returns are taken from the bytes as one array, for
    the library would make an object of each. The message does not say which way its speeds count as positive, and
    what its amplitude is a measure of.
    """
    returns = _split(topic, payload, where)[1]
    range_m, azimuth, elevation = (returns[name].astype(np.float64) for name in _RETURN[:3])
    with np.errstate(invalid="ignore"):
        flat = range_m * np.cos(elevation)
        x, y, z = flat * np.cos(azimuth), flat * np.sin(azimuth), range_m * np.sin(elevation)
    native = {name: np.ascontiguousarray(returns[name], dtype=np.float32) for name in _RETURN[3:]}
    return {
        **{name: column.astype(np.float32) for name, column in (("x", x), ("y", y), ("z", z))},
        "v_radial": receding(native["doppler_velocity"], doppler),
        **({"rcs": native["amplitude"]} if amplitude == "rcs" else {}),
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


def track_columns(message: Any, relative_to: TrackVelocity = "relative") -> dict[str, Any]:
    """Returns the columns of a RadarSweep: centre and full velocity of each track; float64, id uint64.

    `id` is the first half of the track's UUID. The message does not say whether the tracker has taken the ego motion
    out of its velocities: vx vy where they are relative to the radar, vx_comp vy_comp where they are over ground.
    """
    tracks = message.tracks
    rows = [(t.position.x, t.position.y, t.position.z, t.velocity.x, t.velocity.y) for t in tracks]
    table = np.array(rows, dtype=np.float64).reshape(-1, 5)
    ids = [t.uuid.uuid[:8].tobytes() for t in tracks]
    names = ("x", "y", "z", "vx", "vy") if relative_to == "relative" else ("x", "y", "z", "vx_comp", "vy_comp")
    columns: dict[str, Column] = dict(zip(names, np.ascontiguousarray(table.T), strict=True))
    return {**columns, "id": np.frombuffer(b"".join(ids), np.uint64), "velocity_part": "full"}
