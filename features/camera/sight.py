"""Which points a camera sees, and on which pixels: what depth maps and lists of seen points have in common."""

from __future__ import annotations

from math import isfinite
from typing import Annotated, Any, Literal

import msgspec

from ..errors import SpecError
from ..grid import check_range
from ..lidar import CloudParams
from ..parameter import About
from ..radar import RadarCloudParams
from .camera import PlacedCameraParams

__all__ = ["LIDAR", "RADAR", "RANGE", "PixelRule", "SightParams", "check_points_range", "check_radar_axes"]
__all__ += ["meant", "placed"]

PixelRule = Literal["edge", "floor", "round", "truncate"]

LIDAR = About("The lidar points, as lidar_points has them; their axes are those of `frame`.")
RADAR = About("The radar detections, as radar_points has them; their axes are those of `frame`.")
RANGE = About("Of the frame of reference, xmin ymin zmin xmax ymax zmax, half-open; null: all points.", "m")


class SightParams(PlacedCameraParams, frozen=True, kw_only=True):
    """Which places a camera sees, and on which pixels. What is worked out is in float64."""

    depth_range: Annotated[
        tuple[float, float | None],
        About("Depths that are shown, half-open, as float32; the second null: all from the first on.", "m"),
    ] = (0.0, None)
    depth_along: Annotated[
        Literal["axis", "ray"],
        About("What a depth is. axis: how far ahead, along the camera's z axis; ray: how far from the camera (Waymo)."),
    ] = "axis"
    pixel: Annotated[
        PixelRule,
        About(
            "Which pixel a place (u, v) belongs to. edge: the one whose square it lies in, floor(u + .5); floor: "
            "floor(u), as most published code has it; round: the nearest whole number, of two the even one (BEVDet); "
            "truncate: as floor, but -1 < u < 0 is column 0 too (BEVDepth, CRN)."
        ),
    ] = "edge"
    lens: Annotated[
        Literal["picture", "none"],
        About(
            "picture: places are seen through the lens by which the picture was taken, unless `image.undistort` took "
            "it out; none: as if there were none, as published code has it, which is wrong near the border."
        ),
    ] = "picture"
    margin: Annotated[
        float | None,
        About(
            "Only what the recorded picture shows farther than this from its border: margin < u < width - margin, as "
            "nuScenes' devkit counts; null: all that the tensor's picture shows.",
            "px",
            least=0,
        ),
    ] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        low, high = self.depth_range
        if not (isfinite(low) and low >= 0 and (high is None or (isfinite(high) and low < high))):
            raise SpecError(f"depth_range must be low before high, from 0 on, got {list(self.depth_range)}")
        if self.margin is not None and not isfinite(self.margin):
            raise SpecError(f"margin must be finite, got {self.margin}")

    def sight(self) -> SightParams:
        """Returns only these parameters: the key of the builders' stage `Sight`."""
        return SightParams(**{name: getattr(self, name) for name in SightParams.__struct_fields__})


def placed(name: str, cloud: Any, frame: str) -> Any:
    """Returns a cloud's parameters with the frame of reference of those that hold them; raises SpecError where they
    name another."""
    if cloud.frame not in ("ego", frame):
        raise SpecError(f'{name}.frame is "{cloud.frame}", and frame is "{frame}": say it in `frame` alone')
    return msgspec.structs.replace(cloud, frame=frame).cloud()


def meant(params: Any, name: str, cloud: CloudParams | RadarCloudParams) -> dict[str, Any]:
    """Returns the parameters' meaning, with that of the cloud that they hold under `name`."""
    return {**params.to_dict(), name: cloud.meaning()}


def check_points_range(range_m: tuple[float, ...] | None) -> None:
    """Raises SpecError for a `range` without space."""
    if range_m is not None:
        check_range(range_m)


def check_radar_axes(frame: str, radar: RadarCloudParams) -> None:
    """Raises SpecError where frame "radar" would mean one radar to the cameras and another to the detections."""
    if frame == "radar" and (radar.sensors is not None or radar.newest != "before"):
        raise SpecError('frame "radar" is the log\'s first radar: with radar.sensors or radar.newest take frame "ego"')
