"""Polylines of a map around the vehicle: where they come, which are taken, and what is written of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from perceptum.inputs.kernel import inner, kernel

from .placing import placed

__all__ = ["COLUMNS", "choose", "find_before", "find_centers", "write_polylines"]

COLUMNS = (
    *("x", "y", "z", "dx", "dy", "dz", "dir_x", "dir_y", "dir_z", "x_prev", "y_prev", "z_prev"),
    *("polyline", "layer", "layer_onehot", "intersection", "turn_left", "turn_right", "traffic_control"),
)
"""Column -> its number in a kernel: where it stands here."""

_PLACES, _WAYS, _DIRECTIONS, _PREVIOUS, _POLYLINE, _LAYER, _ONEHOT, _FLAGS = 0, 3, 6, 9, 12, 13, 14, 15


@inner
def _is_near(x: float, y: float, centre_x: float, centre_y: float, radius: float, box: Any) -> bool:
    near = math.hypot(x - centre_x, y - centre_y) <= radius
    return near and box[0] <= x < box[2] and box[1] <= y < box[3]


@kernel
def choose(
    points: Any,
    starts: Any,
    ranked_by: Any,
    candidates: Any,
    numbers: Any,
    centre_x: float,
    centre_y: float,
    radius: float,
    box: Any,
    to_mean: bool,
    masked: bool,
    vectors: bool,
    places: Any,
    real: Any,
    out: Any,
) -> None:
    """Writes for each candidate how far it is, infinite for one that is not taken, where its points come, and which of
    its steps are real.

    points: (P, 3) float64, starts: (n + 1,) int64. ranked_by: (n,) int64, the polyline by whose points each is taken
    and ordered. candidates: (k,) int64. numbers: see `placed`. radius, box: infinite where nothing is beyond.
    places: (k, Q + 1, 3) float64: the point before the first, on the same line, then its own; where none is before it,
    it is the first itself. real: (k, steps) uint8. out: (k,) float64.
    """
    for k in range(len(candidates)):
        line = candidates[k]
        other = ranked_by[line]
        nearest, sum_x, sum_y = np.inf, 0.0, 0.0
        is_in = False
        for i in range(starts[other], starts[other + 1]):
            x, y, _ = placed(numbers, points[i, 0], points[i, 1], points[i, 2])
            nearest = min(nearest, math.hypot(x - centre_x, y - centre_y))
            sum_x += x
            sum_y += y
            is_in |= _is_near(x, y, centre_x, centre_y, radius, box)
        if not is_in:
            out[k] = np.inf
            continue
        many = starts[other + 1] - starts[other]
        out[k] = math.hypot(sum_x / many - centre_x, sum_y / many - centre_y) if to_mean else nearest
        first, many = starts[line], starts[line + 1] - starts[line]
        for i in range(many):
            x, y, z = placed(numbers, points[first + i, 0], points[first + i, 1], points[first + i, 2])
            places[k, i + 1, 0], places[k, i + 1, 1], places[k, i + 1, 2] = x, y, z
        steps = many - 1 if vectors else many
        for i in range(real.shape[1]):
            real[k, i] = i < steps
            if i < steps and masked:
                at = i + 2 if vectors else i + 1
                real[k, i] = _is_near(places[k, at, 0], places[k, at, 1], centre_x, centre_y, radius, box)


@kernel
def find_before(points: Any, starts: Any, goes_on: Any, candidates: Any, numbers: Any, places: Any) -> None:
    """Writes the point before each candidate's first: that of the line of which it is a later piece, else its own."""
    for k in range(len(candidates)):
        i = starts[candidates[k]] - (1 if goes_on[candidates[k]] else 0)
        x, y, z = placed(numbers, points[i, 0], points[i, 1], points[i, 2])
        places[k, 0, 0], places[k, 0, 1], places[k, 0, 2] = x, y, z


@kernel
def write_polylines(
    rows: Any, places: Any, real: Any, vectors: bool, layers: Any, flags: Any, columns: Any, out: Any
) -> None:
    """Writes the columns of the steps of chosen polylines; what is not real is 0.

    rows: (L,) int64, which of `places` and `real` each row is; -1: none. layers: (k,) int64 and flags: (k, 4) uint8,
    intersection, left, right, control. columns: (F, 2) int64, what each is, its number in COLUMNS, and which of a
    block. out: (L, P, F) float32.
    """
    for row in range(len(rows)):
        k = rows[row]
        if k < 0:
            out[row] = 0
            continue
        for i in range(out.shape[1]):
            if not real[k, i]:
                out[row, i] = 0
                continue
            at = i + 2 if vectors else i + 1
            # the first point of a row has none before it; the way to it is that on its line
            before = at - 1 if i > 0 or vectors else 1
            dx = places[k, at, 0] - places[k, at - 1, 0]
            dy = places[k, at, 1] - places[k, at - 1, 1]
            dz = places[k, at, 2] - places[k, at - 1, 2]
            for column in range(out.shape[2]):
                what = columns[column, 0]
                value = 0.0
                if what < _WAYS:
                    value = places[k, at, what - _PLACES]
                elif what < _DIRECTIONS:
                    value = places[k, at, what - _WAYS] - places[k, at - 1, what - _WAYS]
                elif what < _PREVIOUS:
                    length = math.sqrt(dx * dx + dy * dy + dz * dz)
                    value = dx if what == _DIRECTIONS else (dy if what == _DIRECTIONS + 1 else dz)
                    value = value / length if length > 0 else 0.0
                elif what < _POLYLINE:
                    value = places[k, before, what - _PREVIOUS]
                elif what == _POLYLINE:
                    value = row
                elif what == _LAYER:
                    value = layers[k]
                elif what == _ONEHOT:
                    value = 1.0 if layers[k] == columns[column, 1] else 0.0
                else:
                    value = flags[k, what - _FLAGS]
                out[row, i, column] = value


@kernel
def find_centers(rows: Any, places: Any, real: Any, vectors: bool, out: Any) -> None:
    """Writes the mean of each row's real points; 0 where none is. out: (L, 3) float32. The rest as before."""
    for row in range(len(rows)):
        k = rows[row]
        x = y = z = 0.0
        many = 0
        if k >= 0:
            for i in range(real.shape[1]):
                if real[k, i]:
                    at = i + 2 if vectors else i + 1
                    x += places[k, at, 0]
                    y += places[k, at, 1]
                    z += places[k, at, 2]
                    many += 1
        many = max(many, 1)
        out[row, 0], out[row, 1], out[row, 2] = x / many, y / many, z / many
