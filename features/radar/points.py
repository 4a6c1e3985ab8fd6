"""radar_points, radar_num_points and radar_valid."""

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
from .cloud import RADAR_COLUMNS, RadarCloudParams, RadarColumn, width_of
from .presets import POINTS

__all__ = ["GROUPS", "RadarPointsParams"]


class RadarPointsParams(RadarCloudParams, frozen=True, kw_only=True):
    columns: Annotated[tuple[RadarColumn, ...], RADAR_COLUMNS] = (
        *("x", "y", "z", "rcs", "vx_comp", "vy_comp", "time_lag"),
    )
    range: Annotated[
        tuple[float, float, float, float, float, float] | None,
        About("xmin ymin zmin xmax ymax zmax, half-open; null: all detections.", "m"),
    ] = None
    max_points: Annotated[
        int | None, About("At most this many detections, the first ones; null: all.", "count", least=1)
    ] = 2500

    def __post_init__(self) -> None:
        super().__post_init__()
        distinct("columns", self.columns)
        if self.range is not None:
            check_range(self.range)

    def dims(self) -> dict[str, int]:
        radars = {} if self.sensors is None else {"num_radars": len(self.sensors)}
        return {"C": width_of(self.columns), **radars}

    def decided_by(self, dim: str) -> tuple[str, ...]:
        return {"C": ("columns",), "num_radars": ("sensors",)}.get(dim, ())

    def cap(self, dim: str) -> int | None:
        return self.max_points if dim == "num_radar" else None

    def size_key(self, dim: str) -> Hashable:
        if dim == "num_radar":
            return (dim, self.count_key(), self.range, self.max_points)
        # a log's radars are the same for all that does not name its own
        return (dim, self.sensors) if dim == "num_radars" else super().size_key(dim)


GROUPS = (
    Group(
        name="radar_points",
        params=RadarPointsParams(),
        drawing=drawings.radar_points,
        presets=POINTS,
        features=(
            Feature(
                name="radar_points",
                dtypes=("float32",),
                shape=("num_radar", "C"),
                units="mixed",
                frame="reference",
                cut="first_rows",
                collate=Concat(),
                prose="The detections, newest cycle first, in the order of the record; of cycles of one time in the "
                "order of the radars. Non-finite places are dropped. v_radial > 0 is receding, relative to the sensor; "
                "..._comp has the ego motion taken out. A radar measures only that radial part: where a record has no "
                "vx, vy they are v_radial along the ray, and where it has v_radial but not v_radial_comp, that is "
                "v_radial + ray . sensor's velocity by the log's poses. Frames that are unrelated, as aiMotive's, say "
                "nothing of the ego motion: there ..._comp, which the default columns have, is missing where it is not "
                "recorded. Codes are those of nuScenes' radars; another is an error where a filter or a block of "
                "columns looks at it, as is a state that is not a whole number. A number that is missing or not finite "
                "is 0, whatever it is scaled by.",
            ),
            Feature(
                name="radar_num_points",
                dtypes=("int32",),
                shape=(1,),
                units="count",
                frame="none",
                counts="radar_points",
                prose="How many rows of radar_points are real.",
            ),
            Feature(
                name="radar_valid",
                dtypes=("uint8",),
                shape=("num_radars",),
                units="flag",
                frame="none",
                cut="first_rows",
                collate=Concat(),
                prose="Per radar, in the order of `sensors` or of the log, whether the frame has a cycle of it.",
            ),
        ),
    ),
)
