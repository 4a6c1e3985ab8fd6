"""How the values of a picture are scaled: the published normalisations, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..checks import finite
from ..errors import SpecError
from ..parameter import About

__all__ = ["BGR_NORMS", "NORMS", "NORMS_IN_NUMBERS", "ImageNorm", "NormName", "table_of"]

NormName = Literal["imagenet_unit", "imagenet_255", "caffe_bgr", "caffe_bgr_old", "petr_bgr", "unit"]

_LEAST_STD = 1e-20
"""What is divided by less may not be a float32 any more."""


class ImageNorm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """(value * scale - mean) / std per channel, each step rounded to float32."""

    scale: Annotated[
        Literal["1", "1/255"], About("1: values from 0 to 255; 1/255: divided by 255 first, in float32.")
    ] = "1"
    mean: Annotated[tuple[float, float, float], About("One for each channel, in the order of `channel_order`.")]
    std: Annotated[tuple[float, float, float], About("The same, not 0.")]
    arithmetic: Annotated[
        Literal["divide", "multiply"],
        About(
            "divide: by std, in float32, as torchvision's Normalize; multiply: by 1 / std, both in float64, as mmcv's "
            "imnormalize has OpenCV do it. They differ in the last bit."
        ),
    ] = "divide"

    def __post_init__(self) -> None:
        finite("norm.mean", self.mean)
        finite("norm.std", self.std)
        if not all(abs(value) >= _LEAST_STD for value in self.std):
            raise SpecError(f"norm.std must not be 0, got {list(self.std)}")


_UNIT_MEAN, _UNIT_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_BGR = (103.53, 116.28, 123.675)

NORMS: Mapping[str, ImageNorm] = MappingProxyType(
    {
        "imagenet_unit": ImageNorm(scale="1/255", mean=_UNIT_MEAN, std=_UNIT_STD),
        "imagenet_255": ImageNorm(mean=_BGR[::-1], std=(58.395, 57.12, 57.375), arithmetic="multiply"),
        "caffe_bgr": ImageNorm(mean=_BGR, std=(1.0, 1.0, 1.0), arithmetic="multiply"),
        "caffe_bgr_old": ImageNorm(mean=(102.9801, 115.9465, 122.7717), std=(1.0, 1.0, 1.0), arithmetic="multiply"),
        "petr_bgr": ImageNorm(mean=_BGR, std=(57.375, 57.12, 58.395), arithmetic="multiply"),
        "unit": ImageNorm(scale="1/255", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
    }
)
"""Name -> what it stands for."""

BGR_NORMS = frozenset({"caffe_bgr", "caffe_bgr_old", "petr_bgr"})
"""Their numbers are those of blue, green and red: they want `channel_order` BGR. Those of the others are of red, green
and blue, and are applied as they are to the other order too, as BEVDet does."""


def _in_numbers(name: str, norm: ImageNorm) -> str:
    mean, std = (" ".join(f"{value:g}" for value in values) for values in (norm.mean, norm.std))
    order = ", BGR only" if name in BGR_NORMS else ""
    return f"{name}: scale {norm.scale}, mean {mean}, std {std}, {norm.arithmetic}{order}"


NORMS_IN_NUMBERS = "; ".join(_in_numbers(name, norm) for name, norm in NORMS.items())
"""What each name stands for, in words."""


def table_of(norm: ImageNorm | None) -> NDArray[np.float32]:
    """Returns (3, 256) float32: what each value of each channel becomes."""
    values = np.tile(np.arange(256, dtype=np.float32), (3, 1))
    if norm is None:
        return values
    if norm.scale == "1/255":
        values /= np.float32(255)
    values -= np.array(norm.mean, np.float32)[:, None]
    if norm.arithmetic == "divide":
        return values / np.array(norm.std, np.float32)[:, None]
    # cv2.multiply of a float32 picture and a float64 scalar: with 1 / std as float32 214 of imagenet_255's 768 values
    # differ in the last bit
    return (values * (1 / np.array(norm.std, np.float32).astype(np.float64))[:, None]).astype(np.float32)
