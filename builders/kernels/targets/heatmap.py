"""Where the centres of boxes lie on a map, and the Gaussians around them."""

from __future__ import annotations

from math import cos, exp, floor, log, pi, sin, sqrt
from typing import Any

import numpy as np

from perceptum.inputs.kernel import inner, kernel

from .boxes import half_open

__all__ = ["CLAMP", "FLOOR", "TRUNCATE", "draw", "gaussian_radius", "place", "regress"]

FLOOR, TRUNCATE, CLAMP = 0, 1, 2

_FARTHEST = 2.0**30
"""A radius beyond any map; more would not fit into an int32."""


@inner
def gaussian_radius(height: float, width: float, min_overlap: float) -> float:
    """Returns how far a box of this size may be moved, as CornerNet published it: the least of three roots, each
    (b + sqrt(disc)) / 2, though two of the equations have a leading factor other than 1, by which that is not their
    root."""
    # of a square at no overlap a discriminant is 0, and rounding may bring it below
    b1 = height + width
    c1 = width * height * (1 - min_overlap) / (1 + min_overlap)
    r1 = (b1 + sqrt(max(b1 * b1 - 4 * c1, 0.0))) / 2
    b2 = 2 * (height + width)
    c2 = (1 - min_overlap) * width * height
    r2 = (b2 + sqrt(max(b2 * b2 - 16 * c2, 0.0))) / 2
    a3 = 4 * min_overlap
    b3 = -2 * min_overlap * (height + width)
    c3 = (min_overlap - 1) * width * height
    r3 = (b3 + sqrt(b3 * b3 - 4 * a3 * c3)) / 2
    return min(r1, r2, r3)


@inner
def _cell(at: Any, size: int, rule: int) -> int:
    """Returns in which cell a place is, -1: in none. at: float32, in cells."""
    if rule == TRUNCATE and -1 < at < 0:
        return 0
    return floor(at) if 0 <= at < size else -1


@inner
def _sort(label: Any, by_class: bool, out: Any) -> None:
    """Writes the numbers of the first boxes, or of the first by class, (n,) int64: a frame has few of either."""
    if not by_class:
        for k in range(len(out)):
            out[k] = k
        return
    k = number = 0
    while k < len(out):
        for box in range(len(label)):
            if label[box] == number and k < len(out):
                out[k] = box
                k += 1
        number += 1


@kernel
def place(
    boxes: Any,
    label: Any,
    by_class: bool,
    order: Any,
    low: Any,
    voxel: Any,
    stride: Any,
    size: Any,
    strides: Any,
    rule: int,
    min_overlap: float,
    min_radius: int,
    offsets: Any,
    out: Any,
) -> int:
    """Writes x, y and radius in cells of the map for each box in order, and the number of its cell, (n, 4) int64, x and
    y are -1 and the number 0 where its centre is outside; and how far the centre is from the cell's lower edges,
    offsets (n, 2) float32; returns the greatest radius.

    boxes: (N, 7) float64. label: (N,) int32. order: (n,) int64, which is written first: the first n boxes, or the first
    n by class, in the order of the log within one. low, voxel: (2,) float32. stride: float32. size: (2,) int64, x and
    y. strides: (3,) int64, cells from one class, y and x to the next.
    Centres and sizes are rounded to float32 first, and centres are counted in float32, as in the published code.
    """
    _sort(label, by_class, order)
    greatest = 0
    for k in range(len(order)):
        box = order[k]
        out[k, 0] = out[k, 1] = -1
        out[k, 2] = out[k, 3] = 0
        offsets[k, 0] = offsets[k, 1] = 0
        x = (np.float32(boxes[box, 0]) - low[0]) / voxel[0] / stride
        y = (np.float32(boxes[box, 1]) - low[1]) / voxel[1] / stride
        if rule == CLAMP:
            x = np.float32(min(max(x, np.float32(0)), np.float32(size[0] - 0.5)))
            y = np.float32(min(max(y, np.float32(0)), np.float32(size[1] - 0.5)))
        column, row = _cell(x, size[0], rule), _cell(y, size[1], rule)
        if column < 0 or row < 0:
            continue
        length = np.float64(np.float32(boxes[box, 3])) / np.float64(voxel[0]) / np.float64(stride)
        width = np.float64(np.float32(boxes[box, 4])) / np.float64(voxel[1]) / np.float64(stride)
        # not finite where a size is near the end of float32
        radius = gaussian_radius(width, length, min_overlap)
        reach = int(radius) if radius < _FARTHEST else int(_FARTHEST)
        out[k, 0], out[k, 1], out[k, 2] = column, row, max(reach, min_radius)
        out[k, 3] = row * strides[1] + column * strides[2]
        offsets[k, 0], offsets[k, 1] = x - np.float32(column), y - np.float32(row)
        greatest = max(greatest, out[k, 2])
    return greatest


@kernel
def draw(
    cells: Any,
    label: Any,
    order: Any,
    strides: Any,
    size: Any,
    tables: Any,
    begins: Any,
    quarter: Any,
    before: int,
    listed: Any,
    out: Any,
) -> int:
    """Clears the elements that are listed, so many as `before`, draws the Gaussian of each box into its class's map,
    the greater where several meet, and lists what is not 0 then; returns how many elements that are.

    cells: as `place` writes them. strides: (3,) int64, elements from one class, y and x to the next. tables: float32,
    a quarter of the Gaussian of each radius up to len(begins) - 1, from begins[radius] on. quarter: float32, room for
    one of a larger radius, whose part beyond the map is left out. listed: int64, with room for what is drawn and one
    more. out: flat float32, zeros but for what is listed.
    """
    for k in range(before):
        out[listed[k]] = 0
    count = 0
    for k in range(len(order)):
        column, row, radius = cells[k, 0], cells[k, 1], cells[k, 2]
        if column < 0:
            continue
        wide = radius + 1
        if radius < len(begins):
            of_radius = tables[begins[radius] :]
        else:
            wide = min(radius, max(size[0], size[1])) + 1
            sigma = (2.0 * radius + 1.0) / 6.0
            for i in range(wide):
                for j in range(wide):
                    square = np.float64(i) * i + np.float64(j) * j
                    quarter[i * wide + j] = np.float32(exp(-square / (2 * sigma * sigma)))
            of_radius = quarter
        base = label[order[k]] * strides[0]
        left, right = max(column - radius, 0), min(column + radius, size[0] - 1)
        for y in range(max(row - radius, 0), min(row + radius, size[1] - 1) + 1):
            line, first = abs(y - row) * wide, base + y * strides[1]
            for x in range(left, right + 1):
                value, at = of_radius[line + abs(x - column)], first + x * strides[2]
                there = out[at]
                # no value of a Gaussian within its radius is 0: the least is exp(-9)
                listed[count] = at
                count += there == 0
                out[at] = max(there, value)
    return count


OFFSET_X, OFFSET_Y, X, Y, Z, LENGTH, WIDTH, HEIGHT, YAW, LOG_LENGTH, LOG_WIDTH, LOG_HEIGHT, SIN, COS, VX, VY = range(16)


@kernel
def regress(
    boxes: Any, velocity: Any, cells: Any, offsets: Any, order: Any, columns: Any, turned: bool, out: Any
) -> None:
    """Writes the columns of each box in order to a row of its own; 0 where its centre is outside the map.

    boxes: (N, 7), velocity: (N, 2) float64, NaN is written as 0. columns: (D,) int64. turned: a yaw is -yaw - pi/2.
    out: (n, D) float32.
    """
    for k in range(len(order)):
        box, inside = order[k], cells[k, 0] >= 0
        yaw = half_open(-boxes[box, 6] - pi / 2) if turned else boxes[box, 6]
        for j in range(len(columns)):
            what, value = columns[j], 0.0
            if not inside:
                value = 0.0
            elif what <= OFFSET_Y:
                value = np.float64(offsets[k, what])
            elif what == YAW:
                value = yaw
            elif what <= HEIGHT:
                value = boxes[box, what - X]
            elif what <= LOG_HEIGHT:
                value = log(boxes[box, 3 + what - LOG_LENGTH])
            elif what == SIN:
                value = sin(yaw)
            elif what == COS:
                value = cos(yaw)
            else:
                value = velocity[box, what - VX]
                if value != value:
                    value = 0.0
            out[k, j] = value
