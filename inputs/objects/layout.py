"""The files of a database of objects, and their columns."""

from __future__ import annotations

from typing import Any

__all__ = ["BOX_COLUMNS", "FORMAT", "MANIFEST", "OBJECTS", "POINTS", "VERSION", "table_of_objects", "table_of_points"]

FORMAT = "perceptum objects"
VERSION = 1

MANIFEST = "manifest.json"
"""Written last: what lies beside it is whole."""
OBJECTS = "objects.arrow"
POINTS = "points.arrow"

BOX_COLUMNS = ("x", "y", "z", "length", "width", "height", "yaw")


def table_of_objects() -> Any:
    """Returns the schema of the table of objects."""
    import pyarrow as pa

    fields: list[tuple[str, Any]] = [
        ("category", pa.string()),
        # metres and radians, in the ego frame of the moment at which the object was labelled
        *((name, pa.float64()) for name in BOX_COLUMNS),
        # m/s over ground, NaN where it is not known
        ("velocity_x", pa.float64()),
        ("velocity_y", pa.float64()),
        # metres: the ego frame's z of level ground in that log
        ("ground_z", pa.float64()),
        # what intensity is divided by for [0, 1]
        ("intensity_scale", pa.float64()),
        # its points: rows [first, first + num_points) of a batch of the table of points
        ("batch", pa.int32()),
        ("first", pa.int64()),
        ("num_points", pa.int64()),
        ("log", pa.string()),
        ("frame", pa.string()),
        ("time_ns", pa.int64()),
        ("track", pa.string()),
    ]
    return pa.schema(fields)


def table_of_points() -> Any:
    """Returns the schema of the table of points."""
    import pyarrow as pa

    fields: list[tuple[str, Any]] = [
        # metres from the box's centre, along the axes of the ego frame
        ("x", pa.float32()),
        ("y", pa.float32()),
        ("z", pa.float32()),
        # as recorded; 0 where the log has none
        ("intensity", pa.float32()),
        ("ring", pa.int32()),
        ("elongation", pa.float32()),
        # the number of the lidar in the manifest's list
        ("lidar", pa.uint8()),
    ]
    return pa.schema(fields)
