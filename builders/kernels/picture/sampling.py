"""Pictures whose pixels come from any place: bent as lenses are, or turned."""

from __future__ import annotations

from math import floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs.kernel import inner, kernel

from ..processor import multiply_add
from .vectors import between_two, between_two_floats, copy_pixel, copy_pixel_floats

__all__ = ["bent", "turned", "turned_floats", "turned_nearest"]

TOGETHER = 16
"""Pixels of a row that OpenCV turns at once, where processors have registers of 32 bytes."""

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


@inner
def _take(
    pixels_at: Any, stride: int, rows: int, columns: int, u: Any, v: Any, spare_at: Any, floats: bool, out_at: Any
) -> None:
    """Writes one pixel, from between four, as OpenCV 5 does: in float32, bytes rounded to even; black beyond.

    stride: in bytes. spare_at: of 24 values, of which the last eight are 0. Addresses, not arrays: numba would count
    who holds them, for each pixel: 20 ns of 25. Four values may be written.
    """
    size = 4 if floats else 1
    # eight values are read of each row
    if np.float32(0) <= u < np.float32(columns - 2) and np.float32(0) <= v < np.float32(rows - 1):
        x, y = np.int64(u), np.int64(v)
        upper, lower = pixels_at + y * stride + 3 * size * x, pixels_at + (y + 1) * stride + 3 * size * x
    # NaN too is beyond it
    elif -1 <= u < columns and -1 <= v < rows:
        x, y = floor(u), floor(v)
        upper, lower = spare_at, spare_at + 8 * size
        for k in range(4):
            column, row = x + k % 2, y + k // 2
            inside = 0 <= column < columns and 0 <= row < rows
            source = pixels_at + row * stride + 3 * size * column if inside else spare_at + 16 * size
            to = spare_at + 8 * size * (k // 2) + 3 * size * (k % 2)
            if floats:
                copy_pixel_floats(source, to)
            else:
                copy_pixel(source, to)
    else:
        if floats:
            copy_pixel_floats(spare_at + 16 * size, out_at)
        else:
            copy_pixel(spare_at + 16 * size, out_at)
        return
    share_x, share_y = np.float32(u - np.float32(x)), np.float32(v - np.float32(y))
    if floats:
        between_two_floats(upper, lower, share_x, share_y, out_at)
    else:
        between_two(upper, lower, share_x, share_y, out_at)


@inner
def _turned(across: Any, down: Any, offset: Any, x: int, y: int, alone: bool) -> Any:
    """Where a pixel comes from, along one axis, as OpenCV 5 adds it up: otherwise for those it works out one by one."""
    by_row = np.float32(y) * down
    if alone:
        return multiply_add(np.float32(x), across, by_row) + offset
    return multiply_add(np.float32(x), across, by_row + offset)


@kernel
def bent(
    pixels: Bytes,
    begin: int,
    stride: int,
    rows: int,
    columns: int,
    map_x: Floats,
    map_y: Floats,
    spare: Bytes,
    out: Bytes,
    out_stride: int,
) -> None:
    """OpenCV's remap, INTER_LINEAR, black beyond: each pixel from the place that the maps say.

    pixels: from byte `begin` on, `rows` rows of `columns` pixels, `stride` bytes apart. map_x, map_y (h, w). spare
    (24,): 0 from the 16th on.
    """
    at, out_at, spare_at = np.int64(pixels.ctypes.data) + begin, np.int64(out.ctypes.data), np.int64(spare.ctypes.data)
    for y in range(map_x.shape[0]):
        for x in range(map_x.shape[1]):
            to = out_at + y * out_stride + 3 * x
            _take(at, stride, rows, columns, map_x[y, x], map_y[y, x], spare_at, False, to)


@kernel
def turned(
    pixels: Bytes,
    begin: int,
    stride: int,
    rows: int,
    columns: int,
    place: Floats,
    spare: Bytes,
    out: Bytes,
    out_stride: int,
) -> None:
    """OpenCV's warpAffine, INTER_LINEAR, black beyond, to a picture of the same size.

    place (2, 3): from a pixel (x, y, 1) of the result to the picture's.
    """
    at, out_at, spare_at = np.int64(pixels.ctypes.data) + begin, np.int64(out.ctypes.data), np.int64(spare.ctypes.data)
    for y in range(rows):
        for x in range(columns):
            alone = x >= columns // TOGETHER * TOGETHER
            u = _turned(place[0, 0], place[0, 1], place[0, 2], x, y, alone)
            v = _turned(place[1, 0], place[1, 1], place[1, 2], x, y, alone)
            _take(at, stride, rows, columns, u, v, spare_at, False, out_at + y * out_stride + 3 * x)


@kernel
def turned_floats(
    pixels: Floats,
    begin: int,
    stride: int,
    rows: int,
    columns: int,
    place: Floats,
    spare: Floats,
    out: Floats,
    out_stride: int,
) -> None:
    """The same for float32; 0 beyond the picture. begin, stride, out_stride: in numbers."""
    at, out_at = np.int64(pixels.ctypes.data) + 4 * begin, np.int64(out.ctypes.data)
    spare_at = np.int64(spare.ctypes.data)
    for y in range(rows):
        for x in range(columns):
            alone = x >= columns // TOGETHER * TOGETHER
            u = _turned(place[0, 0], place[0, 1], place[0, 2], x, y, alone)
            v = _turned(place[1, 0], place[1, 1], place[1, 2], x, y, alone)
            _take(at, 4 * stride, rows, columns, u, v, spare_at, True, out_at + 4 * (y * out_stride + 3 * x))


@kernel
def turned_nearest(
    pixels: Bytes,
    begin: int,
    stride: int,
    rows: int,
    columns: int,
    place: NDArray[np.int64],
    out: Bytes,
    out_stride: int,
) -> None:
    """Pillow's rotate, NEAREST, black beyond, to a picture of the same size.

    place (2, 3): from a pixel (x, y, 1) of the result to the picture's, in 16 bits after the point.
    """
    for y in range(rows):
        for x in range(columns):
            u = (place[0, 0] * x + place[0, 1] * y + place[0, 2]) >> 16
            v = (place[1, 0] * x + place[1, 1] * y + place[1, 2]) >> 16
            to = y * out_stride + 3 * x
            if 0 <= u < columns and 0 <= v < rows:
                at = begin + v * stride + 3 * u
                out[to], out[to + 1], out[to + 2] = pixels[at], pixels[at + 1], pixels[at + 2]
            else:
                out[to] = out[to + 1] = out[to + 2] = 0
