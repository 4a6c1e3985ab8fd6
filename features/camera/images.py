"""camera_images, camera_valid and camera_time_lag."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from .. import drawings
from ..errors import SpecError
from ..feature import Axes, Feature
from ..group import Group
from ..parameter import About
from .camera import CAMERA_AXIS, CameraParams
from .norms import BGR_NORMS, NORMS, NORMS_IN_NUMBERS, ImageNorm, NormName
from .presets import IMAGES

__all__ = ["GROUPS", "CameraImagesParams", "Resampler"]

Resampler = Literal["pil_bilinear", "pil_bicubic", "cv2_linear"]


class CameraImagesParams(CameraParams, frozen=True, kw_only=True):
    camera_axis: Annotated[bool, CAMERA_AXIS] = True
    layout: Annotated[Literal["CHW", "HWC"], About("Channels first, as for PyTorch, or last, as for TensorFlow.")] = (
        "CHW"
    )
    channel_order: Annotated[Literal["RGB", "BGR"], About("The order of the colours.")] = "RGB"
    resampler: Annotated[
        Resampler,
        About(
            "How pixels are worked out that lie between others, to the last bit: pil_bilinear and pil_bicubic, as "
            "Pillow's resize, which takes the mean of what becomes smaller (rotating: the nearest pixel, as its "
            "rotate); cv2_linear, as OpenCV's INTER_LINEAR, which does not."
        ),
    ] = "pil_bilinear"
    norm: Annotated[
        ImageNorm | NormName | None,
        About(
            f"How values are scaled, by name or in numbers; null: they are from 0 to 255. {NORMS_IN_NUMBERS}.",
        ),
    ] = None
    norm_at: Annotated[
        Literal["end", "start"],
        About(
            "end: the finished picture is scaled, and what is black is scaled as such, but for padding, which is 0; "
            "start: what was decoded is scaled, and resampled in float32, as BEVFormer does; cv2_linear only."
        ),
    ] = "end"
    decode: Annotated[
        Literal["full", "reduced"],
        About(
            "reduced: a picture that is made smaller than half is decoded at a half, a quarter or an eighth first, by "
            "the means of its blocks; a mode of its own, not equal to the full one, and faster. Real pictures at 0.48: "
            "1 to 2 levels apart on average with Pillow's resamplers, one value in a thousand by more than 32; with "
            "cv2_linear, which looks at two pixels only, 2 and 50; smaller ones differ by more."
        ),
    ] = "full"
    compose: Annotated[
        bool,
        About(
            "true: undistortion, resize, crop, flip and rotation are one resampling, linear between four pixels, and "
            "not one after the other; not equal to that, faster, and less blurred."
        ),
    ] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.camera_axis and (self.image.cameras is None or len(self.image.cameras) != 1):
            raise SpecError("camera_axis false wants one camera, named by image.cameras")
        if self.norm in BGR_NORMS and self.channel_order != "BGR":
            raise SpecError(
                f'norm "{self.norm}" has numbers for channel_order "BGR", which is "{self.channel_order}": set '
                "channel_order, or give the norm in numbers"
            )
        if self.norm_at == "start" and (self.norm is None or self.resampler != "cv2_linear"):
            raise SpecError('norm_at "start" scales before resampling: it wants a norm, and resampler "cv2_linear"')
        if self.compose and (self.norm_at == "start" or self.decode == "reduced"):
            raise SpecError('compose wants norm_at "end" and decode "full"')

    def scaling(self) -> ImageNorm | None:
        """Returns the norm in numbers."""
        return NORMS[self.norm] if isinstance(self.norm, str) else self.norm

    def meaning(self) -> dict[str, Any]:
        """With the norm in numbers: equal ones mean the same, whatever they are called."""
        norm = self.scaling()
        return {**self.to_dict(), "norm": None if norm is None else msgspec.to_builtins(norm)}


def picture_axes(params: CameraImagesParams) -> Axes:
    """Returns the axes of pictures, by `layout` and `camera_axis`."""
    size: Axes = ("image_height", "image_width")
    picture = (3, *size) if params.layout == "CHW" else (*size, 3)
    return ("num_cameras", *picture) if params.camera_axis else picture


GROUPS = (
    Group(
        name="camera_images",
        params=CameraImagesParams(),
        drawing=drawings.camera_images,
        presets=IMAGES,
        features=(
            Feature(
                name="camera_images",
                dtypes=("float32", "uint8"),
                shape=picture_axes,
                units="none",
                frame="image",
                cut="first_rows",
                prose="The pictures, each the one nearest to the reference time within the log's tolerance. Of a "
                "camera without one, or whose picture is broken in a log that skips those, all is 0: see camera_valid. "
                "uint8 holds them from 0 to 255, and wants norm null.",
            ),
            Feature(
                name="camera_valid",
                dtypes=("uint8",),
                shape=("num_cameras",),
                units="flag",
                frame="none",
                cut="first_rows",
                prose="Per camera, whether the frame has a picture of it that can be decoded. 0 is one of two: the "
                "frame has none, and then its matrices are the identity and its depths and time lag 0; or, in a log "
                "that skips what is broken, it does not decode, and then only camera_images is 0.",
            ),
            Feature(
                name="camera_time_lag",
                dtypes=("float32",),
                shape=("num_cameras",),
                units="s",
                frame="none",
                cut="first_rows",
                prose="Per camera, how long before the reference time its picture was taken; negative if after, 0 "
                "where there is none. That of a picture that does not decode is known too.",
            ),
        ),
    ),
)
