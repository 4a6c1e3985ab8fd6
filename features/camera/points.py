"""lidar_camera_pixels and radar_camera_points: which points a camera sees, one by one."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated, Any, Literal

from .. import drawings
from ..checks import distinct
from ..collate import Concat
from ..feature import Axes, Feature
from ..group import Group
from ..lidar import CloudParams
from ..parameter import About
from ..radar import RadarCloudParams, RadarColumn, width_of
from .presets import LIDAR_PIXELS, RADAR_POINTS
from .sight import LIDAR, RADAR, RANGE, SightParams, check_points_range, check_radar_axes, meant, placed

__all__ = ["GROUPS", "CameraRadarColumn", "LidarPixelsParams", "RadarCameraPointsParams", "SeenColumn"]

SeenColumn = Literal["u", "v", "depth"]
"""What a camera adds to a point."""

CameraRadarColumn = Literal[SeenColumn, RadarColumn]

SEEN: tuple[SeenColumn, ...] = ("u", "v", "depth")


class LidarPixelsParams(SightParams, frozen=True, kw_only=True):
    lidar: Annotated[CloudParams, LIDAR] = CloudParams()
    range: Annotated[tuple[float, float, float, float, float, float] | None, RANGE] = None
    max_points: Annotated[
        int | None, About("At most this many points, the first ones; null: all.", "count", least=1)
    ] = None
    take: Annotated[
        Literal["first", "middle", "all"],
        About(
            "What a point is given that several cameras see. first: the pixel of the first of them, in the order of "
            "`image.cameras`; middle: of the one in whose picture it is nearest to the middle; all: those of all."
        ),
    ] = "first"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_points_range(self.range)
        self.cloud()

    def cloud(self) -> CloudParams:
        """Returns the parameters of the points."""
        cloud: CloudParams = placed("lidar", self.lidar, self.frame)
        return cloud

    def meaning(self) -> dict[str, Any]:
        return meant(self, "lidar", self.cloud())

    def column_names(self) -> tuple[str, ...]:
        return SEEN

    def cap(self, dim: str) -> int | None:
        return self.max_points if dim == "num_points" else None

    def size_key(self, dim: str) -> Hashable:
        if dim != "num_points":
            return super().size_key(dim)
        # as lidar_points': there is a row for each of its rows
        return (dim, self.cloud().count_key(), self.range, self.max_points)


class RadarCameraPointsParams(SightParams, frozen=True, kw_only=True):
    radar: Annotated[RadarCloudParams, RADAR] = RadarCloudParams()
    range: Annotated[tuple[float, float, float, float, float, float] | None, RANGE] = None
    columns: Annotated[
        tuple[CameraRadarColumn, ...],
        About(
            "What a row holds, in order; the pixel and the depth are the camera's; a block of columns counts as one."
        ),
    ] = ("u", "v", "depth", "rcs", "vx_comp", "vy_comp", "sweep")
    max_points: Annotated[int, About("Rows per camera; of more detections the first ones.", "count", least=1)] = 1536

    def __post_init__(self) -> None:
        super().__post_init__()
        check_points_range(self.range)
        distinct("columns", self.columns)
        check_radar_axes(self.frame, self.radar)
        self.cloud()

    def cloud(self) -> RadarCloudParams:
        """Returns the parameters of the detections."""
        cloud: RadarCloudParams = placed("radar", self.radar, self.frame)
        return cloud

    def meaning(self) -> dict[str, Any]:
        return meant(self, "radar", self.cloud())

    def radar_columns(self) -> tuple[RadarColumn, ...]:
        """Returns the columns that the radar knows."""
        return tuple(name for name in self.columns if name != "u" and name != "v" and name != "depth")

    def dims(self) -> dict[str, int]:
        of_radar = self.radar_columns()
        width = len(self.columns) - len(of_radar) + width_of(of_radar)
        return {**super().dims(), "Q": self.max_points, "C": width}

    def decided_by(self, dim: str) -> tuple[str, ...]:
        return {"Q": ("max_points",), "C": ("columns",)}.get(dim) or super().decided_by(dim)


def pixel_axes(params: LidarPixelsParams) -> Axes:
    """Returns the axes of the pixels of points, by `take`."""
    return (*number_axes(params), 3)


def number_axes(params: LidarPixelsParams) -> Axes:
    """Returns the axes of the cameras of points, by `take`."""
    return ("num_points", "num_cameras") if params.take == "all" else ("num_points",)


GROUPS = (
    Group(
        name="lidar_camera_pixels",
        params=LidarPixelsParams(),
        drawing=drawings.lidar_camera_pixels,
        presets=LIDAR_PIXELS,
        features=(
            Feature(
                name="lidar_camera_pixels",
                dtypes=("float32",),
                shape=pixel_axes,
                units="mixed",
                frame="image",
                cut="first_rows",
                collate=Concat(),
                rows_of="lidar_points",
                prose="For each row of lidar_points of the same points: on which pixel of its camera's picture it "
                "falls, u, v and the depth; all 0 where no camera sees it. What a model paints points with: image "
                "features or scores at (v, u) of the picture that lidar_camera_index names. A point that another "
                "hides is seen too.",
            ),
            Feature(
                name="lidar_camera_index",
                dtypes=("int32",),
                shape=number_axes,
                units="index",
                frame="none",
                fill=-1,
                cut="first_rows",
                collate=Concat(),
                rows_of="lidar_points",
                prose="For each row of lidar_camera_pixels the number of its camera, from 0 in the order of "
                '`image.cameras` or of the log; -1 where no camera sees the point. With take "all" that of each '
                "camera that does, in its own column.",
            ),
        ),
    ),
    Group(
        name="radar_camera_points",
        params=RadarCameraPointsParams(),
        drawing=drawings.radar_camera_points,
        presets=RADAR_POINTS,
        features=(
            Feature(
                name="radar_camera_points",
                dtypes=("float32",),
                shape=("num_cameras", "Q", "C"),
                units="mixed",
                frame="image",
                prose="Per camera the detections that it sees, in the order of radar_points, with the pixels and "
                "depths where they fall; the rows behind them are 0. Velocities have the axes that "
                "`radar.velocity_axes` says.",
            ),
            Feature(
                name="radar_camera_num_points",
                dtypes=("int32",),
                shape=("num_cameras",),
                units="count",
                frame="none",
                prose="How many rows of each camera are real.",
            ),
        ),
    ),
)
