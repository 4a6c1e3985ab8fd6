"""The closed words with which a feature says what its numbers are. Fingerprints cover these, never prose."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

__all__ = [
    "COLUMN_UNITS",
    "DTYPES",
    "FRAMES",
    "UNITS",
    "Cut",
    "FrameOfReference",
    "InputFrame",
    "ReferenceFrame",
    "Unit",
]

DTYPES = (
    "float32",
    "float64",
    "string",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
)
"""What a tensor's dtype may be: Neuropod's eleven, in the order of its type codes."""

Unit = Literal[
    "m",
    "m2",
    "m/s",
    "rad",
    "deg",
    "s",
    "ns",
    "px",
    "intensity",
    "ratio",
    "count",
    "index",
    "cell",
    "flag",
    "mixed",
    "none",
]

UNITS: Mapping[Unit, str] = MappingProxyType(
    {
        "m": "metres",
        "m2": "square metres",
        "m/s": "metres per second",
        "rad": "radians",
        "deg": "degrees",
        "s": "seconds",
        "ns": "nanoseconds",
        "px": "pixels",
        "intensity": "as the param `intensity_mode` says",
        "ratio": "a share, from 0 to 1",
        "count": "how many",
        "index": "the number of a row, an element or a beam, from 0; -1 where there is none",
        "cell": "whole cells along each axis of the grid, from its lowest corner",
        "flag": "1 for yes, 0 for no",
        "mixed": "each column or channel has its own, see the table of columns",
        "none": "a number without a unit",
    }
)
"""Unit -> what it means."""

FrameOfReference = Literal["ego", "lidar", "ego_ground", "world", "sensor", "image", "reference", "none"]

InputFrame = Literal["ego", "lidar", "ego_ground"]
"""What the param `frame` may be."""

ReferenceFrame = Literal["ego", "lidar"]
"""The frame of reference of a model's output."""

FRAMES: Mapping[FrameOfReference, str] = MappingProxyType(
    {
        "ego": "the vehicle's axes at the reference time",
        "lidar": "the primary lidar's axes at the reference time",
        "ego_ground": "the vehicle's axes at the reference time, z counted from the ground below",
        "world": "the log's fixed axes",
        "sensor": "the axes of the sensor that measured it, as measured",
        "image": "the pixels of an image, u to the right and v down",
        "reference": "the one that the param `frame` names",
        "none": "no place or direction is meant",
    }
)
"""Frame of reference -> what it means."""

COLUMN_UNITS: Mapping[str, Unit] = MappingProxyType(
    {
        "x": "m",
        "y": "m",
        "z": "m",
        "range": "m",
        "intensity": "intensity",
        "time_lag": "s",
        "ring": "index",
        "elongation": "none",
        "return_index": "index",
        "offset_ns": "ns",
        "height_above_ground": "m",
        "count": "count",
        "density": "ratio",
        "max_z": "m",
        "min_z": "m",
        "mean_z": "m",
        "var_z": "m2",
        "height_ratio": "ratio",
        "slice_height": "m",
        "max_i": "intensity",
        "mean_i": "intensity",
        "top_i": "intensity",
    }
)
"""Column or channel of a tensor whose unit is "mixed" -> its own unit."""

Cut = Literal["first_rows"]
"""Which part is kept of a tensor that is cut: the first rows."""
