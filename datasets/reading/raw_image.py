"""A picture that a log holds as pixels, not as JPEG or PNG: decoded without a detour, packed only when asked."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord, CameraImage, LogError, PicturePart, room_for
from perceptum.inputs.once import once
from perceptum.install import install_command

__all__ = ["Pixels", "RawImage", "RawPixels", "all_rows", "colours", "png_bytes"]

Pixels = NDArray[np.uint8]


class RawPixels(Protocol):
    """Pixels as a log holds them, of which any rows can be turned into RGB."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, px."""

    def write_rows(self, first: int, out: Pixels) -> None:
        """Writes the rows from `first` on; out: (rows, width, 3) uint8, without gaps."""


def all_rows(raw: RawPixels) -> Pixels:
    """Returns the picture, (H, W, 3) uint8 RGB."""
    out = np.empty((*raw.size, 3), np.uint8)
    raw.write_rows(0, out)
    return out


def _no_pixels() -> Pixels:
    raise AssertionError("a RawImage is made with read_pixels or read_raw")


@dataclass(frozen=True, eq=False)
class RawImage(CameraImage):
    """A picture that a log holds as pixels. `decode` takes them as they are; `encoded` makes a PNG of them."""

    read_pixels: Callable[[], Pixels] = field(default=_no_pixels, repr=False)
    """Returns (H, W, 3) uint8 RGB."""
    read_raw: Callable[[], RawPixels] | None = field(default=None, repr=False)
    """Where it is given, it is what is read: once, and only the rows that are wanted are made of it."""

    @once
    def _raw(self) -> RawPixels | None:
        return None if self.read_raw is None else self.read_raw()

    @once
    def _pixels(self) -> Pixels:
        # kept with the record: who asks for its size decodes next
        return colours(self.read_pixels(), self.source)

    def _own_pixels(self) -> Pixels:
        """The pixels in memory of the caller's own: who writes into a picture changes no other one."""
        return self._pixels.copy()

    def picture_size(self) -> tuple[int, int]:
        raw = self._raw
        if raw is not None:
            return raw.size
        height, width, _ = self._pixels.shape
        return height, width

    def decode(
        self,
        out: Pixels | None = None,
        *,
        rows: tuple[int, int] | None = None,
        reduce: int = 1,
        scratch: Pixels | None = None,
    ) -> Pixels:
        part, raw = PicturePart(rows, reduce), self._raw
        if raw is None:
            return part.of(self._own_pixels(), self.source, out, scratch)
        first, last = part.whole_rows(raw.size, self.source)
        shape = (last - first, raw.size[1], 3)
        straight = out is not None and out.shape == shape and out.flags.c_contiguous
        room = room_for(shape, self.source, out if straight else None, scratch)
        raw.write_rows(first, room)
        return part.of(room, self.source, out, first_row=first)


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
