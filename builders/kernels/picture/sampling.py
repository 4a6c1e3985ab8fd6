"""Pictures whose pixels come from any place: bent as lenses are, or turned."""

from __future__ import annotations

from math import floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs.kernel import inner, kernel

from ..processor import multiply_add
from .vectors import between_block, between_two, between_two_floats, copy_pixel, copy_pixel_floats

__all__ = ["bent", "turned", "turned_floats"]

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
def _turned(across: Any, row: Any, x: int) -> Any:
    """Where a pixel comes from, along one axis, as OpenCV 5 adds it up; row: what y and the offset make."""
    return multiply_add(np.float32(x), across, row)


@inner
def _turned_alone(place: Floats, axis: int, x: int, y: int) -> Any:
    """The same for those that OpenCV works out one by one."""
    return multiply_add(np.float32(x), place[axis, 0], np.float32(y) * place[axis, 1]) + place[axis, 2]


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
    across_u, across_v = place[0, 0], place[1, 0]
    whole = columns // TOGETHER * TOGETHER
    for y in range(rows):
        row_at = out_at + y * out_stride
        row_u = np.float32(y) * place[0, 1] + place[0, 2]
        row_v = np.float32(y) * place[1, 1] + place[1, 2]
        for x in range(0, columns, TOGETHER):
            last = min(x + TOGETHER, columns)
            if last <= whole:
                # between two that are within it all are
                u, last_u = _turned(across_u, row_u, x), _turned(across_u, row_u, last - 1)
                v, last_v = _turned(across_v, row_v, x), _turned(across_v, row_v, last - 1)
                least, most = min(u, last_u, v, last_v), np.float32(columns - 2)
                if least >= 0 and max(u, last_u) < most and max(v, last_v) < np.float32(rows - 1):
                    row: Any = np.int64(stride)
                    between_block(at, row, np.int64(x), across_u, row_u, across_v, row_v, row_at + 3 * x)
                    continue
            for k in range(x, last):
                if last <= whole:
                    u, v = _turned(across_u, row_u, k), _turned(across_v, row_v, k)
                else:
                    u, v = _turned_alone(place, 0, k, y), _turned_alone(place, 1, k, y)
                _take(at, stride, rows, columns, u, v, spare_at, False, row_at + 3 * k)


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
        row_u = np.float32(y) * place[0, 1] + place[0, 2]
        row_v = np.float32(y) * place[1, 1] + place[1, 2]
        for x in range(columns):
            if x < columns // TOGETHER * TOGETHER:
                u, v = _turned(place[0, 0], row_u, x), _turned(place[1, 0], row_v, x)
            else:
                u, v = _turned_alone(place, 0, x, y), _turned_alone(place, 1, x, y)
            _take(at, 4 * stride, rows, columns, u, v, spare_at, True, out_at + 4 * (y * out_stride + 3 * x))
