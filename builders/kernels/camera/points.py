"""Which points cameras see."""

from __future__ import annotations

from typing import Any

import numpy as np

from perceptum.inputs.kernel import kernel

from .sight import BLOCK, can_see, cells_of, gather, pixels_of

__all__ = ["ALL", "FIRST", "MIDDLE", "find_pixels", "list_seen"]

FIRST, MIDDLE, ALL = range(3)
"""What is shown of a point that several cameras see, as the parameter `take` says."""


@kernel
def find_pixels(
    columns: Any,
    chosen: Any,
    start: int,
    n: int,
    boxes: Any,
    cameras: Any,
    numbers: Any,
    rule: int,
    near: float,
    far: float,
    along_ray: bool,
    within: bool,
    take: int,
    middles: Any,
    xyz: Any,
    seen: Any,
    depths: Any,
    cells: Any,
    off: Any,
    index: Any,
    out: Any,
) -> None:
    """Writes by which camera each of the points [start, start + n) is seen, -1 if by none, and at which u, v and depth.

    start: a multiple of BLOCK. middles: (K, 2) float64, the middle of each picture. off: (BLOCK,) float64.
    index: (1, N) int32, for ALL (K, N). out: (3, N) float32, for ALL (3 K, N); 0 where a point is not seen. The rest as
    in `draw`.
    """
    for k in range(len(index)):
        index[k, start : start + n] = -1
    for k in range(len(out)):
        out[k, start : start + n] = 0
    for first in range(start, start + n, BLOCK):
        many = min(BLOCK, start + n - first)
        gather(columns, chosen, first, xyz[:, :many])
        x, y, z = xyz[0, :many], xyz[1, :many], xyz[2, :many]
        off[:many] = np.inf
        for k in range(len(numbers)):
            number = numbers[k]
            camera = cameras[number]
            if not can_see(camera, boxes[first // BLOCK]):
                continue
            pixels_of(camera, x, y, z, along_ray, within, seen)
            cells_of(camera, many, rule, 1.0, near, far, 1, seen, depths, cells)
            at = number if take == ALL else 0
            for i in range(many):
                if cells[i] < 0:
                    continue
                u, v = seen[0, i], seen[1, i]
                if take == MIDDLE:
                    to_right, down = u - middles[number, 0], v - middles[number, 1]
                    away = to_right * to_right + down * down
                    if not away < off[i]:
                        continue
                    off[i] = away
                elif take == FIRST and index[0, first + i] >= 0:
                    continue
                index[at, first + i] = number
                out[3 * at, first + i], out[3 * at + 1, first + i] = u, v
                out[3 * at + 2, first + i] = depths[i]


@kernel
def list_seen(
    columns: Any,
    chosen: Any,
    n: int,
    camera: Any,
    rule: int,
    near: float,
    far: float,
    along_ray: bool,
    within: bool,
    xyz: Any,
    seen: Any,
    depths: Any,
    cells: Any,
    listed: Any,
    out: Any,
) -> int:
    """Writes the numbers of the points that a camera sees, and their u, v and depth, in their order; returns how many.

    camera: (NUMBERS,) float64. listed: (N,) int32. out: (3, N) float32. The rest as in `draw`.
    """
    found = 0
    for first in range(0, n, BLOCK):
        many = min(BLOCK, n - first)
        gather(columns, chosen, first, xyz[:, :many])
        pixels_of(camera, xyz[0, :many], xyz[1, :many], xyz[2, :many], along_ray, within, seen)
        cells_of(camera, many, rule, 1.0, near, far, 1, seen, depths, cells)
        for i in range(many):
            if cells[i] >= 0:
                listed[found] = chosen[first + i] if len(chosen) > 0 else first + i
                out[0, found], out[1, found], out[2, found] = seen[0, i], seen[1, i], depths[i]
                found += 1
    return found
