"""Which box a point lies in."""

from __future__ import annotations

from math import cos, floor, sin
from typing import Any

import numpy as np

from perceptum.inputs.kernel import kernel

__all__ = ["label_points", "list_boxes"]


@kernel
def list_boxes(reach: Any, size: Any, begins: Any, out: Any) -> None:
    """Lists for each square of the ground the boxes that reach into it, in order: those of square k are out[begins[k]]
    to out[begins[k + 1]].

    reach: (N, 4) int64, the first and the last square along x and y of each box. size: (2,) int64, x and y. begins:
    (squares + 1,) int64. out: int64, as many as all boxes reach into together.
    """
    begins[:] = 0
    for box in range(len(reach)):
        for y in range(reach[box, 2], reach[box, 3] + 1):
            for x in range(reach[box, 0], reach[box, 1] + 1):
                begins[y * size[0] + x + 1] += 1
    for square in range(len(begins) - 1):
        begins[square + 1] += begins[square]
    # the beginnings move on to their ends, and back at last
    for box in range(len(reach)):
        for y in range(reach[box, 2], reach[box, 3] + 1):
            for x in range(reach[box, 0], reach[box, 1] + 1):
                square = y * size[0] + x
                out[begins[square]] = box
                begins[square] += 1
    for square in range(len(begins) - 1, 0, -1):
        begins[square] = begins[square - 1]
    begins[0] = 0


@kernel
def label_points(
    x: Any,
    y: Any,
    z: Any,
    numbers: Any,
    boxes: Any,
    label: Any,
    low: Any,
    square_m: float,
    size: Any,
    begins: Any,
    listed: Any,
    nearest: bool,
    no_class: int,
    out: Any,
) -> None:
    """Writes the label of the box that each point lies in, its faces included; no_class for a point in none.

    x, y, z: float32. numbers: int32, which points; empty: all. boxes: (N, 7) float64. label: (N,) int32, what is
    written. low: (2,) float64, where the squares begin. begins, listed: as list_boxes writes them. nearest: of several
    boxes that of the nearest centre, not the first. out: (n,) int32.
    """
    for k in range(len(out)):
        i = k if len(numbers) == 0 else numbers[k]
        out[k] = no_class
        column, row = floor((x[i] - low[0]) / square_m), floor((y[i] - low[1]) / square_m)
        if not (0 <= column < size[0] and 0 <= row < size[1]):
            continue
        square, least = row * size[0] + column, np.inf
        for at in range(begins[square], begins[square + 1]):
            box = listed[at]
            dx, dy, dz = x[i] - boxes[box, 0], y[i] - boxes[box, 1], z[i] - boxes[box, 2]
            c, s = cos(boxes[box, 6]), sin(boxes[box, 6])
            along, across = dx * c + dy * s, dy * c - dx * s
            inside = abs(along) <= boxes[box, 3] / 2 and abs(across) <= boxes[box, 4] / 2
            if not (inside and abs(dz) <= boxes[box, 5] / 2):
                continue
            far = dx * dx + dy * dy + dz * dz
            if not nearest:
                out[k] = label[box]
                break
            if far < least:
                out[k], least = label[box], far
