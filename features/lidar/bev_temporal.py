"""lidar_bev_temporal and lidar_sweep_valid."""

from __future__ import annotations

from typing import Annotated, Literal

from .. import drawings
from ..feature import Axes, Feature
from ..grid import Grid
from ..group import Group
from ..parameter import About
from .bev import BevOccupancyParams
from .presets import BEV_TEMPORAL

__all__ = ["GROUPS", "BevTemporalParams"]

# a stack of ten at SURROUND's cells would be 420 MB
_COARSE = Grid(range=(-51.2, -51.2, -5.0, 51.2, 51.2, 3.0), voxel=(0.4, 0.4, 0.4))


class BevTemporalParams(BevOccupancyParams, frozen=True, kw_only=True):
    num_sweeps: Annotated[
        int, About("Sweeps of each lidar: T of the tensor. The n-th newest of all of them lie in one view.", least=1)
    ] = 10
    grid: Annotated[Grid, About("The cells of each view, half-open.")] = _COARSE
    time_axis: Annotated[
        Literal["merged", "own"],
        About(
            "merged: time and height slices are the channels C = T * Z, in the order of `layout`; own: time is an axis "
            "of its own."
        ),
    ] = "merged"
    layout: Annotated[
        Literal["TZ", "ZT"],
        About(
            "TZ: all slices of one sweep, then the next sweep: channel t * Z + z, or time as the first axis; ZT: one "
            "slice of all sweeps, then the next slice: channel z * T + t, or time right after the slices."
        ),
    ] = "TZ"
    oldest_first: Annotated[
        bool, About("true: t = 0 is the oldest sweep, T - 1 the newest; false: 0 is the newest.")
    ] = False

    def dims(self) -> dict[str, int]:
        x, y, _ = self.grid.size
        t, z = self.num_sweeps, self.channels_count()
        return {"T": t, "Z": z, "C": t * z, "Y": y, "X": x}

    def decided_by(self, dim: str) -> tuple[str, ...]:
        slices = ("grid", "overflow_slices")
        return {"T": ("num_sweeps",), "Z": slices, "C": ("num_sweeps", *slices)}.get(dim, ("grid",))

    def order(self) -> tuple[str, ...]:
        if self.time_axis == "own" and self.layout == "TZ":
            return ("T", *self.bev_layout.replace("C", "Z"))
        return tuple(self.bev_layout.replace("C", self.layout))


def temporal_axes(params: BevTemporalParams) -> Axes:
    return tuple(params.bev_layout) if params.time_axis == "merged" else params.order()


GROUPS = (
    Group(
        name="lidar_bev_temporal",
        params=BevTemporalParams(),
        drawing=drawings.birds_eye_over_time,
        presets=BEV_TEMPORAL,
        features=(
            Feature(
                name="lidar_bev_temporal",
                dtypes=("uint8", "float32"),
                shape=temporal_axes,
                units="count",
                frame="reference",
                prose="The bird's-eye view of each of the last T sweeps, in height slices, lowest first, all in the "
                "axes at the reference time: 1 where there are points, or how many, by `binary`; 0 where a sweep is "
                "missing. After FaF (Luo et al. 2018) and MotionNet (Wu et al. 2020).",
            ),
            Feature(
                name="lidar_sweep_valid",
                dtypes=("uint8",),
                shape=("T",),
                units="flag",
                frame="none",
                prose="Whether there is a sweep for each t of lidar_bev_temporal, of any of its lidars, even one "
                "without points; 0 at the start of a log, and where a record is broken and skipped.",
            ),
        ),
    ),
)
