"""The closed words with which a feature says what its numbers are. Fingerprints cover these, never prose."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

__all__ = [
    "COLUMN_MEANINGS",
    "COLUMN_UNITS",
    "CUTS",
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
    "dBsm",
    "ratio",
    "count",
    "index",
    "cell",
    "code",
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
        "dBsm": "decibels over a square metre, of a radar's cross section",
        "ratio": "a share, from 0 to 1",
        "count": "how many",
        "index": "the number of a row, an element or a beam, from 0; -1 where there is none",
        "cell": "whole cells along each axis of the grid, from its lowest corner",
        "code": "a whole number that stands for a state",
        "flag": "1 for yes, 0 for no",
        "mixed": "each column or channel has its own, see the table of columns",
        "none": "a number without a unit",
    }
)
"""Unit -> what it means."""

FrameOfReference = Literal["ego", "lidar", "radar", "ego_ground", "world", "sensor", "image", "reference", "none"]

InputFrame = Literal["ego", "lidar", "radar", "ego_ground"]
"""What the param `frame` may be."""

ReferenceFrame = Literal["ego", "lidar"]
"""The frame of reference of a model's output."""

FRAMES: Mapping[FrameOfReference, str] = MappingProxyType(
    {
        "ego": "the vehicle's axes at the reference time",
        "lidar": "the primary lidar's axes at the reference time",
        "radar": "the primary radar's axes at the reference time",
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
        "azimuth": "rad",
        "inclination": "rad",
        "height": "m",
        "occupancy": "flag",
        "rcs": "dBsm",
        "vx": "m/s",
        "vy": "m/s",
        "vx_comp": "m/s",
        "vy_comp": "m/s",
        "v_radial": "m/s",
        "v_radial_comp": "m/s",
        "sweep": "index",
        "dyn_prop": "code",
        "ambig_state": "code",
        "invalid_state": "code",
        "pdh0": "code",
        "id": "index",
        "is_quality_valid": "flag",
        "x_rms": "code",
        "y_rms": "code",
        "vx_rms": "code",
        "vy_rms": "code",
        "scan": "index",
        "dyn_prop_onehot": "flag",
        "ambig_state_onehot": "flag",
        "invalid_state_onehot": "flag",
        "pdh0_ordinal": "flag",
        "x_from_mean": "m",
        "y_from_mean": "m",
        "z_from_mean": "m",
        "x_from_centre": "m",
        "y_from_centre": "m",
        "z_from_centre": "m",
        "distance": "m",
        "u": "px",
        "v": "px",
        "depth": "m",
    }
)
"""Column or channel of a tensor whose unit is "mixed" -> its own unit."""

Cut = Literal["first_rows"]
"""Which part is kept of a tensor that is cut: the first rows."""

CUTS: Mapping[Cut, str] = MappingProxyType(
    {"first_rows": "where a spec fixes fewer rows than a frame has, the first ones are kept"}
)
"""Cut -> what it means."""

COLUMN_MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "x": "place along the x axis of the frame of reference",
        "y": "place along its y axis",
        "z": "place along its z axis",
        "range": "distance from the sensor",
        "intensity": "strength of the return; 0 where the log has none",
        "time_lag": "how long before the reference time it was measured; negative if after",
        "ring": "number of the beam as the log has it; -1 where it has none",
        "azimuth": "direction of the ray, from the x axis towards the y axis",
        "inclination": "elevation of the ray, upwards",
        "height": "z in the sensor's own axes",
        "occupancy": "1 where the cell shows a point",
        "elongation": "how much longer than its pulse the return was, as the log has it; 0 where it has none",
        "return_index": "which of its beam's returns it was; 0 where the log has none",
        "offset_ns": "when it was measured, counted from its sweep's stamp; 0 where the log has none",
        "height_above_ground": "how high it is above the ground below it, by `ground`",
        "count": "points in the column of cells",
        "density": "min(1, ln(count + 1) / ln(density_cap + 1))",
        "max_z": "greatest height of a point",
        "min_z": "least height of a point",
        "mean_z": "mean height of the points",
        "var_z": "variance of the heights of the points",
        "height_ratio": "(max_z - zmin) / (zmax - zmin) of the grid's range",
        "slice_height": "a channel for each height slice, lowest first: its highest point above zmin",
        "max_i": "greatest intensity of a point",
        "mean_i": "mean intensity of the points",
        "top_i": "intensity of the highest point",
        "rcs": "radar cross section; by `rcs_range` where that is set",
        "vx": "velocity relative to the sensor along the x axis, as `velocity_axes` says; its part along the ray",
        "vy": "the same along the y axis",
        "vx_comp": "velocity over ground along the x axis, as `velocity_axes` says; its part along the ray",
        "vy_comp": "the same along the y axis",
        "v_radial": "velocity along the ray relative to the sensor, > 0 receding",
        "v_radial_comp": "velocity along the ray over ground, > 0 receding",
        "sweep": "cycles of its radar since then: 0 for the newest",
        "dyn_prop": "how it moves",
        "ambig_state": "whether its Doppler is ambiguous",
        "invalid_state": "whether it is a detection at all",
        "pdh0": "probability of a false alarm",
        "id": "number of the detection as the log has it",
        "is_quality_valid": "whether its quality is known, as the log has it",
        "x_rms": "how certain x is, as the log has it",
        "y_rms": "how certain y is, as the log has it",
        "vx_rms": "how certain vx is, as the log has it",
        "vy_rms": "how certain vy is, as the log has it",
        "scan": "which scan of a record of several: 0 the newest, -1 the one before",
        "dyn_prop_onehot": "8 columns, 1 in that of its dyn_prop",
        "ambig_state_onehot": "5 columns, 1 in that of its ambig_state",
        "invalid_state_onehot": "18 columns, 1 in that of its invalid_state",
        "pdh0_ordinal": "7 columns, 1 in as many of the first as pdh0 says",
        "x_from_mean": "place along x from the mean of the pillar's kept points",
        "y_from_mean": "the same along y",
        "z_from_mean": "the same along z",
        "x_from_centre": "place along x from the pillar's centre",
        "y_from_centre": "the same along y",
        "z_from_centre": "the same along z",
        "distance": "from the origin of the frame of reference",
        "u": "column of the picture on which it falls, as `image.pixel_convention` counts",
        "v": "row of the picture on which it falls",
        "depth": "how far from the camera it is, as `depth_along` says",
    }
)
"""Column or channel -> what it holds; the same words as in `COLUMN_UNITS`. For people: no program compares it."""
