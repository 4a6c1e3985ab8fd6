"""camera_depth."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated, Any, Literal

from .. import drawings
from ..checks import finite
from ..errors import SpecError
from ..feature import Axes, Feature
from ..group import Group
from ..lidar import CloudParams
from ..parameter import About
from ..radar import RadarCloudParams
from .presets import DEPTH
from .sight import LIDAR, RADAR, RANGE, SightParams, check_points_range, check_radar_axes, meant, placed

__all__ = ["GROUPS", "DepthParams"]


class DepthParams(SightParams, frozen=True, kw_only=True):
    source: Annotated[Literal["lidar", "radar"], About("Whose points are shown.")] = "lidar"
    lidar: Annotated[CloudParams, LIDAR] = CloudParams()
    radar: Annotated[RadarCloudParams, RADAR] = RadarCloudParams()
    range: Annotated[tuple[float, float, float, float, float, float] | None, RANGE] = None
    heights: Annotated[
        tuple[float, ...] | None,
        About(
            "Each point is shown at each of these z of the frame of reference, and not at its own, of which a radar "
            "knows little (BEVFusion: 0.25 to 2 m); null: at its own.",
            "m",
        ),
    ] = None
    depth_range: Annotated[
        tuple[float, float | None],
        About("Depths that are shown, half-open, as float32; the second null: all from the first on.", "m"),
    ] = (1.0, 60.0)
    stride: Annotated[
        int, About("How many pixels, along and across, one number stands for: an edge.", "px", least=1)
    ] = 1
    collision: Annotated[
        Literal["nearest", "last", "last_of_pixel"],
        About(
            "Which of several points on one number is shown. nearest; last: in the order of lidar_points or "
            "radar_points (BEVFusion); last_of_pixel: of each pixel the last, and of the pixels of a `stride` the "
            "nearest (BEVDepth, CRN)."
        ),
    ] = "nearest"
    layout: Annotated[Literal["KHW", "K1HW"], About("K1HW has an axis of one channel.")] = "KHW"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_points_range(self.range)
        if self.heights is not None:
            finite("heights", self.heights)
            if not self.heights:
                raise SpecError("heights must be one or more, or null")
        other = "radar" if self.source == "lidar" else "lidar"
        if getattr(self, other) != (RadarCloudParams() if other == "radar" else CloudParams()):
            raise SpecError(f'the parameters of {other} change nothing: source is "{self.source}"')
        if self.source == "radar":
            check_radar_axes(self.frame, self.radar)
        self.cloud()

    def cloud(self) -> Any:
        """Returns the parameters of the points, CloudParams or RadarCloudParams."""
        return placed(self.source, getattr(self, self.source), self.frame)

    def meaning(self) -> dict[str, Any]:
        return meant(self, self.source, self.cloud())

    def axes(self) -> tuple[str, str]:
        """Returns the names of the last two axes: those of the pictures, where there is a number per pixel."""
        return ("image_height", "image_width") if self.stride == 1 else ("depth_height", "depth_width")

    def dims(self) -> dict[str, int]:
        size = self.image.size()
        if size is None or self.stride == 1:
            return super().dims()
        height, width = size[0] // self.stride, size[1] // self.stride
        if not (height and width):
            raise SpecError(f"stride {self.stride} is larger than the picture, {size[0]} x {size[1]}")
        return {**super().dims(), "depth_height": height, "depth_width": width}

    def decided_by(self, dim: str) -> tuple[str, ...]:
        return ("image", "stride") if dim in ("depth_height", "depth_width") else super().decided_by(dim)

    def size_key(self, dim: str) -> Hashable:
        return (dim, self.image, self.stride) if dim in ("depth_height", "depth_width") else super().size_key(dim)


def depth_axes(params: DepthParams) -> Axes:
    """Returns the axes of depth maps, by `layout` and `stride`."""
    return ("num_cameras", *((1,) if params.layout == "K1HW" else ()), *params.axes())


GROUPS = (
    Group(
        name="camera_depth",
        params=DepthParams(),
        drawing=drawings.camera_depth,
        presets=DEPTH,
        features=(
            Feature(
                name="camera_depth",
                dtypes=("float32",),
                shape=depth_axes,
                units="m",
                frame="image",
                prose="Per pixel, or square of `stride` pixels, how far a point is that falls there; 0 where none "
                "does. Points behind a camera are not shown, nor those that another hides on the same number; what is "
                "hidden otherwise is not known. In what `image.pad` adds nothing is shown, nor where a rotated picture "
                "or a crop beyond it is black. Rows and columns that are no whole stride are left out. Of a camera "
                "that the frame has no picture of all is 0; where there is one that does not decode the depths are as "
                "of any other, though camera_valid is 0.",
            ),
        ),
    ),
)
