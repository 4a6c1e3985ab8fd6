"""sensor_msgs/Image to pixels: colours in any order, grey, Bayer mosaics, luma and chroma."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord

from ..reading.raw_image import all_rows
from .rows import row_stride

__all__ = ["PATTERNS", "RAW_ENCODINGS", "RawRows", "pixels_of", "raw_rows"]

Pixels = NDArray[np.uint8]

_COLOURS_AT = {
    "rgb8": (3, (0, 1, 2)),
    "bgr8": (3, (2, 1, 0)),
    "rgba8": (4, (0, 1, 2)),
    "bgra8": (4, (2, 1, 0)),
    "8UC3": (3, (2, 1, 0)),
}
"""Encoding -> bytes of a pixel, and where its red, green and blue are."""
PATTERNS = {"bayer_rggb8": "RGGB", "bayer_bggr8": "BGGR", "bayer_gbrg8": "GBRG", "bayer_grbg8": "GRBG"}
"""Encoding -> the colours of the first two pixels of the first row of a Bayer mosaic, then of the second."""
_GREY = ("mono8", "8UC1")
_GREY_AT = (1, (0, 0, 0))


@dataclass(frozen=True)
class _Yuv:
    """How luma and chroma lie. Distances in bytes."""

    luma_at: int
    luma_step: int
    u_at: int
    v_at: int
    chroma_step: int
    rows_of_one: int
    """Of pixels, that share a chroma."""
    columns_of_one: int
    apart: bool
    """Whether the rows of chroma follow after those of luma, and not within them."""

    def all_rows(self, height: int) -> int:
        """How many rows as wide as one of luma it takes."""
        if not self.apart:
            return height
        return height + height * self.chroma_step // (self.rows_of_one * self.columns_of_one)

    def places(self, height: int, stride: int) -> tuple[tuple[int, int], int, tuple[int, ...]]:
        """luma, chroma_from and chroma of the kernel."""
        chroma_stride = stride * self.chroma_step // self.columns_of_one if self.apart else stride
        chroma = (chroma_stride, self.u_at, self.v_at, self.chroma_step, self.rows_of_one, self.columns_of_one)
        return (self.luma_at, self.luma_step), stride * height if self.apart else 0, chroma


_UYVY, _YUYV = _Yuv(1, 2, 0, 2, 4, 1, 2, False), _Yuv(0, 2, 1, 3, 4, 1, 2, False)
_YUV = {
    "uyvy": _UYVY,
    "yuv422": _UYVY,
    "yuyv": _YUYV,
    "yuv422_yuy2": _YUYV,
    "nv12": _Yuv(0, 1, 0, 1, 2, 2, 2, True),
    "nv21": _Yuv(0, 1, 1, 0, 2, 2, 2, True),
    "nv24": _Yuv(0, 1, 0, 1, 2, 1, 1, True),
}
"""sensor_msgs' own, the names that it calls deprecated too."""
RAW_ENCODINGS = (*_COLOURS_AT, *_GREY, *PATTERNS, *_YUV)
"""What sensor_msgs/Image may hold to be a picture; depth and 16 bit are not read."""


@dataclass(frozen=True)
class RawRows:
    """The bytes of an Image, of which any rows can be turned into RGB."""

    data: Pixels
    """(N,) uint8, read-only."""
    size: tuple[int, int]
    """Height and width, px."""
    stride: int
    """Bytes from one row to the next."""
    encoding: str

    def write_rows(self, first: int, out: Pixels) -> None:
        """Writes the rows from `first` on; out: (rows, width, 3) uint8, without gaps."""
        from .pixels_kernel import from_colours, from_mosaic, from_yuv

        if self.encoding in PATTERNS:
            red = PATTERNS[self.encoding].index("R")
            from_mosaic(self.data, self.stride, self.size[0], red // 2, red % 2, first, out)
        elif self.encoding in _YUV:
            from_yuv(self.data, self.stride, *_YUV[self.encoding].places(self.size[0], self.stride), first, out)
        else:
            from_colours(self.data, self.stride, *_COLOURS_AT.get(self.encoding, _GREY_AT), first, out)


def raw_rows(message: Any, where: str) -> RawRows:
    """Returns what an Image holds; raises BrokenRecord."""
    encoding, height, width, step = message.encoding, int(message.height), int(message.width), int(message.step)
    if encoding not in RAW_ENCODINGS:
        raise BrokenRecord(f"{where}: encoding {encoding!r} is not read; wanted one of {', '.join(RAW_ENCODINGS)}")
    yuv = _YUV.get(encoding)
    channels = _COLOURS_AT[encoding][0] if encoding in _COLOURS_AT else yuv.luma_step if yuv else 1
    rows = yuv.all_rows(height) if yuv else height
    stride = row_stride(step, width * channels, rows, len(message.data))
    if not height or not width or stride is None:
        beside = f" and {rows - height} rows of chroma" if rows > height else ""
        raise BrokenRecord(
            f"{where}: {len(message.data)} bytes and a step of {step}, wanted {height} x {width} pixels of "
            f"{channels}{beside}"
        )
    if yuv and (width % yuv.columns_of_one or height % yuv.rows_of_one):
        raise BrokenRecord(f"{where}: {height} x {width} pixels of {encoding}, wanted even numbers")
    data = np.frombuffer(message.data, np.uint8)
    # as of bytes, wherever it comes from: of kernels there is one for each kind of memory
    data.flags.writeable = False
    return RawRows(data, (height, width), stride, encoding)


def pixels_of(message: Any, where: str) -> Pixels:
    """Returns (H, W, 3) uint8 RGB of an Image; raises BrokenRecord."""
    return all_rows(raw_rows(message, where))
