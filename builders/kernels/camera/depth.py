"""Depth maps."""

from __future__ import annotations

from typing import Any

import numpy as np

from perceptum.inputs.kernel import kernel

from .sight import BLOCK, box_of, can_see, cells_of, gather, pixels_of

__all__ = ["draw", "pool"]


@kernel
def draw(
    columns: Any,
    chosen: Any,
    n: int,
    cameras: Any,
    numbers: Any,
    rule: int,
    stride: float,
    near: float,
    far: float,
    along_ray: bool,
    within: bool,
    last: bool,
    xyz: Any,
    box: Any,
    seen: Any,
    depths: Any,
    cells: Any,
    out: Any,
) -> None:
    """Writes the depth maps of the cameras that are numbered, (K, H, W) float32; 0 where no point falls.

    columns, chosen: as `gather` takes them; n points. cameras: (K, NUMBERS) float64. numbers: int64. last: of several
    points on a cell the last is shown, not the nearest. xyz, box, seen, depths, cells: for the work.
    """
    wide, maps = out.shape[2], out.reshape(out.shape[0], -1).view(np.uint32)
    bits, one = depths.view(np.uint32), np.uint32(1)
    for k in range(len(numbers)):
        maps[numbers[k]] = 0
    for first in range(0, n, BLOCK):
        many = min(BLOCK, n - first)
        gather(columns, chosen, first, many, xyz)
        box_of(xyz, many, box)
        for k in range(len(numbers)):
            camera, target = cameras[numbers[k]], maps[numbers[k]]
            if not can_see(camera, box):
                continue
            pixels_of(camera, xyz, many, along_ray, within, seen)
            cells_of(camera, many, rule, stride, near, far, wide, seen, depths, cells)
            if last:
                for i in range(many):
                    if cells[i] >= 0:
                        target[cells[i]] = bits[i]
            else:
                for i in range(many):
                    # the bits of numbers above 0 are in their order, and 0, where nothing is yet, becomes the greatest
                    if cells[i] >= 0 and bits[i] - one < target[cells[i]] - one:
                        target[cells[i]] = bits[i]


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
