"""Pictures made smaller or larger, to the last bit as Pillow and as OpenCV do it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs.kernel import kernel

from ..processor import multiply_add
from . import BLOCK, PIXELS
from .vectors import quads, two_rows, two_taps, weigh, weigh_across, weigh_across_back

__all__ = ["ROWS", "between_columns", "by_pillow", "by_two"]

ROWS = 16
"""Of the picture, worked on together by Pillow's way."""

Bytes = NDArray[np.uint8]
Words = NDArray[np.int32]


@kernel
def by_pillow(
    pixels: Bytes,
    begin: int,
    stride: int,
    rows: int,
    last: Bytes,
    x_first: Words,
    x_weights: Words,
    y_first: Words,
    y_weights: Words,
    parted: Bytes,
    across: Bytes,
    out: Bytes,
    out_begin: int,
    out_stride: int,
) -> None:
    """Pillow's resize: first along rows, to bytes, then along columns.

    pixels: from byte `begin` on, `rows` rows `stride` bytes apart. last: the same of the last row, with 16 bytes more:
    16 are read at a time. x_first (w,), x_weights (w, n, 4): per column of the result, the first quad of columns that
    goes into it, and the weights of that and the following ones as `weigh` wants them; y_first, y_weights: the same for
    rows. parted: for quads of 16 rows; across: for the picture between the two passes, quads of rows, from the
    64th byte on. out: rows of as many bytes as fill whole blocks.

    Sixteen rows at a time are turned so that what lies in one column is one vector: then each weight is the same for
    all of it, and nothing is gathered. Four bytes of a row, and later of a column, stay together as a word.
    """
    width, height = len(x_first), len(y_first)
    n_x, n_y = x_weights.shape[1], y_weights.shape[1]
    # what is left over of the first pixel goes before it
    parted_at, across_at = np.int64(parted.ctypes.data), np.int64(across.ctypes.data) + 64
    x_at, y_at = np.int64(x_weights.ctypes.data), np.int64(y_weights.ctypes.data)
    pixels_at, last_at = np.int64(pixels.ctypes.data) + begin, np.int64(last.ctypes.data)
    out_at = np.int64(out.ctypes.data) + out_begin
    blocks = (3 * width + BLOCK - 1) // BLOCK
    # one quad more than there are: the last pixel's are written with one that is left over
    row_step = 4 * BLOCK * ((3 * width) // BLOCK + 1)
    first, end = x_first.min(), x_first.max() + n_x
    end = min(end, (len(last) - 16) // 12 + 1)
    shown = 0
    ascending = x_first[0] <= x_first[width - 1]
    for row in range(0, rows, ROWS):
        turned = first
        for k in range(width):
            # flipped, from the right: all of sixteen rows, turned before the first is needed, is more than a
            # first-level cache holds, and took 0.17 ms longer
            x = k if ascending else width - 1 - k
            needed = min(np.int64(x_first[x]) + n_x, end)
            if turned < needed:
                for four in range(0, ROWS, 4):
                    r0, r1, r2, r3 = row + four, row + four + 1, row + four + 2, row + four + 3
                    a0 = last_at if r0 >= rows - 1 else pixels_at + r0 * stride
                    a1 = last_at if r1 >= rows - 1 else pixels_at + r1 * stride
                    a2 = last_at if r2 >= rows - 1 else pixels_at + r2 * stride
                    a3 = last_at if r3 >= rows - 1 else pixels_at + r3 * stride
                    for quad in range(turned, min(needed + 7, end)):
                        at = 12 * quad
                        quads(a0 + at, a1 + at, a2 + at, a3 + at, parted_at + 192 * quad + 4 * four)
                turned = min(needed + 7, end)
            to = across_at + (row // 4) * row_step + 12 * x
            source, own = parted_at + 192 * np.int64(x_first[x]), x_at + 16 * n_x * x
            if ascending:
                weigh_across(source, 192, own, n_x, to, row_step)
            else:
                weigh_across_back(source, 192, own, n_x, to, row_step)
        ready = rows if row + ROWS >= rows else row + ROWS
        while shown < height and (4 * (y_first[shown] + n_y) <= ready or ready == rows):
            source = across_at + np.int64(y_first[shown]) * row_step
            to = out_at + shown * out_stride
            for block in range(blocks):
                weigh(source + 4 * BLOCK * block, row_step, y_at + 16 * n_y * shown, n_y, to + BLOCK * block)
            shown += 1


@kernel
def by_two(
    pixels: Bytes,
    begin: int,
    stride: int,
    rows: int,
    last: Bytes,
    x_bytes: Words,
    x_weights: NDArray[np.int16],
    y_rows: Words,
    y_weights: Words,
    between: NDArray[np.int16],
    out: Bytes,
    out_begin: int,
    out_stride: int,
) -> None:
    """OpenCV's INTER_LINEAR of bytes: along rows in 11 bits, less 4, then along columns.

    pixels, last, out: as in `by_pillow`. x_bytes (w,): where in a row the first of the two pixels lies; w: a multiple
    of 16. x_weights (16 w,): as `two_taps` wants them. y_rows (h, 2): the two rows; y_weights (h,): two shorts each.
    between (8 w,).
    """
    pixels_at, last_at = np.int64(pixels.ctypes.data) + begin, np.int64(last.ctypes.data)
    bytes_at, weights_at = np.int64(x_bytes.ctypes.data), np.int64(x_weights.ctypes.data)
    between_at, out_at = np.int64(between.ctypes.data), np.int64(out.ctypes.data) + out_begin
    width = len(x_bytes)
    # which row lies in which of the two places
    held_0, held_1 = np.int64(-1), np.int64(-1)
    for y in range(len(y_rows)):
        upper, lower = np.int64(y_rows[y, 0]), np.int64(y_rows[y, 1])
        place_upper = 1 if held_1 == upper else 0
        for which in range(2):
            row = lower if which else upper
            if row in (held_0, held_1):
                continue
            # not over the one that is needed too
            place = (1 - place_upper) if which else (1 if held_0 == lower else 0)
            if place:
                held_1 = row
            else:
                held_0 = row
            if not which:
                place_upper = place
            source = last_at if row == rows - 1 else pixels_at + row * stride
            for x in range(0, width, PIXELS):
                two_taps(source, bytes_at + 4 * x, weights_at + 32 * x, between_at + 8 * (place * width + x))
        a = between_at + (8 * width if held_1 == upper else 0)
        b = between_at + (8 * width if held_1 == lower else 0)
        weights: Any = np.int64(y_weights[y])
        for x in range(0, width, PIXELS):
            two_rows(a + 8 * x, b + 8 * x, weights, out_at + y * out_stride + 3 * x)


@kernel
def between_columns(
    pixels: Bytes,
    begin: int,
    stride: int,
    table: NDArray[np.float32],
    x_bytes: Words,
    x_shares: NDArray[np.float32],
    y_rows: Words,
    y_shares: NDArray[np.float32],
    out: NDArray[np.float32],
    out_begin: int,
    out_stride: int,
) -> None:
    """OpenCV's INTER_LINEAR of float32: of what the bytes are by the table, (3, 256), red first.

    x_bytes (w, 2): where in a row the two pixels lie; x_shares (w,): how far towards the second; y_rows (h, 2),
    y_shares (h,): the same for rows. out: numbers in place of bytes.
    """
    for y in range(len(y_rows)):
        upper, lower = begin + y_rows[y, 0] * stride, begin + y_rows[y, 1] * stride
        for x in range(len(x_bytes)):
            left, right = np.int64(x_bytes[x, 0]), np.int64(x_bytes[x, 1])
            for colour in range(3):
                p, q = table[colour, pixels[upper + left + colour]], table[colour, pixels[upper + right + colour]]
                above = multiply_add(q - p, x_shares[x], p)
                p, q = table[colour, pixels[lower + left + colour]], table[colour, pixels[lower + right + colour]]
                below = multiply_add(q - p, x_shares[x], p)
                out[out_begin + y * out_stride + 3 * x + colour] = multiply_add(below - above, y_shares[y], above)
