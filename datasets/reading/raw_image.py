"""A picture that a log holds as pixels, not as JPEG or PNG: decoded without a detour, packed only when asked."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord, CameraImage, LogError
from perceptum.install import install_command

__all__ = ["RawImage", "colours", "png_bytes"]

Pixels = NDArray[np.uint8]


def _no_pixels() -> Pixels:
    raise AssertionError("a RawImage is made with read_pixels")


@dataclass(frozen=True, eq=False)
class RawImage(CameraImage):
    """A picture that a log holds as pixels. `decode` takes them as they are; `encoded` makes a PNG of them."""

    read_pixels: Callable[[], Pixels] = field(default=_no_pixels, repr=False)
    """Returns (H, W, 3) uint8 RGB."""

    def decode(self, out: Pixels | None = None) -> Pixels:
        image = colours(self.read_pixels(), self.source)
        if out is None:
            return image
        if out.shape != image.shape:
            raise BrokenRecord(f"{self.source}: the picture is {image.shape}, the buffer for it is {out.shape}")
        out[...] = image
        return out


def colours(image: NDArray[Any], source: str) -> Pixels:
    """Returns the pixels as they are; raises BrokenRecord for other than (H, W, 3) uint8, such as depth."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise BrokenRecord(
            f"{source}: holds {image.dtype} {image.shape}, wanted a picture (height, width, 3) of uint8; depth and "
            "other measures are not pictures"
        )
    return image


def png_bytes(image: Pixels) -> bytes:
    """Returns the picture as PNG, lossless, packed fast rather than small."""
    try:
        from PIL import Image
    except ImportError as error:
        raise LogError(f"packing pictures needs Pillow: {install_command('camera')}") from error
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
