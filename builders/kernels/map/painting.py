"""A picture of a map, painted colour over colour."""

from __future__ import annotations

from typing import Any

import numpy as np

from perceptum.inputs.kernel import inner, kernel

from .raster import move

__all__ = ["paint"]

_ONE, _NONE = np.uint64(1), np.uint64(0)


@inner
def _part(hue: float, shift: float) -> float:
    """Returns red, green or blue, shift 5, 3 or 1, of a full colour: hue from 0 to 6, the part from 0 to 1."""
    at = (shift + hue) % 6.0
    return 1.0 - max(0.0, min(1.0, min(at, 4.0 - at)))


@kernel
def paint(
    bits: Any,
    samples: int,
    color: Any,
    by_heading: bool,
    points: Any,
    place: Any,
    pieces: Any,
    us: Any,
    vs: Any,
    out: Any,
) -> None:
    """Paints what is set over what is there: of a cell as much as is set of its samples.

    bits: (Y samples, W) uint64. color: (3,) float64. by_heading: the colour is that of the piece of a line that begins
    at the point pieces[row, column] says, by its direction; -1: it has none, and nothing is painted. out: (3, Y, X)
    float32.
    """
    _, rows, columns = out.shape
    share = 1.0 / (samples * samples)
    red, green, blue = color[0], color[1], color[2]
    for row in range(rows):
        for column in range(columns):
            many, r, g, b = 0, 0.0, 0.0, 0.0
            for y in range(row * samples, (row + 1) * samples):
                for x in range(column * samples, (column + 1) * samples):
                    if (bits[y, x >> 6] >> np.uint64(x & 63)) & _ONE == _NONE or (by_heading and pieces[y, x] < 0):
                        continue
                    many += 1
                    if by_heading:
                        move(points, pieces[y, x], 2, place, us, vs)
                        angle = np.arctan2(vs[1] - vs[0], us[1] - us[0])
                        # ahead is the middle of the circle: 180 degrees
                        hue = ((np.pi - angle) / (2 * np.pi) * 6.0) % 6.0
                        r += 255.0 * _part(hue, 5.0)
                        g += 255.0 * _part(hue, 3.0)
                        b += 255.0 * _part(hue, 1.0)
            if many:
                if not by_heading:
                    r, g, b = many * red, many * green, many * blue
                rest = 1.0 - many * share
                out[0, row, column] = out[0, row, column] * rest + r * share
                out[1, row, column] = out[1, row, column] * rest + g * share
                out[2, row, column] = out[2, row, column] * rest + b * share
