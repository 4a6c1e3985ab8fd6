"""Pictures written as tensors: turned, scaled, with their colours in order, and black added."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs.kernel import inner, kernel

from ..record import settle
from . import PIXELS
from .vectors import (
    black_pixel,
    copy_pixel,
    nearest_block,
    part,
    show_across,
    show_planes,
    show_swapped,
    stream_planes,
)

__all__ = ["write_bytes", "write_floats", "write_scaled"]

LARGE = 1 << 18
"""Numbers of a tensor that is written past the caches: a megabyte."""

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


@inner
def _turn_row(
    pixels_at: Any, stride: Any, height: int, width: int, turn: NDArray[np.int64], y: int, out_at: Any
) -> None:
    """Writes one row of Pillow's rotate, NEAREST, black beyond, to a picture of the same size.

    turn (2, 3): from a pixel (x, y, 1) of the result to the picture's, in 16 bits after the point.

    Block by block: places lie on a line, so that between two that are within the picture all are, and nothing needs to
    be asked of them: 0.85 ms for 256 x 704 pixels asked one by one, 0.05 so. A row at a time, which stays in the
    first-level cache until it is scaled: 0.08 ms less than a turned picture.
    """
    across_u, across_v = turn[0, 0], turn[1, 0]
    u, v = turn[0, 1] * y + turn[0, 2], turn[1, 1] * y + turn[1, 2]
    for begin in range(0, width, PIXELS):
        n = min(PIXELS, width - begin)
        last_u, last_v = u + across_u * (n - 1), v + across_v * (n - 1)
        within = min(u, last_u) >= 0 and max(u, last_u) < width << 16
        # four bytes are read of each pixel: of the last row's last one there may be three
        if n == PIXELS and within and min(v, last_v) >= 0 and max(v, last_v) < (height - 1) << 16:
            nearest_block(pixels_at, stride, u, v, across_u, across_v, out_at)
            u, v, out_at = u + PIXELS * across_u, v + PIXELS * across_v, out_at + 3 * PIXELS
            continue
        for _ in range(n):
            if 0 <= u < width << 16 and 0 <= v < height << 16:
                copy_pixel(pixels_at + (v >> 16) * stride + 3 * (u >> 16), out_at)
            else:
                black_pixel(out_at)
            u, v, out_at = u + across_u, v + across_v, out_at + 3


@kernel
def write_scaled(
    pixels: Bytes,
    begin: int,
    stride: int,
    height: int,
    width: int,
    turn: NDArray[np.int64],
    row: Bytes,
    table: Floats,
    steps: Floats,
    stepwise: bool,
    places: NDArray[np.int64],
    out: Floats,
) -> None:
    """Bytes as float32, each as the table has it.

    turn: how the picture is turned first, as `_turn_row` has it; of no rows: not at all. row (3 width + 64,) for that.
    table (3, 256), red first; steps (3, 5, 16): how `show_planes` or its like for this layout works it out,
    which gives the same if `stepwise`. places: where red, green and blue of the first pixel go, how far on those of the
    next one and of the next row, and the height and width of the result, 0 below and to the right of the picture.
    """
    red, green, blue, step, row_step = places[0], places[1], places[2], places[3], places[4]
    at, steps_at, out_at = np.int64(pixels.ctypes.data), np.int64(steps.ctypes.data), np.int64(out.ctypes.data)
    # what fills the second-level cache by itself is written past it: 0.47 ms for a picture's part, 0.64 otherwise
    streamed = step == 1 and len(out) >= LARGE
    for place in (red, green, blue):
        streamed = streamed and (out_at + 4 * place) % 64 == 0
    streamed = streamed and row_step % PIXELS == 0
    turns = len(turn) > 0
    if turns:
        turned_from, pixels, at = at + begin, row, np.int64(row.ctypes.data)
    for y in range(height):
        source, to = begin + y * stride, y * row_step
        if turns:
            source = 0
            _turn_row(turned_from, stride, height, width, turn, y, at)
        done = 0
        if stepwise:
            done = width // PIXELS * PIXELS
        for x in range(0, done, PIXELS):
            to_x = out_at + 4 * (to + step * x)
            if streamed:
                stream_planes(at + source + 3 * x, steps_at, to_x + 4 * red, to_x + 4 * green, to_x + 4 * blue)
            elif step == 1:
                show_planes(at + source + 3 * x, steps_at, to_x + 4 * red, to_x + 4 * green, to_x + 4 * blue)
            elif red == 0:
                show_across(at + source + 3 * x, steps_at, to_x, to_x + 64, to_x + 128)
            else:
                show_swapped(at + source + 3 * x, steps_at, to_x, to_x + 64, to_x + 128)
        for x in range(done, width):
            one = source + 3 * x
            out[to + step * x + red] = table[0, pixels[one]]
            out[to + step * x + green] = table[1, pixels[one + 1]]
            out[to + step * x + blue] = table[2, pixels[one + 2]]
    if streamed:
        settle()
    _pad(height, width, places, out)


@kernel
def write_bytes(
    pixels: Bytes,
    begin: int,
    stride: int,
    height: int,
    width: int,
    turn: NDArray[np.int64],
    row: Bytes,
    places: NDArray[np.int64],
    out: Bytes,
) -> None:
    """The same for bytes as they are."""
    red, green, blue, step, row_step = places[0], places[1], places[2], places[3], places[4]
    at, out_at = np.int64(pixels.ctypes.data), np.int64(out.ctypes.data)
    turns = len(turn) > 0
    if turns:
        turned_from, pixels, at = at + begin, row, np.int64(row.ctypes.data)
    for y in range(height):
        source, to = begin + y * stride, y * row_step
        if turns:
            source = 0
            _turn_row(turned_from, stride, height, width, turn, y, at)
        done = 0
        if step == 1:
            done = width // PIXELS * PIXELS
            for x in range(0, done, PIXELS):
                to_x = out_at + to + x
                part(at + source + 3 * x, to_x + red, to_x + green, to_x + blue)
        elif red == 0:
            done = width
            out[to : to + 3 * width] = pixels[source : source + 3 * width]
        for x in range(done, width):
            out[to + step * x + red] = pixels[source + 3 * x]
            out[to + step * x + green] = pixels[source + 3 * x + 1]
            out[to + step * x + blue] = pixels[source + 3 * x + 2]
    _pad(height, width, places, out)


@kernel
def write_floats(
    pixels: Floats, begin: int, stride: int, height: int, width: int, places: NDArray[np.int64], out: Floats
) -> None:
    """The same for float32 as they are."""
    red, green, blue, step, row_step = places[0], places[1], places[2], places[3], places[4]
    for y in range(height):
        source, to = begin + y * stride, y * row_step
        for x in range(width):
            out[to + step * x + red] = pixels[source + 3 * x]
            out[to + step * x + green] = pixels[source + 3 * x + 1]
            out[to + step * x + blue] = pixels[source + 3 * x + 2]
    _pad(height, width, places, out)


@kernel
def _pad(height: int, width: int, places: NDArray[np.int64], out: NDArray[np.generic]) -> None:
    step, row_step, whole_height, whole_width = places[3], places[4], places[5], places[6]
    for colour in range(3):
        first = places[colour]
        for y in range(height):
            for x in range(width, whole_width):
                out[first + y * row_step + x * step] = 0
        for y in range(height, whole_height):
            for x in range(whole_width):
                out[first + y * row_step + x * step] = 0
