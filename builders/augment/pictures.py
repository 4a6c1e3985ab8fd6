"""What a draw does to one camera's picture, beside what the plan does to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from perceptum.features import SpecError
from perceptum.features.camera import ImageParams, ImageTransform

from ..sample import Draw
from .augment import Augment

__all__ = ["PictureChange", "check_sizes"]


@dataclass(frozen=True)
class PictureChange:
    """Drawn for one camera of one sample."""

    resize: float = 1.0
    """The plan's own resize is multiplied by it."""
    crop_at: tuple[float, float] | None = None
    """In place of where the plan has the crop; None: there."""
    flip: bool = False
    rotate_deg: float = 0.0

    @classmethod
    def drawn(cls, augment: Augment, draw: Draw, camera: str) -> PictureChange:
        # in which each of them has its own place, used or not
        resize, top, left, flip, rotate = draw.numbers(f"image {camera}", 5)
        crop: Any = augment.image_crop
        return cls(
            resize=_within(augment.image_resize, resize, 1.0),
            crop_at=None if crop is None else (_within(crop[0], top), _within(crop[1], left)),
            flip=flip < augment.image_flip,
            rotate_deg=_within(augment.image_rotate, rotate),
        )

    def transform(self, image: ImageParams, height: int, width: int) -> ImageTransform:
        """Returns what is done to a picture of this size; what a crop has beyond it is black. Raises SpecError."""
        changed: dict[str, Any] = {"crop_beyond": "black", "flip": image.flip != self.flip}
        if self.resize != 1:
            changed["resize"] = self._resize(image, height, width)
        if self.crop_at is not None and image.crop is not None:
            changed |= {"crop_at": self.crop_at, "crop_offset": None}
        if self.rotate_deg:
            changed["rotate"] = image.rotate + self.rotate_deg
        return msgspec.structs.replace(image, **changed).transform(height, width)

    def _resize(self, image: ImageParams, height: int, width: int) -> float | tuple[int, int]:
        given = image.resize
        if isinstance(given, tuple):
            return _multiplied(given, self.resize, image.resize_rounding)
        if given == "cover":
            assert image.crop is not None
            given = max(image.crop[0] / height, image.crop[1] / width)
        return (1.0 if given is None else float(given)) * self.resize


def check_sizes(augment: Augment, image: ImageParams) -> None:
    """Raises SpecError where a draw would change the size of a tensor, or would have nothing to change."""
    if image.crop is not None:
        return
    if augment.image_crop is not None:
        raise SpecError("augment: image_crop says where image.crop lies, and these pictures are not cropped: set that")
    if augment.image_resize is None:
        return
    if image.pad is None:
        raise SpecError(
            "augment: image_resize gives pictures of other sizes, and a tensor has one: set image.crop, or image.pad "
            "to what all of them fit into"
        )
    if isinstance(image.resize, tuple):
        highest: Any = augment.image_resize
        most = _multiplied(image.resize, highest[1], image.resize_rounding)
        if most[0] > image.pad[0] or most[1] > image.pad[1]:
            raise SpecError(
                f"augment: image_resize gives pictures up to {most[0]} x {most[1]}, and image.pad is "
                f"{image.pad[0]} x {image.pad[1]}: make it as large, or set image.crop"
            )


def _multiplied(size: tuple[int, int], factor: float, rounding: str) -> tuple[int, int]:
    more = 0.5 if rounding == "round" else 0.0
    return int(size[0] * factor + more), int(size[1] * factor + more)


def _within(span: Any, share: float, otherwise: float = 0.0) -> float:
    """Returns so far on the way from the one to the other; without a span what changes nothing."""
    return otherwise if span is None else float(span[0] + (span[1] - span[0]) * share)
