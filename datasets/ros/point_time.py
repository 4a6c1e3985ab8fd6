"""When each point of a cloud was measured: the time fields of the usual drivers, as nanoseconds after the stamp."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord

from ..reading.unset_times import offsets_where_set

__all__ = ["POINT_TIMES", "point_offsets"]

Column = NDArray[Any]

POINT_TIMES = {"offset_ns": 1.0, "offset_us": 1e3, "offset_s": 1e9, "absolute_ns": 1.0, "absolute_s": 1e9}
"""How a field may tell a point's time -> nanoseconds per unit; offsets count from the message's stamp."""

_AUTO_TIMES = {
    ("t", "u4"): "offset_ns",
    ("offset_time", "u4"): "offset_ns",
    ("time_stamp", "u4"): "offset_ns",
    ("time", "f4"): "offset_s",
    ("timestamp", "f8"): "absolute_s",
}
"""Ouster, Livox, Autoware, Velodyne, Hesai."""
_FARTHEST_NS = 10_000_000_000


def point_offsets(fields: Mapping[str, Column], stamp_ns: int, point_time: str, where: str) -> Column | None:
    """Returns nanoseconds after the stamp; None where no field says it, or none was asked for.

    An absolute time of 0 was never set, as of a ray without a return: that point is at the stamp. Where all are 0, no
    field says it.
    """
    if point_time == "none":
        return None
    field, kind = _time_field(fields, point_time)
    if field is None:
        return None
    if field not in fields:
        raise BrokenRecord(f"{where}: no field {field!r} for point_time; it has {', '.join(fields) or 'no fields'}")
    offsets = _as_offsets(fields[field], kind, stamp_ns)
    if kind.startswith("absolute"):
        # without the time of the cloud: it is said once for the topic
        known = offsets_where_set(where.partition(" at ")[0], f"field {field}", fields[field], offsets)
        if known is None:
            return None
        offsets = known
    first, last = (int(offsets.min()), int(offsets.max())) if len(offsets) else (0, 0)
    if max(abs(first), abs(last)) > _FARTHEST_NS:
        raise BrokenRecord(
            f"{where}: field {field} read as {kind} puts points {first} to {last} ns from the stamp, wanted within "
            "10 s; say what it is with point_time='FIELD:KIND', or point_time='none'"
        )
    return offsets


def _time_field(fields: Mapping[str, Column], point_time: str) -> tuple[str | None, str]:
    if point_time != "auto":
        field, _, kind = point_time.rpartition(":")
        return field, kind
    known = ((name, _AUTO_TIMES.get((name, column.dtype.str[1:]))) for name, column in fields.items())
    return next(((name, kind) for name, kind in known if kind is not None), (None, ""))


def _as_offsets(column: Column, kind: str, stamp_ns: int) -> Column:
    if kind == "offset_ns" and column.dtype == np.uint32 and (not len(column) or int(column.max()) < 2**31):
        # the same bytes: an offset below 2.1 s is the same number as int32
        return column.view(np.int32)
    if column.dtype.kind in "iu":
        if kind == "absolute_ns":
            # subtracted as integers; what wraps is far from the stamp and is refused
            return np.asarray(column.astype(np.int64) - np.int64(stamp_ns))
        unit = int(POINT_TIMES[kind])
        start = np.int64(stamp_ns) if kind.startswith("absolute") else np.int64(0)
        return np.asarray(column.astype(np.int64) * unit - start)
    return _float_offsets(column.astype(np.float64), kind, stamp_ns)


def _float_offsets(seconds: NDArray[np.float64], kind: str, stamp_ns: int) -> NDArray[np.int64]:
    """The whole seconds of the stamp go first: epoch seconds in float64 have a step of 0.24 us, and no more is lost."""
    unit = POINT_TIMES[kind]
    if kind.startswith("absolute"):
        start, rest_ns = divmod(stamp_ns, 1_000_000_000)
        offsets = (seconds - start * (1e9 / unit)) * unit - rest_ns
    else:
        offsets = seconds * unit
    # a ray without a return may have no time
    return np.rint(np.clip(np.nan_to_num(offsets, nan=0.0), -9e18, 9e18)).astype(np.int64)
