"""lidar_points, lidar_num_points, lidar_ring and lidar_height_above_ground."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated

from .. import drawings
from ..checks import distinct
from ..collate import Concat
from ..feature import Feature
from ..grid import check_range
from ..group import Group
from ..parameter import About
from .cloud import CloudParams, PointColumn
from .presets import POINTS

__all__ = ["GROUPS", "PointsParams"]


class PointsParams(CloudParams, frozen=True, kw_only=True):
    columns: Annotated[tuple[PointColumn, ...], About("What a row holds, in order.")] = (
        *("x", "y", "z", "intensity", "time_lag"),
    )
    range: Annotated[
        tuple[float, float, float, float, float, float] | None,
        About("xmin ymin zmin xmax ymax zmax, half-open; null: all points.", "m"),
    ] = None
    max_points: Annotated[
        int | None, About("At most this many points, the first ones; null: all.", "count", least=1)
    ] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        distinct("columns", self.columns)
        if self.range is not None:
            check_range(self.range)

    def dims(self) -> dict[str, int]:
        return {"C": len(self.columns)}

    def decided_by(self, dim: str) -> tuple[str, ...]:
        return {"C": ("columns",)}.get(dim, ())

    def cap(self, dim: str) -> int | None:
        return self.max_points if dim == "num_points" else None

    def size_key(self, dim: str) -> Hashable:
        if dim != "num_points":
            return super().size_key(dim)
        return (dim, self.count_key(), self.range, self.max_points)


GROUPS = (
    Group(
        name="lidar_points",
        params=PointsParams(),
        drawing=drawings.points,
        presets=POINTS,
        features=(
            Feature(
                name="lidar_points",
                dtypes=("float32",),
                shape=("num_points", "C"),
                units="mixed",
                frame="reference",
                cut="first_rows",
                collate=Concat(),
                prose="The points, newest sweep first, in the order of the record; non-finite ones are dropped. "
                "time_lag is how long before the reference time a point was measured, negative if after. Where a log "
                "has no rings the ring is -1, no intensity 0; unrelated frames have one sweep, however many are "
                "wanted. elongation, return_index and offset_ns are 0 where a log has none.",
            ),
            Feature(
                name="lidar_num_points",
                dtypes=("int32",),
                shape=(1,),
                units="count",
                frame="none",
                counts="lidar_points",
                prose="How many rows of lidar_points are real.",
            ),
            Feature(
                name="lidar_ring",
                dtypes=("int32",),
                shape=("num_points",),
                units="index",
                frame="none",
                fill=-1,
                cut="first_rows",
                collate=Concat(),
                prose="For each row of lidar_points the rank of its beam by elevation, 0 the highest; -1 where the log "
                "has no ring or no table of beams. The column `ring` of lidar_points is the number as recorded.",
            ),
            Feature(
                name="lidar_height_above_ground",
                dtypes=("float32",),
                shape=("num_points",),
                units="m",
                frame="none",
                cut="first_rows",
                collate=Concat(),
                prose="For each row of lidar_points how high it is above the ground below it, along the world's z by "
                "a map, along the vehicle's z otherwise. After HDNet (Yang et al. 2018).",
            ),
        ),
    ),
)
