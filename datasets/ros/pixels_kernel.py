"""Pixels of raw pictures to RGB: bytes in another order, Bayer mosaics, luma and chroma."""

from __future__ import annotations

from typing import Any

import numpy as np

from perceptum.inputs.kernel import inner, kernel

__all__ = ["from_colours", "from_mosaic", "from_yuv"]

# ITU-R BT.601, luma from 16 to 235, in 20 bits behind the point: OpenCV's numbers, so that its bytes come out
_BITS = 20
_RED_V, _GREEN_V, _GREEN_U, _BLUE_U = 1673527, -852492, -409993, 2116026
_LEAST = -300
# a sum of luma and chroma, from _LEAST up, to a byte: clipping with branches takes 9 ms for 1600 x 900 random pixels,
# the table 2.1
_BYTES = np.clip(np.arange(_LEAST, 600), 0, 255).astype(np.uint8)
_LUMAS = 1220542 * np.maximum(np.arange(256) - 16, 0) - (_LEAST << _BITS) + (1 << (_BITS - 1))


@kernel
def from_colours(data: Any, stride: int, channels: int, order: Any, first: int, out: Any) -> None:
    """Writes the rows from `first` of a picture of `channels` bytes a pixel, `order` saying which is red, green, blue.

    data: (N,) uint8, rows `stride` bytes apart. out: (rows, W, 3) uint8.
    """
    red, green, blue = order
    for row in range(out.shape[0]):
        line, at = data[(first + row) * stride :], 0
        for column in range(out.shape[1]):
            out[row, column, 0] = line[at + red]
            out[row, column, 1] = line[at + green]
            out[row, column, 2] = line[at + blue]
            at += channels


@inner
def _mirrored(index: int, count: int) -> int:
    """An index beyond an edge of a mosaic, mirrored about the border pixel, so that the pattern goes on."""
    if count == 1:
        return 0
    return 1 if index < 0 else count - 2 if index == count else index


@inner
def _pixel(above: Any, here: Any, below: Any, u: int, own: int, coloured: int, out: Any) -> None:
    """One pixel, wherever it is in its row. A colour's own pixel has green beside it, above and below, and the third
    colour at its corners; a green one has its row's other colour beside it, the third one above and below."""
    left, right = _mirrored(u - 1, len(here)), _mirrored(u + 1, len(here))
    beside, over = np.int64(here[left]) + here[right], np.int64(above[u]) + below[u]
    if (u & 1) == coloured:
        corners = np.int64(above[left]) + above[right] + below[left] + below[right]
        out[u, own], out[u, 1], out[u, 2 - own] = here[u], (beside + over + 2) >> 2, (corners + 2) >> 2
    else:
        out[u, own], out[u, 1], out[u, 2 - own] = (beside + 1) >> 1, here[u], (over + 1) >> 1


@kernel
def from_mosaic(data: Any, stride: int, height: int, red_row: int, red_column: int, first: int, out: Any) -> None:
    """Writes the rows from `first` of a Bayer mosaic, whose reds lie at rows and columns of these parities.

    A colour that a pixel lacks is the mean of the 2 or 4 nearest that have it, halves rounded up; the border is
    mirrored. data: (N,) uint8, `height` rows `stride` bytes apart. out: (rows, W, 3) uint8.
    """
    width = out.shape[1]
    for row in range(out.shape[0]):
        v = first + row
        up, down = _mirrored(v - 1, height) * stride, _mirrored(v + 1, height) * stride
        above, here, below = data[up : up + width], data[v * stride : v * stride + width], data[down : down + width]
        line = out[row]
        # red or blue, whichever this row has beside its greens, and at which columns
        own = 0 if (v & 1) == red_row else 2
        coloured = red_column if own == 0 else 1 - red_column
        # a green and the coloured one after it at once: each byte is read once, and nothing is asked of each pixel;
        # 1.9 ms for 1600 x 900, where a pixel at a time takes 4.8
        pairs = max((width - 2 - coloured) // 2, 0)
        over, middle, under, flat = above[coloured:], here[coloured:], below[coloured:], line[coloured:].ravel()
        for pair in range(pairs):
            u = 2 * pair + 1
            green, after = np.int64(middle[u]), np.int64(middle[u + 1])
            up_down = np.int64(over[u]) + np.int64(under[u])
            flat[3 * u + own] = (np.int64(middle[u - 1]) + after + 1) >> 1
            flat[3 * u + 1] = green
            flat[3 * u + 2 - own] = (up_down + 1) >> 1
            flat[3 * u + 3 + own] = after
            flat[3 * u + 4] = (
                green + np.int64(middle[u + 2]) + np.int64(over[u + 1]) + np.int64(under[u + 1]) + 2
            ) >> 2
            flat[3 * u + 5 - own] = (up_down + np.int64(over[u + 2]) + np.int64(under[u + 2]) + 2) >> 2
        start = 1 + coloured
        for u in range(min(start, width)):
            _pixel(above, here, below, u, own, coloured, line)
        for u in range(start + 2 * pairs, width):
            _pixel(above, here, below, u, own, coloured, line)


@kernel
def from_yuv(data: Any, stride: int, luma: Any, chroma_from: int, chroma: Any, first: int, out: Any) -> None:
    """Writes the rows from `first` of a picture of luma and chroma: BT.601, limited range, as OpenCV has it.

    data: (N,) uint8, rows of luma `stride` bytes apart. luma: the first one's place in a row, and the bytes to the
    next. chroma_from: where the rows of chroma begin. chroma: bytes from one row of chroma to the next, the places of
    the first u and v in it, the bytes to the next of each, and how many rows and columns of pixels share one (1 or 2).
    out: (rows, W, 3) uint8, W divisible by the latter.
    """
    y_at, y_step = luma
    chroma_stride, u_at, v_at, chroma_step, rows_of_one, columns_of_one = chroma
    for row in range(out.shape[0]):
        lumas = data[(first + row) * stride + y_at :]
        chromas = data[chroma_from + (first + row) // rows_of_one * chroma_stride :]
        line = out[row]
        for one in range(out.shape[1] // columns_of_one):
            u, v = np.int64(chromas[one * chroma_step + u_at]) - 128, np.int64(chromas[one * chroma_step + v_at]) - 128
            red, green, blue = _RED_V * v, _GREEN_V * v + _GREEN_U * u, _BLUE_U * u
            column = one * columns_of_one
            y = _LUMAS[lumas[column * y_step]]
            line[column, 0] = _BYTES[np.uint64((y + red) >> _BITS)]
            line[column, 1] = _BYTES[np.uint64((y + green) >> _BITS)]
            line[column, 2] = _BYTES[np.uint64((y + blue) >> _BITS)]
            if columns_of_one == 2:
                y = _LUMAS[lumas[(column + 1) * y_step]]
                line[column + 1, 0] = _BYTES[np.uint64((y + red) >> _BITS)]
                line[column + 1, 1] = _BYTES[np.uint64((y + green) >> _BITS)]
                line[column + 1, 2] = _BYTES[np.uint64((y + blue) >> _BITS)]
