"""Pictures whose pixels come from any place: bent as lenses are, or turned."""

from __future__ import annotations

from math import floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs.kernel import inner, kernel

from ..processor import multiply_add
from .vectors import between_two

__all__ = ["bent", "turned", "turned_floats", "turned_nearest"]

TOGETHER = 16
"""Pixels of a row that OpenCV turns at once, where processors have registers of 32 bytes."""

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


@inner
def _value(
    pixels: NDArray[np.generic], begin: int, stride: int, rows: int, columns: int, x: int, y: int, c: int
) -> Any:
    """One value as float32; 0 beyond the picture."""
    if 0 <= x < columns and 0 <= y < rows:
        return np.float32(pixels[begin + y * stride + 3 * x + c])
    return np.float32(0)


@inner
def _between(
    pixels: NDArray[np.generic],
    begin: int,
    stride: int,
    rows: int,
    columns: int,
    x: int,
    y: int,
    share_x: Any,
    share_y: Any,
    c: int,
) -> Any:
    p, q = (
        _value(pixels, begin, stride, rows, columns, x, y, c),
        _value(pixels, begin, stride, rows, columns, x + 1, y, c),
    )
    above = multiply_add(q - p, share_x, p)
    p, q = (
        _value(pixels, begin, stride, rows, columns, x, y + 1, c),
        _value(pixels, begin, stride, rows, columns, x + 1, y + 1, c),
    )
    below = multiply_add(q - p, share_x, p)
    return multiply_add(below - above, share_y, above)


@inner
def _take(pixels: Bytes, begin: int, stride: int, rows: int, columns: int, u: Any, v: Any, out: Bytes, at: int) -> None:
    """Writes one pixel, from between four, as OpenCV 5 does: in float32, rounded to even; black beyond the picture.

    Four bytes may be written.
    """
    # NaN too is beyond it
    if not (-1 <= u < columns and -1 <= v < rows):
        out[at] = out[at + 1] = out[at + 2] = 0
        return
    x, y = floor(u), floor(v)
    share_x, share_y = np.float32(u - np.float32(x)), np.float32(v - np.float32(y))
    # eight bytes are read of each row
    if 0 <= x < columns - 2 and 0 <= y < rows - 1:
        upper = np.int64(pixels.ctypes.data) + begin + y * stride + 3 * x
        between_two(upper, upper + stride, share_x, share_y, np.int64(out.ctypes.data) + at)
        return
    for c in range(3):
        value = _between(pixels, begin, stride, rows, columns, x, y, share_x, share_y, c)
        out[at + c] = np.uint8(np.rint(value))


@inner
def _turned(place: Floats, axis: int, x: int, y: int, alone: bool) -> Any:
    """Where a pixel comes from, along one axis, as OpenCV 5 adds it up: otherwise for those it works out one by one."""
    across, down = np.float32(x), np.float32(y) * place[axis, 1]
    if alone:
        return multiply_add(across, place[axis, 0], down) + place[axis, 2]
    return multiply_add(across, place[axis, 0], down + place[axis, 2])


@kernel
def bent(
    pixels: Bytes,
    begin: int,
    stride: int,
    rows: int,
    columns: int,
    map_x: Floats,
    map_y: Floats,
    out: Bytes,
    out_begin: int,
    out_stride: int,
) -> None:
    """OpenCV's remap, INTER_LINEAR, black beyond: each pixel from the place that the maps say.

    pixels: from byte `begin` on, `rows` rows of `columns` pixels, `stride` bytes apart. map_x, map_y (h, w).
    """
    for y in range(map_x.shape[0]):
        for x in range(map_x.shape[1]):
            at = out_begin + y * out_stride + 3 * x
            _take(pixels, begin, stride, rows, columns, map_x[y, x], map_y[y, x], out, at)


@kernel
def turned(
    pixels: Bytes, begin: int, stride: int, rows: int, columns: int, place: Floats, out: Bytes, out_stride: int
) -> None:
    """OpenCV's warpAffine, INTER_LINEAR, black beyond, to a picture of the same size.

    place (2, 3): from a pixel (x, y, 1) of the result to the picture's.
    """
    for y in range(rows):
        for x in range(columns):
            alone = x >= columns // TOGETHER * TOGETHER
            u, v = _turned(place, 0, x, y, alone), _turned(place, 1, x, y, alone)
            _take(pixels, begin, stride, rows, columns, u, v, out, y * out_stride + 3 * x)


@kernel
def turned_floats(
    pixels: Floats, begin: int, stride: int, rows: int, columns: int, place: Floats, out: Floats, out_stride: int
) -> None:
    """The same for float32; 0 beyond the picture."""
    for y in range(rows):
        for x in range(columns):
            alone = x >= columns // TOGETHER * TOGETHER
            u, v = _turned(place, 0, x, y, alone), _turned(place, 1, x, y, alone)
            left, top = floor(u), floor(v)
            share_x, share_y = np.float32(u - np.float32(left)), np.float32(v - np.float32(top))
            for c in range(3):
                value: Any = np.float32(0)
                if -1 <= u < columns and -1 <= v < rows:
                    value = _between(pixels, begin, stride, rows, columns, left, top, share_x, share_y, c)
                out[y * out_stride + 3 * x + c] = value


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
