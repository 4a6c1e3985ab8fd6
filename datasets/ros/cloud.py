"""sensor_msgs/PointCloud2 to columns: any field layout, as views of the message where that is possible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord, LogError

from .point_time import POINT_TIMES, point_offsets
from .radar import Doppler, receding
from .rows import row_stride

__all__ = ["CloudOptions", "cloud_columns", "lidar_columns", "radar_columns"]

Column = NDArray[Any]

_DTYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}
_MOST_FIELDS = 256
_LARGEST_POINT = 1 << 16

_RINGS = ("ring", "channel", "line")
_RADAR_FIELDS = {
    "rcs": ("rcs", "radar_cross_section", "RCS"),
    "v_radial": (
        *("v_radial", "doppler", "doppler_velocity", "velocity", "range_rate", "v_r", "vr"),
        *("radial_velocity", "radial_speed"),
    ),
    "v_radial_comp": ("v_radial_comp", "v_r_compensated", "vr_compensated"),
    "vx": ("vx",),
    "vy": ("vy",),
    "vx_comp": ("vx_comp",),
    "vy_comp": ("vy_comp",),
    "dyn_prop": ("dyn_prop",),
    "id": ("id",),
    "ambig_state": ("ambig_state",),
    "invalid_state": ("invalid_state",),
    "pdh0": ("pdh0",),
    "is_quality_valid": ("is_quality_valid",),
    "x_rms": ("x_rms",),
    "y_rms": ("y_rms",),
    "vx_rms": ("vx_rms",),
    "vy_rms": ("vy_rms",),
}


@dataclass(frozen=True)
class CloudOptions:
    """How clouds are read; checks itself."""

    point_time: str = "auto"
    """auto, none, or FIELD:KIND with a kind of POINT_TIMES, e.g. t:offset_ns."""
    empty_returns: Literal["drop", "keep"] = "drop"
    """Points at exactly 0, 0, 0 are rays that nothing came back on."""
    intensity_scale: float | None = None
    """None: 255 where intensity is uint8, else 1."""

    def __post_init__(self) -> None:
        field, colon, kind = self.point_time.rpartition(":")
        if self.point_time not in ("auto", "none") and not (field and colon and kind in POINT_TIMES):
            raise LogError(
                f"point_time is {self.point_time!r}, wanted auto, none or FIELD:KIND with a kind of "
                f"{', '.join(POINT_TIMES)}, e.g. t:offset_ns"
            )
        if self.empty_returns not in ("drop", "keep"):
            raise LogError(f"empty_returns is {self.empty_returns!r}, wanted 'drop' or 'keep'")
        if self.intensity_scale is not None and not self.intensity_scale > 0:
            raise LogError(f"intensity_scale is {self.intensity_scale!r}, wanted a number above 0")


def cloud_columns(message: Any, where: str) -> dict[str, Column]:
    """Returns field -> (height * width,) column in row order; raises BrokenRecord.

    Bytes behind the last row are left alone: some drivers keep a buffer for the most points there can be.
    Views of the message where its rows have no padding and its bytes are in this machine's order; fields of more
    than one value, and those without a name, are left out.
    """
    height, width = int(message.height), int(message.width)
    dtype = _dtype(message, where)
    row_bytes, declared, size = width * dtype.itemsize, int(message.row_step), len(message.data)
    if not height * width:
        # a driver that sets no height
        if width and size:
            raise BrokenRecord(f"{where}: {size} bytes of points, wanted none for {height} x {width}")
        return {name: np.zeros(0, dtype[name].newbyteorder("=")) for name in dtype.names or ()}
    stride = row_stride(declared, row_bytes, height, size)
    if stride is None:
        if declared < row_bytes and height > 1:
            raise BrokenRecord(
                f"{where}: row_step is {declared}, wanted at least {width} points of {dtype.itemsize} bytes, or "
                f"{height * row_bytes} bytes of points without padding; there are {size}"
            )
        wanted = (height - 1) * max(declared, row_bytes) + row_bytes if height > 1 else row_bytes
        fits = size > 0 and size % (height * width) == 0
        seems = f"; its points seem to have {size // (height * width)} bytes each: point_step is wrong" if fits else ""
        raise BrokenRecord(
            f"{where}: {size} bytes of points, wanted {wanted} for {height} x {width} of {dtype.itemsize}{seems}"
        )
    points = np.ndarray((height, width), dtype, message.data, strides=(stride, dtype.itemsize))
    return {name: _native(points[name].reshape(-1)) for name in dtype.names or ()}


def _dtype(message: Any, where: str) -> np.dtype[Any]:
    step, order = int(message.point_step), ">" if message.is_bigendian else "<"
    if len(message.fields) > _MOST_FIELDS or step > _LARGEST_POINT:
        raise BrokenRecord(f"{where}: points of {len(message.fields)} fields and {step} bytes, wanted fewer")
    names, formats, offsets = [], [], []
    for field in message.fields:
        if field.datatype not in _DTYPES:
            raise BrokenRecord(f"{where}: field {field.name!r} has the datatype {field.datatype}, wanted 1 to 8")
        format = order + _DTYPES[field.datatype]
        if int(field.offset) + np.dtype(format).itemsize * max(int(field.count), 1) > step:
            raise BrokenRecord(f"{where}: field {field.name!r} at byte {field.offset} is outside of a point of {step}")
        # some drivers write a count of 0 and mean 1
        if field.name and field.count <= 1 and field.name not in names:
            names.append(str(field.name))
            formats.append(format)
            offsets.append(int(field.offset))
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": max(step, 1)})


def _native(column: Column) -> Column:
    if column.dtype.isnative and column.flags.aligned:
        return column
    # not ascontiguousarray, which leaves a single unaligned value where it is
    return np.array(column, dtype=column.dtype.newbyteorder("="))


def lidar_columns(message: Any, stamp_ns: int, options: CloudOptions, where: str) -> dict[str, Any]:
    """Returns the columns of a LidarSweep, and its intensity_scale; raises BrokenRecord."""
    fields = cloud_columns(message, where)
    x, y, z = _xyz(fields, where)
    columns: dict[str, Column | None] = {
        "x": x,
        "y": y,
        "z": z,
        "intensity": _first(fields, ("intensity", "reflectivity", "i")),
        "ring": _integers(_first(fields, _RINGS)),
        "offset_ns": point_offsets(fields, stamp_ns, options.point_time, where),
    }
    if options.empty_returns == "drop":
        columns = _without_empty(columns)
    intensity = columns["intensity"]
    scale = 255.0 if intensity is not None and intensity.dtype == np.uint8 else 1.0
    return {**columns, "intensity_scale": scale if options.intensity_scale is None else options.intensity_scale}


def radar_columns(message: Any, where: str, doppler: Doppler = "receding") -> dict[str, Column | None]:
    """Returns the columns of a RadarSweep from a cloud of detections, by the usual names of their fields."""
    fields = cloud_columns(message, where)
    x, y, z = _xyz(fields, where)
    columns = {name: _first(fields, known) for name, known in _RADAR_FIELDS.items()}
    for name in ("v_radial", "v_radial_comp"):
        speed = columns[name]
        columns[name] = None if speed is None else receding(speed, doppler)
    return {"x": x, "y": y, "z": z} | columns


def _first(fields: Mapping[str, Column], names: Sequence[str]) -> Column | None:
    return next((fields[name] for name in names if name in fields), None)


def _integers(column: Column | None) -> Column | None:
    """Some drivers write the ring as a float."""
    if column is None or column.dtype.kind in "iu":
        return column
    with np.errstate(invalid="ignore"):
        return np.asarray(column.astype(np.int32))


def _xyz(fields: Mapping[str, Column], where: str) -> tuple[Column, Column, Column]:
    missing = [name for name in "xyz" if name not in fields]
    if missing:
        raise BrokenRecord(f"{where}: a cloud without {', '.join(missing)}; it has {', '.join(fields) or 'no fields'}")
    x, y, z = (fields[name] for name in "xyz")
    return tuple(c if c.dtype.kind == "f" else c.astype(np.float64) for c in (x, y, z))  # type: ignore[return-value]


def _without_empty(columns: dict[str, Column | None]) -> dict[str, Column | None]:
    x, y, z = columns["x"], columns["y"], columns["z"]
    hit = (x != 0) | (y != 0) | (z != 0)
    if np.all(hit):
        return columns
    return {name: None if column is None else column[hit] for name, column in columns.items()}
