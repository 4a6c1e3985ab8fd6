"""On which pixel of a camera each point falls: block by block, in float64, and without looking at blocks that a camera
cannot see.

A camera is a row of numbers: where each lies is said by the constants below.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from perceptum.inputs.kernel import inner, kernel
from perceptum.inputs.lens_kernel import PARAMETERS, PINHOLE, pixel_of

from ..record import floats, value

__all__ = ["AFFINE", "BLOCK", "CAMERA", "EDGE", "FLOOR", "LENS", "MODEL", "NUMBERS", "PIXEL", "PLANES", "RECORDED"]
__all__ += [
    "ROUND",
    "SIZE",
    "TRUNCATE",
    "WITHIN",
    "boxes_of",
    "can_see",
    "cells_at_once",
    "cells_of",
    "gather",
    "pixels_of",
]
__all__ += ["side_by_side"]

BLOCK = 256
"""Points that are looked at together. A spinning lidar fires them within a few degrees: most cameras see none."""

PIXEL, RECORDED, CAMERA = 0, 12, 20
"""(3, 4) from a place to (u d, v d, d) of the tensor's picture; (2, 4) to (u d, v d) of the recorded picture; (3, 4) to
the camera's axes, of which the last row is that of d too."""
PLANES = 32
"""(6, 4): a place with a x + b y + c z + e < 0 of any of them is not seen."""
SIZE = 56
"""Height and width of what is shown, in cells; v and u from which on nothing is shown."""
WITHIN = 60
"""Least u, most u, least v, most v of the recorded picture, themselves outside."""
MODEL, LENS = 64, 65
"""The lens: its model, and its parameters as `inputs.lens_kernel` has them; of a pinhole they are not looked at."""
AFFINE = LENS + PARAMETERS
"""(2, 3) from a pixel (u, v, 1) of the recorded picture to one of the tensor's."""
NUMBERS = AFFINE + 6

EDGE, FLOOR, ROUND, TRUNCATE = range(4)
"""Which pixel a place belongs to, as the parameter `pixel` says."""


@kernel
def gather(columns: Any, chosen: Any, first: int, xyz: Any) -> None:
    """Writes the places of the points from number `first` on, or of those that are listed there, to xyz (3, n) float32.

    columns: (3, 2) int64, where x, y and z are in memory. chosen: int32 point numbers; empty: all points.
    """
    for axis in range(3):
        at, step, out = columns[axis, 0], columns[axis, 1], xyz[axis]
        if len(chosen) > 0:
            for i in range(len(out)):
                out[i] = value(at, step, int(chosen[first + i]))
        else:
            for i in range(len(out)):
                out[i] = value(at, step, first + i)


@inner
def side_by_side(columns: Any, chosen: Any) -> bool:
    """Whether the points can be looked at where they are in memory."""
    return len(chosen) == 0 and columns[0, 1] == 4 and columns[1, 1] == 4 and columns[2, 1] == 4


@inner
def _turned(bits: Any) -> Any:
    """Returns the bits of a float32 as a whole number in the same order, and back."""
    return bits ^ ((bits >> np.int32(31)) & np.int32(2**31 - 1))


@inner
def _write_bounds(numbers: Any, bounds: Any) -> None:
    """Writes the least and the greatest of float32 numbers, found by their bits: of these the compiler looks at eight
    at a time, of the numbers at one, since there might be some that are none."""
    least, most, bits, out = np.int32(2**31 - 1), np.int32(-(2**31)), numbers.view(np.int32), bounds.view(np.int32)
    for i in range(len(bits)):
        ordered = _turned(bits[i])
        least, most = min(least, ordered), max(most, ordered)
    out[0], out[1] = _turned(least), _turned(most)


@kernel
def boxes_of(columns: Any, chosen: Any, n: int, xyz: Any, boxes: Any) -> None:
    """Writes the box around each block of BLOCK points, of n points in all, to boxes (B, 3, 2) float32.

    xyz: (3, BLOCK) float32, for the work. The rest as in `gather`.
    """
    as_they_are = side_by_side(columns, chosen)
    for block in range(len(boxes)):
        first = block * BLOCK
        many = min(BLOCK, n - first)
        if not as_they_are:
            gather(columns, chosen, first, xyz[:, :many])
        for axis in range(3):
            places = floats(columns[axis, 0], first, many) if as_they_are else xyz[axis, :many]
            _write_bounds(places, boxes[block, axis])


@kernel
def can_see(camera: Any, box: Any) -> bool:
    """Whether a camera may see anything of a box (3, 2) float32; never False where it does."""
    for plane in range(6):
        at = PLANES + 4 * plane
        best = camera[at + 3]
        for axis in range(3):
            along = camera[at + axis]
            best += along * np.float64(box[axis, 1] if along > 0 else box[axis, 0])
        if best < 0:
            return False
    return True


@inner
def _row(camera: Any, at: int) -> Any:
    """Returns the four numbers of a matrix's row, as numbers: an array's would be read again for every point."""
    return camera[at], camera[at + 1], camera[at + 2], camera[at + 3]


@kernel
def _through_lens(camera: Any, x: Any, y: Any, z: Any, along_ray: bool, within: bool, seen: Any) -> None:
    """Does what `pixels_of` does, of a camera that is no pinhole."""
    u, v, depth = seen[0], seen[1], seen[2]
    (xx, xy, xz, x0), (yx, yy, yz, y0) = _row(camera, CAMERA), _row(camera, CAMERA + 4)
    zx, zy, zz, z0 = _row(camera, CAMERA + 8)
    (uu, uv, u1, vu), (vv, v1) = _row(camera, AFFINE), (camera[AFFINE + 4], camera[AFFINE + 5])
    left, right, top, bottom = _row(camera, WITHIN)
    model, lens = int(camera[MODEL]), camera[LENS : LENS + PARAMETERS]
    for i in range(len(x)):
        px, py, pz = np.float64(x[i]), np.float64(y[i]), np.float64(z[i])
        to_right, down = xx * px + xy * py + xz * pz + x0, yx * px + yy * py + yz * pz + y0
        ahead = zx * px + zy * py + zz * pz + z0
        column, row, shown = pixel_of(to_right, down, ahead, model, lens)
        if within:
            shown = shown and column > left and column < right and row > top and row < bottom
        u[i], v[i] = uu * column + uv * row + u1, vu * column + vv * row + v1
        away = np.sqrt(to_right * to_right + down * down + ahead * ahead) if along_ray else ahead
        depth[i] = away if shown else 0.0


@kernel
def pixels_of(camera: Any, x: Any, y: Any, z: Any, along_ray: bool, within: bool, seen: Any) -> None:
    """Writes u, v and depth of n <= BLOCK places to seen (3, BLOCK) float64; the depth of what is not seen is 0.

    x, y, z: (n,) float32. along_ray: the depth is the distance from the camera. within: it is 0 too where the recorded
    picture ends.
    """
    if camera[MODEL] != PINHOLE:
        _through_lens(camera, x, y, z, along_ray, within, seen)
        return
    n = len(x)
    u, v, depth = seen[0], seen[1], seen[2]
    (ux, uy, uz, u0), (vx, vy, vz, v0) = _row(camera, PIXEL), _row(camera, PIXEL + 4)
    dx, dy, dz, d0 = _row(camera, PIXEL + 8)
    for i in range(n):
        px, py, pz = np.float64(x[i]), np.float64(y[i]), np.float64(z[i])
        ahead = dx * px + dy * py + dz * pz + d0
        u[i] = (ux * px + uy * py + uz * pz + u0) / ahead
        v[i] = (vx * px + vy * py + vz * pz + v0) / ahead
        depth[i] = ahead if ahead > 0 else 0.0
    if within:
        (ux, uy, uz, u0), (vx, vy, vz, v0) = _row(camera, RECORDED), _row(camera, RECORDED + 4)
        left, right, top, bottom = _row(camera, WITHIN)
        for i in range(n):
            px, py, pz = np.float64(x[i]), np.float64(y[i]), np.float64(z[i])
            ahead = dx * px + dy * py + dz * pz + d0
            column = (ux * px + uy * py + uz * pz + u0) / ahead
            row = (vx * px + vy * py + vz * pz + v0) / ahead
            inside = (column > left) & (column < right) & (row > top) & (row < bottom)
            depth[i] = depth[i] if inside else 0.0
    if along_ray:
        (ux, uy, uz, u0), (vx, vy, vz, v0) = _row(camera, CAMERA), _row(camera, CAMERA + 4)
        for i in range(n):
            px, py, pz = np.float64(x[i]), np.float64(y[i]), np.float64(z[i])
            ahead = dx * px + dy * py + dz * pz + d0
            right, down = ux * px + uy * py + uz * pz + u0, vx * px + vy * py + vz * pz + v0
            depth[i] = np.sqrt(right * right + down * down + ahead * ahead) if depth[i] > 0 else 0.0


@kernel
def cells_of(
    camera: Any,
    n: int,
    rule: int,
    stride: float,
    near: float,
    far: float,
    wide: int,
    seen: Any,
    depths: Any,
    cells: Any,
) -> None:
    """Writes in which cell of a map, with `wide` cells in a row, each of n places falls, and its depth as float32.

    -1 is outside of what is shown, or of depths [near, far). seen: as `pixels_of` writes it. depths: (BLOCK,) float32.
    cells: (BLOCK,) int32.
    """
    u, v, depth = seen[0], seen[1], seen[2]
    height, width, bottom, right = camera[SIZE], camera[SIZE + 1], camera[SIZE + 2], camera[SIZE + 3]
    per_row, half = np.float64(wide), 0.5 if rule == EDGE else 0.0
    for i in range(n):
        depths[i] = np.float32(depth[i])
    # three loops, not one that asks for the rule: the compiler then works on several points at once
    if rule == ROUND:
        for i in range(n):
            away, column, row = np.float64(depths[i]), np.rint(u[i] / stride), np.rint(v[i] / stride)
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height) & (u[i] < right) & (v[i] < bottom)
            inside = inside & (away > 0) & (away >= near) & (away < far)
            cells[i] = np.int32(row * per_row + column if inside else -1.0)
    elif rule == TRUNCATE:
        for i in range(n):
            away, column, row = np.float64(depths[i]), np.trunc(u[i] / stride), np.trunc(v[i] / stride)
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height) & (u[i] < right) & (v[i] < bottom)
            inside = inside & (away > 0) & (away >= near) & (away < far)
            cells[i] = np.int32(row * per_row + column if inside else -1.0)
    else:
        for i in range(n):
            column, row = np.floor((u[i] + half) / stride), np.floor((v[i] + half) / stride)
            away = np.float64(depths[i])
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height) & (u[i] < right) & (v[i] < bottom)
            inside = inside & (away > 0) & (away >= near) & (away < far)
            cells[i] = np.int32(row * per_row + column if inside else -1.0)


@kernel
def cells_at_once(
    camera: Any,
    x: Any,
    y: Any,
    z: Any,
    half: float,
    share: float,
    near: float,
    far: float,
    wide: int,
    depths: Any,
    cells: Any,
) -> None:
    """Does what `pixels_of` and `cells_of` do for a pinhole, EDGE (half = 0.5) or FLOOR (0), strides of 2, 4, 8, .. (of
    which `share`, 1 / stride, is exact), along the axis and not within: the usual case in one loop with two divisions.
    Six maps from 322 970 points take 2.2 ms of kernels so, and 3.0 otherwise.
    """
    (ux, uy, uz, u0), (vx, vy, vz, v0) = _row(camera, PIXEL), _row(camera, PIXEL + 4)
    dx, dy, dz, d0 = _row(camera, PIXEL + 8)
    height, width, bottom, right = _row(camera, SIZE)
    per_row = np.float64(wide)
    for i in range(len(x)):
        px, py, pz = np.float64(x[i]), np.float64(y[i]), np.float64(z[i])
        ahead = dx * px + dy * py + dz * pz + d0
        u, v = (ux * px + uy * py + uz * pz + u0) / ahead, (vx * px + vy * py + vz * pz + v0) / ahead
        column, row = np.floor((u + half) * share), np.floor((v + half) * share)
        depth = np.float32(ahead)
        away = np.float64(depth)
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height) & (u < right) & (v < bottom)
        inside = inside & (away > 0) & (away >= near) & (away < far)
        cells[i] = np.int32(row * per_row + column if inside else -1.0)
        depths[i] = depth
