"""Pictures written as tensors: scaled, with their colours in order, and black added."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs.kernel import kernel

from ..record import settle
from . import PIXELS
from .vectors import part, show_across, show_planes, show_swapped, stream_planes

__all__ = ["write_bytes", "write_floats", "write_scaled"]

LARGE = 1 << 18
"""Numbers of a tensor that is written past the caches: a megabyte."""

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


@kernel
def write_scaled(
    pixels: Bytes,
    begin: int,
    stride: int,
    height: int,
    width: int,
    table: Floats,
    steps: Floats,
    stepwise: bool,
    places: NDArray[np.int64],
    out: Floats,
) -> None:
    """Bytes as float32, each as the table has it.

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
    for y in range(height):
        source, to = begin + y * stride, y * row_step
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
    pixels: Bytes, begin: int, stride: int, height: int, width: int, places: NDArray[np.int64], out: Bytes
) -> None:
    """The same for bytes as they are."""
    red, green, blue, step, row_step = places[0], places[1], places[2], places[3], places[4]
    at, out_at = np.int64(pixels.ctypes.data), np.int64(out.ctypes.data)
    for y in range(height):
        source, to = begin + y * stride, y * row_step
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
