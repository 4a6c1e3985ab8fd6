"""What all camera features share: their cameras and what is done to their pictures."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated, Any, Literal

from ..parameter import About
from ..params import Params
from .image import ImageParams

__all__ = ["CAMERA_AXIS", "CameraFrame", "CameraParams", "PlacedCameraParams"]

CameraFrame = Literal["ego", "lidar", "radar"]

CAMERA_AXIS = About(
    "The first axis counts cameras; false: there is no such axis, and `image.cameras` names one camera."
)


class CameraParams(Params, frozen=True, kw_only=True):
    """Which cameras, and what is done to their pictures: the same for all rows of one suffix."""

    image: Annotated[ImageParams, About("Which cameras, and what is done to their pictures.")] = ImageParams()
    required: Annotated[
        bool,
        About(
            "true: a frame without a picture of one of the cameras is an error; so is a named camera that a log lacks."
        ),
    ] = False

    def parts(self) -> dict[str, Any]:
        return {"image": self.image}

    def dims(self) -> dict[str, int]:
        image = self.image
        cameras = {} if image.cameras is None else {"num_cameras": len(image.cameras)}
        size = image.size()
        return cameras if size is None else {**cameras, "image_height": size[0], "image_width": size[1]}

    def decided_by(self, dim: str) -> tuple[str, ...]:
        return ("image",) if dim in ("num_cameras", "image_height", "image_width") else ()

    def fixed_by(self, dim: str) -> str:
        if dim == "num_cameras":
            return "name image.cameras"
        if dim in ("image_height", "image_width"):
            return "give image.resize as a height and a width, image.crop or image.pad"
        return super().fixed_by(dim)

    def size_key(self, dim: str) -> Hashable:
        if dim == "num_cameras":
            # a log's cameras are the same for all that does not name its own
            return (dim, self.image.cameras)
        return (dim, self.image) if dim in ("image_height", "image_width") else super().size_key(dim)


class PlacedCameraParams(CameraParams, frozen=True, kw_only=True):
    """In which axes places are that a camera sees, and whether the ego motion is taken out."""

    frame: Annotated[
        CameraFrame,
        About("ego: the vehicle at the reference time; lidar, radar: the primary lidar's or radar's own axes then."),
    ] = "ego"
    motion_compensated: Annotated[
        bool,
        About(
            "true: a camera lies where it was when it took its picture, seen from the reference time, by the log's "
            "poses; false: where it is mounted, as if picture and reference were of one time."
        ),
    ] = True

    def parts(self) -> dict[str, Any]:
        return {**super().parts(), "frame": self.frame}
