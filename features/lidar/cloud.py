"""The point cloud behind every lidar tensor: its parameters, and words that the family shares."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec

from ..checks import distinct, finite
from ..grid import Grid
from ..parameter import About
from ..reference import ReferenceParams

__all__ = ["INTENSITY_MODE", "REQUIRED", "SURROUND", "CloudParams", "IntensityMode", "PointColumn"]

PointColumn = Literal[
    "x",
    "y",
    "z",
    "intensity",
    "time_lag",
    "ring",
    "elongation",
    "return_index",
    "offset_ns",
    "height_above_ground",
]

IntensityMode = Literal["unit", "raw", "tanh"]

INTENSITY_MODE = About(
    "unit: divided by the sensor's full scale, so in [0, 1]; raw: as recorded; tanh: tanh of the raw."
)
SENSORS = About(
    "The lidars to take; null: all that the log has. One that the log lacks has no points, which is reported once; "
    "where the log has others and none of these, that is an error."
)
REQUIRED = About(
    "true: a frame without a sweep is an error instead of an empty tensor; so is a named lidar that a log lacks."
)

SURROUND = Grid(range=(-51.2, -51.2, -5.0, 51.2, 51.2, 3.0), voxel=(0.1, 0.1, 0.2))


class CloudParams(ReferenceParams, frozen=True, kw_only=True):
    """The point cloud behind a feature. Features with equal values here share one cloud."""

    sensors: Annotated[tuple[str, ...] | None, SENSORS] = None
    num_sweeps: Annotated[int, About("Sweeps of each lidar, newest first.", "count", least=1)] = 1
    sweeps: Annotated[
        Literal["all", "keyframes"],
        About(
            "all: the newest sweeps; keyframes: of each of the log's newest frames the sweep that was its newest, "
            "as nuScenes' annotated samples."
        ),
    ] = "all"
    sweep_step: Annotated[int, About("Only every so many-th of these sweeps, beginning with the newest.", least=1)] = 1
    intensity_mode: Annotated[IntensityMode, INTENSITY_MODE] = "unit"
    remove_close: Annotated[
        float,
        About(
            "A point with |x| and |y| below this in its sensor's frame is dropped, whatever its height.", "m", least=0
        ),
    ] = 0.0
    remove_close_of: Annotated[
        Literal["all", "past"],
        About(
            "From which sweeps `remove_close` drops points: all, as nuScenes' devkit does; past: all but the newest of "
            "each lidar, as OpenPCDet, mmdetection3d and CenterPoint do."
        ),
    ] = "all"
    compensate: Annotated[
        Literal["per_point", "per_sweep"],
        About(
            "per_point: each point moves by the ego motion since it was measured, where the log says when that was; "
            "per_sweep: a sweep moves as a whole, from its stamp."
        ),
    ] = "per_point"
    nonfinite_features: Annotated[
        Literal["zero", "drop"],
        About("A point whose intensity is not finite: its intensity becomes 0, or the point is dropped."),
    ] = "zero"
    missing_columns: Annotated[
        Literal["fill", "error"],
        About(
            "A column that a sweep lacks: ring is -1, intensity, elongation, return_index and offset_ns are 0; or an "
            "error that says what there is."
        ),
    ] = "fill"
    required: Annotated[bool, REQUIRED] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        finite("remove_close", (self.remove_close,))
        if self.sensors is not None:
            distinct("sensors", self.sensors)

    takes_only_columns: ClassVar[bool] = False
    """Whether the group's tensors take nothing of the cloud beside x, y, z and their `columns`: then a `ground` that
    changes nothing costs no cloud of its own."""

    def cloud(self) -> CloudParams:
        """Returns only the cloud's own parameters, without the ground where it is known to change nothing."""
        own = {name: getattr(self, name) for name in CloudParams.__struct_fields__}
        if self.takes_only_columns and "height_above_ground" not in self.column_names():
            own |= msgspec.structs.asdict(self.place_key())
        return CloudParams(**own)

    def count_key(self) -> CloudParams:
        """Returns the cloud as far as it decides how many points there are, for `size_key`.

        A group whose own size depends on the cloud builds its key of this and of whatever else decides: one row per
        point of `lidar_points` is ("num_points", params.count_key(), range, max_points).
        """
        # what an intensity is brought to, and whether no sweep is an error, moves no point in or out
        place = msgspec.structs.asdict(self.place_key())
        same: dict[str, Any] = {"intensity_mode": "unit", "missing_columns": "fill", "required": False}
        return msgspec.structs.replace(self.cloud(), **place, **same)
