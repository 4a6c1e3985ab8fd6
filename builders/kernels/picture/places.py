"""Where the pixels of a picture come from, place by place, quick enough for every draw."""

from __future__ import annotations

from math import floor, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs.kernel import inner, kernel

__all__ = ["compose", "rows_seen"]

Floats = NDArray[np.float32]


@inner
def _within(place: Any, n: Any) -> Any:
    """NaN beyond the edges of the outermost pixels."""
    return place if -0.5 <= place <= n - 0.5 else nan


@inner
def _between(values: Floats, left: Any, top: Any, right: Any, bottom: Any, share_x: Any, share_y: Any) -> Any:
    """Linear between four values, in float64."""
    a, b = np.float64(values[top, left]), np.float64(values[top, right])
    upper = a * (1 - share_x) + b * share_x
    a, b = np.float64(values[bottom, left]), np.float64(values[bottom, right])
    lower = a * (1 - share_x) + b * share_x
    return np.float32(upper * (1 - share_y) + lower * share_y)


@kernel
def compose(
    source_height: int,
    source_width: int,
    scales: NDArray[np.float64],
    begins: NDArray[np.int64],
    flip: bool,
    turn: NDArray[np.float64],
    map_x: Floats,
    map_y: Floats,
    out_x: Floats,
    out_y: Floats,
) -> None:
    """Where in the recorded picture each pixel of a crop comes from, NaN: from nowhere.

    scales (2,): recorded over resized, along y and x; begins (2,): top and left of the crop; turn (2,): the cosine and
    sine of its rotation; (0,): none. map_x, map_y (H, W): where an undistorted picture's pixels come from; (0, 0): from
    where they are. out_x, out_y (h, w), of the crop.
    """
    height, width = out_x.shape
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    bends = map_x.shape[0] > 0
    for row in range(height):
        for column in range(width):
            x, y = np.float64(column), np.float64(row)
            if len(turn):
                u, v = x - middle_x, y - middle_y
                x = _within(turn[0] * u - turn[1] * v + middle_x, width)
                y = _within(turn[1] * u + turn[0] * v + middle_y, height)
            if flip:
                x = width - 1 - x
            x = _within((x + begins[1] + 0.5) * scales[1] - 0.5, source_width)
            y = _within((y + begins[0] + 0.5) * scales[0] - 0.5, source_height)
            if np.isnan(x) or np.isnan(y):
                out_x[row, column] = out_y[row, column] = nan
                continue
            # beyond its outermost pixels' centres a picture goes on as they are
            x, y = min(max(x, 0.0), source_width - 1.0), min(max(y, 0.0), source_height - 1.0)
            if not bends:
                out_x[row, column], out_y[row, column] = x, y
                continue
            left, top = np.int64(x), np.int64(y)
            right, bottom = min(left + 1, source_width - 1), min(top + 1, source_height - 1)
            out_x[row, column] = _between(map_x, left, top, right, bottom, x - left, y - top)
            out_y[row, column] = _between(map_y, left, top, right, bottom, x - left, y - top)


@kernel
def rows_seen(x: Floats, y: Floats, height: int, width: int) -> tuple[int, int]:
    """Returns from which row on, and up to which, a picture of this size is looked at from the places x, y, (h, w): one
    row more than the last one's, which lies between two. 0, 0 where it is not."""
    least, most = np.float32(height), np.float32(-1)
    for row in range(x.shape[0]):
        for column in range(x.shape[1]):
            u, v = x[row, column], y[row, column]
            if -1 < u < width and -1 < v < height:
                least, most = min(least, v), max(most, v)
    if most == -1:
        return 0, 0
    return max(floor(least), 0), min(floor(most) + 2, height)
