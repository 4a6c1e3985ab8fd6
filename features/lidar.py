"""The lidar family: what each tensor is. How they are made is in builders/lidar, one file per group."""

from __future__ import annotations

from math import isfinite
from typing import Literal

import msgspec

from .errors import SpecError
from .feature import Feature
from .grid import Grid, check_range
from .params import Params

__all__ = [
    "FEATURES",
    "BevOccupancyParams",
    "BevStatsParams",
    "CloudParams",
    "Normalization",
    "PointsParams",
    "RangeImageParams",
    "VoxelsParams",
]

PointColumn = Literal["x", "y", "z", "intensity", "time_lag", "ring"]
StatsChannel = Literal["count", "density", "max_z", "min_z", "mean_z", "max_i", "mean_i", "top_i"]
RangeChannel = Literal["range", "x", "y", "z", "intensity"]
Layout = Literal["CYX", "CXY", "YXC"]

_XYZ = ("x", "y", "z")
_SURROUND = Grid(range=(-51.2, -51.2, -5.0, 51.2, 51.2, 3.0), voxel=(0.1, 0.1, 0.2))


def _at_least(low: float, **values: float | None) -> None:
    for name, value in values.items():
        # not >=, rather than <: NaN is refused too
        if value is not None and not value >= low:
            raise SpecError(f"{name} must be at least {low:g}, got {value:g}")


def _finite(name: str, values: tuple[float, ...]) -> None:
    if not all(isfinite(v) for v in values):
        raise SpecError(f"{name} must be finite, got {list(values)}")


def _distinct(name: str, values: tuple[str, ...]) -> None:
    if not values or len(set(values)) != len(values):
        raise SpecError(f"{name} must be one or more names, each once, got {list(values)}")


class CloudParams(Params, frozen=True, kw_only=True):
    """The point cloud behind a feature. Features with equal values here share one cloud."""

    sensors: tuple[str, ...] | None = None
    """The lidars to take; null: all that the log has."""
    num_sweeps: int = 1
    """Sweeps of each lidar, newest first."""
    frame: Literal["ego", "lidar"] = "ego"
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
        _at_least(1, num_sweeps=self.num_sweeps)
        _at_least(0, remove_close=self.remove_close)
        _finite("remove_close", (self.remove_close,))
        if self.sensors is not None:
            _distinct("sensors", self.sensors)

    def cloud(self) -> CloudParams:
        """Returns only the cloud's own parameters."""
        return CloudParams(**{name: getattr(self, name) for name in CloudParams.__struct_fields__})


class PointsParams(CloudParams, frozen=True, kw_only=True):
    columns: tuple[PointColumn, ...] = ("x", "y", "z", "intensity", "time_lag")
    range: tuple[float, float, float, float, float, float] | None = None
    """xmin ymin zmin xmax ymax zmax metres, half-open; null: all points."""
    max_points: int | None = None
    """Only the first so many points."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _distinct("columns", self.columns)
        _at_least(1, max_points=self.max_points)
        if self.range is not None:
            check_range(self.range)

    def dims(self) -> dict[str, int]:
        return {"C": len(self.columns)}

    def cap(self, dim: str) -> int | None:
        return self.max_points if dim == "num_points" else None


class VoxelsParams(CloudParams, frozen=True, kw_only=True):
    grid: Grid = _SURROUND
    columns: tuple[PointColumn, ...] = ("x", "y", "z", "intensity", "time_lag")
    max_points_per_voxel: int = 10
    max_voxels: int = 120_000
    overflow: Literal["continue", "break"] = "continue"
    """When max_voxels are taken and a point needs another: skip that point, or stop at it."""
    coord_order: Literal["zyx", "xyz"] = "zyx"
    min_rows: int = 0
    """Fewer voxels than this are followed by zero rows up to it, for runtimes that fail on none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _distinct("columns", self.columns)
        _at_least(1, max_points_per_voxel=self.max_points_per_voxel, max_voxels=self.max_voxels)
        _at_least(0, min_rows=self.min_rows)

    def dims(self) -> dict[str, int]:
        return {"P": self.max_points_per_voxel, "C": len(self.columns)}

    def cap(self, dim: str) -> int | None:
        return max(self.max_voxels, self.min_rows) if dim == "num_voxels" else None


class BevParams(CloudParams, frozen=True, kw_only=True):
    grid: Grid = _SURROUND
    bev_layout: Layout = "CYX"
    """The order of the axes. Row 0 is at ymin and column 0 at xmin, unless flipped."""
    flip_x: bool = False
    flip_y: bool = False

    def channels_count(self) -> int:
        raise NotImplementedError

    def dims(self) -> dict[str, int]:
        x, y, _ = self.grid.size
        axes = {"C": self.channels_count(), "Y": y, "X": x}
        return {f"D{i}": axes[axis] for i, axis in enumerate(self.bev_layout)}


class BevOccupancyParams(BevParams, frozen=True, kw_only=True):
    overflow_slices: bool = False
    """true: two more slices at the end, for points below and for points above the grid's z range."""
    binary: bool = True
    """false: the number of points, saturating at 255 in uint8."""

    def channels_count(self) -> int:
        return self.grid.size[2] + (2 if self.overflow_slices else 0)


class BevStatsParams(BevParams, frozen=True, kw_only=True):
    channels: tuple[StatsChannel, ...] = ("count", "density", "max_z", "min_z", "mean_z", "max_i", "mean_i", "top_i")
    density_cap: int = 63
    """density = min(1, ln(count + 1) / ln(density_cap + 1))."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _distinct("channels", self.channels)
        _at_least(1, density_cap=self.density_cap)

    def channels_count(self) -> int:
        return len(self.channels)


class Normalization(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """(value - mean) / std per channel, in float32; empty cells become 0."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


class RangeImageParams(Params, frozen=True, kw_only=True):
    sensor: str | None = None
    """null: the log's primary lidar."""
    rows: Literal["spherical", "ring"] = "spherical"
    """spherical: by elevation within `fov`; ring: by the beam's rank, the highest first."""
    height: int = 64
    width: int = 2048
    fov: tuple[float, float] = (3.0, -25.0)
    """The elevations of the image's upper and lower edge, degrees."""
    outside_fov: Literal["clamp", "drop"] = "clamp"
    """What becomes of a point above or below: the edge row, as published, or nothing."""
    channels: tuple[RangeChannel, ...] = ("range", "x", "y", "z", "intensity")
    xyz_frame: Literal["lidar", "ego"] = "lidar"
    """Where x, y, z are told: in the lidar's axes as measured, or in the ego frame at the reference time with the
    ego motion taken out. What the image shows, and range, are as measured either way."""
    intensity_mode: Literal["unit", "raw", "tanh"] = "unit"
    min_range: float = 0.1
    """Points nearer than this to the sensor, in metres, are dropped."""
    fill: float = -1.0
    norm: Normalization | None = None
    required: bool = False

    def __post_init__(self) -> None:
        _at_least(1, height=self.height, width=self.width)
        _at_least(0.001, min_range=self.min_range)
        _finite("fill and min_range", (self.fill, self.min_range))
        _distinct("channels", self.channels)
        if not -90 <= self.fov[1] < self.fov[0] <= 90:
            raise SpecError(f"fov must be the upper edge, then the lower, in degrees within -90..90, got {self.fov}")
        if self.norm is not None and not len(self.norm.mean) == len(self.norm.std) == len(self.channels):
            raise SpecError(f"norm wants a mean and a std for each of {list(self.channels)}")
        if self.norm is not None:
            _finite("norm's mean and std", self.norm.mean + self.norm.std)
        if self.norm is not None and 0 in self.norm.std:
            raise SpecError(f"norm: a std must not be 0, got {list(self.norm.std)}")

    def dims(self) -> dict[str, int]:
        return {"C": len(self.channels), "H": self.height, "W": self.width}


_POINTS = PointsParams()
_VOXELS = VoxelsParams()
_RANGE = RangeImageParams()
_FIRST_ROWS = "the first rows are kept"
_REF = "ego at the reference time (or the lidar's, by `frame`)"

FEATURES = (
    Feature(
        name="lidar_points",
        group="lidar_points",
        dtypes=("float32",),
        shape=("num_points", "C"),
        units="m; intensity by intensity_mode; time_lag s, >= 0 for older points",
        frame=_REF,
        params=_POINTS,
        cut=_FIRST_ROWS,
        collate="concat",
        prose="The points, newest sweep first, in the order of the record; non-finite ones are dropped.",
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
    Feature(
        name="lidar_voxels",
        group="lidar_voxels",
        dtypes=("float32",),
        shape=("num_voxels", "P", "C"),
        units="as lidar_points",
        frame=_REF,
        params=_VOXELS,
        cut=_FIRST_ROWS,
        collate="concat",
        prose="Hard voxels: the first P points of each voxel, voxels in the order in which they were first seen.",
    ),
    Feature(
        name="lidar_voxel_coords",
        group="lidar_voxels",
        dtypes=("int32",),
        shape=("num_voxels", 3),
        units="cells",
        frame=_REF,
        params=_VOXELS,
        cut=_FIRST_ROWS,
        collate="concat_with_index",
        prose="Each voxel's cell, z y x by default.",
    ),
    Feature(
        name="lidar_voxel_num_points",
        group="lidar_voxels",
        dtypes=("int32",),
        shape=("num_voxels",),
        units="points",
        frame="none",
        params=_VOXELS,
        cut=_FIRST_ROWS,
        collate="concat",
        prose="How many of a voxel's P slots are real; 0 in padding rows.",
    ),
    Feature(
        name="lidar_bev_occupancy",
        group="lidar_bev_occupancy",
        dtypes=("uint8", "float32"),
        shape=("D0", "D1", "D2"),
        units="1 where a point lies, or points",
        frame=_REF,
        params=BevOccupancyParams(),
        prose="The bird's-eye view in height slices, lowest first. After PIXOR (Yang et al. 2018).",
    ),
    Feature(
        name="lidar_bev_stats",
        group="lidar_bev_stats",
        dtypes=("float32",),
        shape=("D0", "D1", "D2"),
        units="points, m, intensity by intensity_mode",
        frame=_REF,
        params=BevStatsParams(),
        prose="Per column of the grid: counts, heights and intensities; 0 where no point lies. "
        "After MV3D (Chen et al. 2017) and Complex-YOLO (Simon et al. 2018).",
    ),
    Feature(
        name="lidar_range_image",
        group="lidar_range_image",
        dtypes=("float32",),
        shape=("C", "H", "W"),
        units="m; intensity by intensity_mode",
        frame="the lidar's, as measured (x y z: by `xyz_frame`)",
        params=_RANGE,
        fill=-1,
        prose="The newest sweep as its sensor sees it; the nearest return wins, the first of equals. "
        "Column W/2 looks along +x, columns run clockwise. After RangeNet++ (Milioto et al. 2019), in float64.",
    ),
    Feature(
        name="lidar_range_image_mask",
        group="lidar_range_image",
        dtypes=("uint8",),
        shape=("H", "W"),
        units="1 where a return lies",
        frame="the lidar's, as measured",
        params=_RANGE,
        prose="Which cells of lidar_range_image are real.",
    ),
    Feature(
        name="lidar_range_image_index",
        group="lidar_range_image",
        dtypes=("int32",),
        shape=("H", "W"),
        units="point number",
        frame="none",
        params=_RANGE,
        fill=-1,
        prose="Which point a cell shows, counted over the sweep's finite points; -1 where none.",
    ),
)
