"""lidar_points and lidar_num_points."""

from __future__ import annotations

from ..checks import at_least, distinct
from ..feature import Feature
from ..grid import check_range
from .cloud import FIRST_ROWS, REF, CloudParams, PointColumn

__all__ = ["FEATURES", "PointsParams"]


class PointsParams(CloudParams, frozen=True, kw_only=True):
    columns: tuple[PointColumn, ...] = ("x", "y", "z", "intensity", "time_lag")
    range: tuple[float, float, float, float, float, float] | None = None
    """xmin ymin zmin xmax ymax zmax metres, half-open; null: all points."""
    max_points: int | None = None
    """Only the first so many points."""

    def __post_init__(self) -> None:
        super().__post_init__()
        distinct("columns", self.columns)
        at_least(1, max_points=self.max_points)
        if self.range is not None:
            check_range(self.range)

    def dims(self) -> dict[str, int]:
        return {"C": len(self.columns)}

    def cap(self, dim: str) -> int | None:
        return self.max_points if dim == "num_points" else None


_POINTS = PointsParams()

FEATURES = (
    Feature(
        name="lidar_points",
        group="lidar_points",
        dtypes=("float32",),
        shape=("num_points", "C"),
        units="m; intensity by intensity_mode; time_lag s, >= 0 for older points",
        frame=REF,
        params=_POINTS,
        cut=FIRST_ROWS,
        collate="concat",
        prose="The points, newest sweep first, in the order of the record; non-finite ones are dropped. Where a log "
        "has no rings the ring is -1, no intensity 0; unrelated frames have one sweep, however many are wanted.",
    ),
    Feature(
        name="lidar_num_points",
        group="lidar_points",
        dtypes=("int32",),
        shape=(1,),
        units="points",
        frame="none",
        params=_POINTS,
        prose="How many rows of lidar_points are real.",
    ),
)
