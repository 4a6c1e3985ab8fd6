"""The point cloud behind every lidar tensor: its parameters, and words that the family shares."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from ..checks import at_least, distinct, finite
from ..grid import Grid
from ..params import Params
from ..vocabulary import ReferenceFrame

__all__ = ["SURROUND", "CloudParams", "PointColumn"]

PointColumn = Literal["x", "y", "z", "intensity", "time_lag", "ring"]

SURROUND = Grid(range=(-51.2, -51.2, -5.0, 51.2, 51.2, 3.0), voxel=(0.1, 0.1, 0.2))


class CloudParams(Params, frozen=True, kw_only=True):
    """The point cloud behind a feature. Features with equal values here share one cloud."""

    sensors: tuple[str, ...] | None = None
    """The lidars to take; null: all that the log has."""
    num_sweeps: int = 1
    """Sweeps of each lidar, newest first."""
    frame: ReferenceFrame = "ego"
    """ego: the vehicle at the reference time; lidar: the primary lidar's own axes at that time."""
    intensity_mode: Literal["unit", "raw", "tanh"] = "unit"
    """unit: divided by the sensor's full scale, so in [0, 1]; raw: as recorded; tanh: tanh of the raw."""
    remove_close: float = 0.0
    """Metres r: a point with |x| < r and |y| < r in its sensor's frame is dropped, whatever its height."""
    compensate: Literal["per_point", "per_sweep"] = "per_point"
    """per_point: each point moves by the ego motion since it was measured, where the log tells when that was;
    per_sweep: a sweep moves as a whole, from its stamp."""
    nonfinite_features: Literal["zero", "drop"] = "zero"
    """A point whose intensity is not finite: its intensity becomes 0, or the point is dropped."""
    required: bool = False
    """true: a frame without a sweep is an error instead of an empty cloud."""

    def __post_init__(self) -> None:
        at_least(1, num_sweeps=self.num_sweeps)
        at_least(0, remove_close=self.remove_close)
        finite("remove_close", (self.remove_close,))
        if self.sensors is not None:
            distinct("sensors", self.sensors)

    def cloud(self) -> CloudParams:
        """Returns only the cloud's own parameters."""
        return CloudParams(**{name: getattr(self, name) for name in CloudParams.__struct_fields__})

    def parts(self) -> dict[str, Any]:
        return {"frame": self.frame}

    def count_key(self) -> CloudParams:
        """Returns the cloud as far as it decides how many points there are, for `size_key`.

        A group whose own size depends on the cloud builds its key of this and of whatever else decides: one row per
        point of `lidar_points` is ("num_points", params.count_key(), range, max_points).
        """
        # what an intensity is brought to, and whether no sweep is an error, moves no point in or out
        return msgspec.structs.replace(self.cloud(), intensity_mode="unit", required=False)
