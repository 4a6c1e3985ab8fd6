"""What is done to a picture: the part on which all camera features of one suffix agree, and what follows of it."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, floor, radians, sin
from typing import Annotated, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..checks import distinct, finite
from ..errors import SpecError
from ..parameter import About

__all__ = ["ImageParams", "ImageTransform", "PixelConvention"]

PixelConvention = Literal["center", "published"]

_MOST_PX = 2**15
"""Along an edge: OpenCV's and Pillow's tables count in int16 and int32."""

_MIDDLE = (0.5, 0.5)
"""Where a crop lies if nothing is said."""


@dataclass(frozen=True)
class ImageTransform:
    """What is done to pictures of one size, in whole pixels: resize, crop, flip, rotate, pad, in that order.

    The picture and everything that speaks of its pixels follow from this one value.
    """

    source: tuple[int, int]
    """Height and width of the picture as it was recorded, px; the next ones too are height before width."""
    resized: tuple[int, int]
    scale: tuple[float, float]
    """By how much matrices are scaled, along y and x."""
    crop: tuple[int, int, int, int]
    """Top, left, height and width within the resized picture; what lies beyond it is black."""
    flip: bool = False
    rotate_deg: float = 0.0
    padded: tuple[int, int] | None = None
    """The size of the result, where black is added below and to the right; None: that of the crop."""
    pixel_convention: PixelConvention = "center"

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the result."""
        return self.padded or self.crop[2:]

    def matrix(self) -> NDArray[np.float64]:
        """Returns (3, 3) float64: from a pixel (u, v, 1) of the recorded picture to one of the result.

        center: pixel centres lie at whole numbers before and after, as cameras are calibrated: u' = s (u + .5) - .5,
        and flipping gives width - 1 - u. That is where resamplers bring a pixel. published: u' = s u and width - u, as
        the published pipelines write it; off by half a pixel times (1 - s).
        """
        half = 0.5 if self.pixel_convention == "center" else 0.0
        (scale_y, scale_x), (top, left, height, width) = self.scale, self.crop
        matrix = np.array(
            [
                [scale_x, 0.0, half * scale_x - half - left],
                [0.0, scale_y, half * scale_y - half - top],
                [0.0, 0.0, 1.0],
            ]
        )
        if self.flip:
            matrix = np.array([[-1.0, 0.0, width - 2 * half], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]) @ matrix
        if self.rotate_deg % 360:
            c, s = cos(radians(self.rotate_deg)), sin(radians(self.rotate_deg))
            u, v = width / 2 - half, height / 2 - half
            turn = np.array([[c, s, u - c * u - s * v], [-s, c, v + s * u - c * v], [0.0, 0.0, 1.0]])
            matrix = turn @ matrix
        return matrix


class ImageParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which cameras, and what is done to their pictures, in this order: undistort, resize, crop, flip, rotate, pad."""

    cameras: Annotated[
        tuple[str, ...] | None,
        About("The cameras, in order, by their names in the log; null: all that the log has, in its order."),
    ] = None
    undistort: Annotated[
        bool,
        About(
            "true: the lens is taken out of the picture, which has the same size; the intrinsics stay what they are, "
            "unless `new_intrinsics` are given. Black where nothing was recorded."
        ),
    ] = False
    new_intrinsics: Annotated[
        tuple[float, float, float, float] | None,
        About("fx fy cx cy of the undistorted pictures; null: the camera's own.", "px"),
    ] = None
    resize: Annotated[
        float | tuple[int, int] | Literal["cover"] | None,
        About(
            "A number: so many times the recorded size. Two whole numbers: that height and width. cover: so that "
            "`crop` is just filled, the larger of the two ratios. null: as recorded."
        ),
    ] = None
    resize_rounding: Annotated[
        Literal["truncate", "round"],
        About("How a size that is no whole number becomes one: int(s), as loaders with Pillow do; int(s + .5), mmcv."),
    ] = "truncate"
    matrix_scale: Annotated[
        Literal["sizes", "factor"],
        About(
            "How matrices are scaled. sizes: by the new size over the old one, along each axis, which is what happened "
            "to the picture; factor: by the factor of which the sizes were rounded, as published."
        ),
    ] = "sizes"
    crop: Annotated[tuple[int, int] | None, About("Height and width of what is cut out; null: everything.", "px")] = (
        None
    )
    crop_at: Annotated[
        tuple[float, float],
        About(
            "Which share of what is cut away lies above and to the left, rounded down: 0 to 1. BEVDet and BEVFusion: "
            "1 and 0.5, the lower edge and the middle.",
            "ratio",
        ),
    ] = _MIDDLE
    crop_offset: Annotated[
        tuple[int, int] | None,
        About("Top and left of what is cut out, instead of `crop_at`; may be below 0.", "px"),
    ] = None
    crop_beyond: Annotated[
        Literal["error", "black"],
        About("What a crop is that reaches beyond the picture: an error, or black there."),
    ] = "error"
    flip: Annotated[bool, About("true: left and right are exchanged.")] = False
    rotate: Annotated[
        float,
        About("Counterclockwise about the crop's middle, black in its corners.", "deg"),
    ] = 0.0
    pad: Annotated[
        tuple[int, int] | None,
        About(
            "Height and width up to which black is added below and to the right; null: as `pad_multiple` says.", "px"
        ),
    ] = None
    pad_multiple: Annotated[
        int, About("Black is added up to the next multiple of this, below and to the right.", "px", least=1)
    ] = 1
    pixel_convention: Annotated[
        PixelConvention,
        About(
            "How matrices follow. center: pixel centres lie at whole numbers, u' = s (u + .5) - .5, flipped width - 1 "
            "- u, which is where pixels go; published: u' = s u and width - u, as the published pipelines have it."
        ),
    ] = "center"

    def __post_init__(self) -> None:
        # left out of plain data, and of fingerprints, is what is the default itself: a 0.5 that is said is another
        for name, default in zip(self.__struct_fields__, self.__struct_defaults__, strict=True):
            if getattr(self, name) == default:
                msgspec.structs.force_setattr(self, name, default)
        if self.cameras is not None:
            distinct("image.cameras", self.cameras)
        if self.new_intrinsics is not None:
            finite("image.new_intrinsics", self.new_intrinsics)
            if not self.undistort:
                raise SpecError("image.new_intrinsics are those of undistorted pictures: set image.undistort too")
            if min(self.new_intrinsics[:2]) <= 0:
                raise SpecError(f"image.new_intrinsics: focal lengths must be above 0, got {self.new_intrinsics[:2]}")
        self._check_resize()
        for name in ("crop", "pad"):
            size = getattr(self, name)
            if size is not None:
                _check_size(name, size)
        self._check_crop_place()
        if not all(0 <= share <= 1 for share in self.crop_at):
            raise SpecError(f"image.crop_at must be two shares from 0 to 1, got {list(self.crop_at)}")
        finite("image.rotate", (self.rotate,))
        if self.pad_multiple < 1:
            raise SpecError(f"image.pad_multiple must be at least 1, got {self.pad_multiple}")
        if self.pad_multiple > _MOST_PX:
            raise SpecError(f"image.pad_multiple must be at most {_MOST_PX}, got {self.pad_multiple}")
        if self.pad is not None and self.pad_multiple != 1:
            raise SpecError("image.pad and image.pad_multiple both say how large the result is: set one of them")
        size = self._cut()
        if size is not None and self.pad is not None and (self.pad[0] < size[0] or self.pad[1] < size[1]):
            raise SpecError(f"image.pad {list(self.pad)} is smaller than the picture, {list(size)}; crop it")
        if isinstance(self.resize, tuple):
            # what is cut of a picture that is resized to a size is known before there is one
            self._crop(self.resize)

    def _check_crop_place(self) -> None:
        moved = self.crop_at != _MIDDLE
        if self.crop is None and (moved or self.crop_offset is not None):
            name = "crop_at" if moved else "crop_offset"
            raise SpecError(f"image.{name} says where image.crop lies: set that too")
        if moved and self.crop_offset is not None:
            raise SpecError(
                "image.crop_at and image.crop_offset both say where image.crop lies: set one of them; beside a preset "
                f"that sets the other, null for crop_offset or {list(_MIDDLE)} for crop_at"
            )

    def _check_resize(self) -> None:
        resize = self.resize
        if isinstance(resize, tuple):
            _check_size("resize", resize)
        elif resize == "cover":
            if self.crop is None:
                raise SpecError('image.resize "cover" fills image.crop: set that too')
        elif resize is not None and not (isinstance(resize, (int, float)) and 0 < resize <= _MOST_PX):
            raise SpecError(f"image.resize must be above 0, got {resize}")

    def _cut(self) -> tuple[int, int] | None:
        """The size before black is added, as far as the parameters alone decide it."""
        return self.crop or (self.resize if isinstance(self.resize, tuple) else None)

    def size(self) -> tuple[int, int] | None:
        """Returns height and width of the result; None where they follow from the pictures'."""
        size = self.pad or self._cut()
        return None if size is None else self._up(size)

    def _up(self, size: tuple[int, int]) -> tuple[int, int]:
        many = self.pad_multiple
        return -(-size[0] // many) * many, -(-size[1] // many) * many

    def new_camera_matrix(self) -> NDArray[np.float64] | None:
        """Returns `new_intrinsics` as (3, 3) float64, px; None where the camera's own stay."""
        if self.new_intrinsics is None:
            return None
        fx, fy, cx, cy = self.new_intrinsics
        return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])

    @property
    def changes(self) -> bool:
        """Whether a result's pixels lie elsewhere than the picture's, so that matrices need to know its size."""
        return self.resize is not None or self.crop is not None or self.flip or self.rotate != 0

    def transform(self, height: int, width: int) -> ImageTransform:
        """Returns what is done to a picture of this size; raises SpecError where that cannot be done."""
        resized, scale = self._resized(height, width)
        crop = self._crop(resized)
        size = self.pad or self._up(crop[2:])
        if size[0] < crop[2] or size[1] < crop[3]:
            raise SpecError(f"image.pad {list(size)} is smaller than the picture, {list(crop[2:])}; crop it")
        return ImageTransform(
            source=(height, width),
            resized=resized,
            scale=scale,
            crop=crop,
            flip=self.flip,
            rotate_deg=self.rotate,
            padded=None if size == crop[2:] else size,
            pixel_convention=self.pixel_convention,
        )

    def _resized(self, height: int, width: int) -> tuple[tuple[int, int], tuple[float, float]]:
        if self.resize is None:
            return (height, width), (1.0, 1.0)
        if isinstance(self.resize, tuple):
            new, factors = self.resize, (self.resize[0] / height, self.resize[1] / width)
        else:
            if self.resize == "cover":
                assert self.crop is not None
                factor = max(self.crop[0] / height, self.crop[1] / width)
            else:
                factor = float(self.resize)
            more = 0.5 if self.resize_rounding == "round" else 0.0
            new, factors = (int(height * factor + more), int(width * factor + more)), (factor, factor)
        if not 0 < min(new) <= max(new) <= _MOST_PX:
            raise SpecError(f"image.resize {self.resize} makes {new[0]} x {new[1]} of {height} x {width} pixels")
        if self.matrix_scale == "sizes":
            factors = (new[0] / height, new[1] / width)
        return new, factors

    def _crop(self, resized: tuple[int, int]) -> tuple[int, int, int, int]:
        if self.crop is None:
            return (0, 0, *resized)
        height, width = self.crop
        if self.crop_offset is not None:
            top, left = self.crop_offset
        else:
            top, left = (
                floor(share * max(0, size - cut))
                for share, size, cut in zip(self.crop_at, resized, self.crop, strict=True)
            )
        inside = top >= 0 and left >= 0 and top + height <= resized[0] and left + width <= resized[1]
        if not inside and self.crop_beyond == "error":
            raise SpecError(
                f"the crop of rows {top} to {top + height} and columns {left} to {left + width} reaches beyond the "
                f'picture, {resized[0]} x {resized[1]} after resizing; image.crop_beyond "black" allows it'
            )
        return top, left, height, width


def _check_size(name: str, size: tuple[int, int]) -> None:
    if not all(0 < edge <= _MOST_PX for edge in size):
        raise SpecError(f"image.{name} must be a height and a width from 1 to {_MOST_PX}, got {list(size)}")
