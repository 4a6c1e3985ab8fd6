"""radar_bev."""

from __future__ import annotations

from typing import Annotated, Literal

from .. import drawings
from ..birds_eye import BevLayout, FlipX, FlipY, birds_eye_axes
from ..feature import Feature
from ..grid import Grid
from ..group import Group
from ..parameter import About
from .cloud import AROUND, RadarCloudParams
from .presets import BEV

__all__ = ["GROUPS", "RadarBevParams"]


class RadarBevParams(RadarCloudParams, frozen=True, kw_only=True):
    grid: Annotated[Grid, About("The cells, half-open; those above one another count as one.")] = AROUND
    bev_layout: BevLayout = "CYX"
    flip_x: FlipX = False
    flip_y: FlipY = False
    oldest_first: Annotated[
        bool, About("true: the occupancy of the oldest cycle is channel 0; false: that of the newest.")
    ] = False
    velocity: Annotated[
        Literal["compensated", "relative"],
        About("compensated: vx_comp and vy_comp, over ground; relative: vx and vy, relative to the sensor."),
    ] = "compensated"

    def channels_count(self) -> int:
        return self.num_sweeps + 3

    def column_names(self) -> tuple[str, ...]:
        return ("occupancy", "rcs", *(("vx_comp", "vy_comp") if self.velocity == "compensated" else ("vx", "vy")))

    def order(self) -> tuple[str, ...]:
        """Returns the axes as they lie in memory, the slowest first; all of them are among `dims`."""
        return tuple(self.bev_layout)

    def dims(self) -> dict[str, int]:
        x, y, _ = self.grid.size
        return {"C": self.channels_count(), "Y": y, "X": x}

    def decided_by(self, dim: str) -> tuple[str, ...]:
        return ("num_sweeps",) if dim == "C" else ("grid",)


GROUPS = (
    Group(
        name="radar_bev",
        params=RadarBevParams(),
        drawing=drawings.radar_birds_eye,
        presets=BEV,
        features=(
            Feature(
                name="radar_bev",
                dtypes=("float32",),
                shape=birds_eye_axes,
                units="mixed",
                frame="reference",
                prose="The detections from above. A channel for each cycle of num_sweeps, 1 where it has a detection; "
                "then the largest rcs of the cell, and vx, vy of the detection that has it: of equals the one nearest "
                "to the origin, then the first. 0 where there is none. In the style of RadarNet (Yang et al. 2020).",
            ),
        ),
    ),
)
