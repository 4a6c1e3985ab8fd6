"""Depth maps."""

from __future__ import annotations

from typing import Any

import numpy as np

from perceptum.inputs.kernel import kernel
from perceptum.inputs.lens_kernel import PINHOLE

from ..record import floats
from .sight import BLOCK, EDGE, FLOOR, MODEL, can_see, cells_at_once, cells_of, gather, pixels_of, side_by_side

__all__ = ["draw", "pool"]


@kernel
def draw(
    columns: Any,
    chosen: Any,
    n: int,
    boxes: Any,
    camera: Any,
    rule: int,
    stride: float,
    near: float,
    far: float,
    along_ray: bool,
    within: bool,
    last: bool,
    xyz: Any,
    seen: Any,
    depths: Any,
    cells: Any,
    out: Any,
) -> None:
    """Writes the depth map of a camera, (H, W) float32; 0 where no point falls.

    One camera after the other, not all of them block by block: its map stays in the second-level cache. 2.9 ms for six
    maps of 256 x 704 numbers from 322 970 points, between other work, against 4.2.

    columns, chosen: as `gather` takes them; n points. boxes: as `boxes_of` writes them. camera: (NUMBERS,) float64.
    last: of several points on a cell the last is shown, not the nearest. xyz, seen, depths, cells: for the work.
    """
    target, bits, one = out.reshape(-1).view(np.uint32), depths.view(np.uint32), np.uint32(1)
    target[:] = 0
    half, share = 0.5 if rule == EDGE else 0.0, 1.0 / stride
    usual = camera[MODEL] == PINHOLE and rule in (EDGE, FLOOR) and not (along_ray or within)
    usual = usual and int(stride) & (int(stride) - 1) == 0
    as_they_are = side_by_side(columns, chosen)
    for block in range(len(boxes)):
        if not can_see(camera, boxes[block]):
            continue
        first = block * BLOCK
        many = min(BLOCK, n - first)
        if as_they_are:
            x, y = floats(columns[0, 0], first, many), floats(columns[1, 0], first, many)
            z = floats(columns[2, 0], first, many)
        else:
            gather(columns, chosen, first, xyz[:, :many])
            x, y, z = xyz[0, :many], xyz[1, :many], xyz[2, :many]
        if usual:
            cells_at_once(camera, x, y, z, half, share, near, far, out.shape[1], depths, cells)
        else:
            pixels_of(camera, x, y, z, along_ray, within, seen)
            cells_of(camera, many, rule, stride, near, far, out.shape[1], seen, depths, cells)
        # nothing here depends on what a processor can guess: first those that are shown move up, then they are written;
        # 0.6 ms of the 2.2, against 0.9 with a branch for each
        found = 0
        for i in range(many):
            cell, depth = cells[i], bits[i]
            cells[found], bits[found] = cell, depth
            found += cell >= 0
        if last:
            for i in range(found):
                target[cells[i]] = bits[i]
        else:
            for i in range(found):
                # the bits of numbers above 0 are in their order, and 0, where nothing is yet, becomes the greatest
                cell = cells[i]
                target[cell] = min(target[cell] - one, bits[i] - one) + one


@kernel
def pool(pixels: Any, stride: int, rows: int, columns: int, out: Any) -> None:
    """Writes the least number above 0 of each square of pixels, 0 where there is none, to the first rows and columns.

    pixels: (H, W) float32, rows <= H / stride, columns <= W / stride. out: (h, w) float32.
    """
    for row in range(rows):
        for column in range(columns):
            least = np.float32(0)
            for line in range(row * stride, (row + 1) * stride):
                for k in range(column * stride, (column + 1) * stride):
                    depth = pixels[line, k]
                    if depth > 0 and (least == 0 or depth < least):
                        least = depth
            out[row, column] = least
