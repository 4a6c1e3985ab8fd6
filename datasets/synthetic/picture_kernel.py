"""The cameras: sky, ground and solids, one ray through the middle of each pixel. Depths are along the camera's axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from perceptum.inputs.kernel import kernel

from .ground_kernel import ground_ray, road, surface
from .kernels import chance_bits, facing, hit

__all__ = ["draw_ground", "draw_solids"]

_GROUND_REACH_M = 600.0
_HAZE = 1.0 / 500.0
_HAZE_COLOUR = (196.0, 208.0, 222.0)


@kernel
def _through_haze(red: float, green: float, blue: float, depth: float) -> tuple[Any, Any, Any]:
    """Returns the colour of a pixel; the further away, the paler."""
    haze = min(depth * _HAZE, 0.8)
    clear = 1.0 - haze
    red = min(red * clear + _HAZE_COLOUR[0] * haze, 255.0)
    green = min(green * clear + _HAZE_COLOUR[1] * haze, 255.0)
    blue = min(blue * clear + _HAZE_COLOUR[2] * haze, 255.0)
    return np.uint8(red), np.uint8(green), np.uint8(blue)


@kernel
def draw_ground(
    image: Any,
    depths: Any,
    lens: tuple[float, float, float],
    eye: Any,
    axes: Any,
    ground: Any,
    table: Any,
    colours: Any,
) -> None:
    """Draws ground wherever it is nearer than what is there, and sky where there is nothing.

    image (H, W, 3), depths (H, W); lens: focal length, middle column, middle row (pixels); eye (3,), axes (3, 3)
    local_from_camera.
    """
    focal, mid_x, mid_y = lens
    waves, steepest = ground
    seen, level = np.zeros(image.shape[1]), np.zeros(image.shape[1])
    for i in range(image.shape[0] - 1, -1, -1):
        v, guess = (i - mid_y) / focal, np.inf
        for j in range(image.shape[1]):
            u = (j - mid_x) / focal
            dx = axes[0, 0] * u + axes[0, 1] * v + axes[0, 2]
            dy = axes[1, 0] * u + axes[1, 1] * v + axes[1, 2]
            dz = axes[2, 0] * u + axes[2, 1] * v + axes[2, 2]
            # a pixel further up sees the ground further away
            reach = min(depths[i, j], _GROUND_REACH_M)
            t = ground_ray(waves, steepest, eye[0], eye[1], eye[2], dx, dy, dz, 0.97 * seen[j], level[j], reach)
            if t < np.inf:
                seen[j], level[j] = t, eye[2] + t * dz
                x, y = eye[0] + t * dx, eye[1] + t * dy
                along, across = road(x, y, x if guess == np.inf else guess, table)
                guess = along
                kind, grain = surface(along, across), _grain(along, across, t)
                red, green, blue = colours[kind, 0] * grain, colours[kind, 1] * grain, colours[kind, 2] * grain
                image[i, j, 0], image[i, j, 1], image[i, j, 2] = _through_haze(red, green, blue, t)
            elif depths[i, j] == np.inf:
                up = dz / np.sqrt(dx * dx + dy * dy + dz * dz)
                image[i, j, 0], image[i, j, 1], image[i, j, 2] = _sky(up)


@kernel
def _grain(along: float, across: float, depth: float) -> Any:
    """Returns how bright a spot of ground is, about 1; by chance, the same spot always the same."""
    if depth > 60.0:
        return 1.0
    cell = np.int64(np.floor(along * 12.0)) * 4096 + np.int64(np.floor(across * 12.0))
    return 0.95 + 0.1 * ((chance_bits(np.uint64(7), cell) >> np.uint64(40)) * 2.0**-24)


@kernel
def _sky(up: float) -> tuple[Any, Any, Any]:
    high = min(max(up * 2.5, 0.0), 1.0)
    red, green, blue = _HAZE_COLOUR[0] - 106.0 * high, _HAZE_COLOUR[1] - 68.0 * high, _HAZE_COLOUR[2] - 12.0 * high
    return np.uint8(red), np.uint8(green), np.uint8(blue)


@kernel
def draw_solids(
    image: Any,
    depths: Any,
    lens: tuple[float, float, float],
    eye: Any,
    axes: Any,
    solids: Any,
    near: Any,
    boxes: Any,
    sun: Any,
) -> None:
    """Draws solids over what is there, wherever they are nearer.

    boxes: (n, 4) first and last column, first and last row that each may cover; near (n,): no part has less depth.
    """
    focal, mid_x, mid_y = lens
    for s in range(len(near)):
        cos, sin = solids.heading[s, 0], solids.heading[s, 1]
        x, y, z = eye[0] - solids.centre[s, 0], eye[1] - solids.centre[s, 1], eye[2] - solids.centre[s, 2]
        ox, oy = cos * x + sin * y, cos * y - sin * x
        kind, hx, hy, hz = solids.kind[s], solids.half[s, 0], solids.half[s, 1], solids.half[s, 2]
        shade = _shade_of(cos, sin, sun)
        paint, look = solids.paint[s], (solids.colour[s, 0], solids.colour[s, 1], solids.colour[s, 2])
        first, last, nearest = boxes[s, 0], boxes[s, 1], near[s]
        for i in range(boxes[s, 2], boxes[s, 3] + 1):
            v = (i - mid_y) / focal
            wx, wy = axes[0, 1] * v + axes[0, 2], axes[1, 1] * v + axes[1, 2]
            dz = axes[2, 1] * v + axes[2, 2]
            for j in range(first, last + 1):
                if depths[i, j] <= nearest:
                    continue
                u = (j - mid_x) / focal
                gx, gy, gz = wx + axes[0, 0] * u, wy + axes[1, 0] * u, dz + axes[2, 0] * u
                dx, dy = cos * gx + sin * gy, cos * gy - sin * gx
                t = hit(kind, ox, oy, z, dx, dy, gz, hx, hy, hz)
                if t < depths[i, j]:
                    depths[i, j] = t
                    px, py, pz = ox + t * dx, oy + t * dy, z + t * gz
                    red, green, blue = _paint(kind, paint, look, px, py, pz, hx, hy, hz, shade)
                    image[i, j, 0], image[i, j, 1], image[i, j, 2] = _through_haze(red, green, blue, t)


@kernel
def _shade_of(cos: float, sin: float, sun: tuple[float, float, float]) -> tuple[float, float, float]:
    """Returns the sun's direction in a solid's frame."""
    return cos * sun[0] + sin * sun[1], cos * sun[1] - sin * sun[0], sun[2]


@kernel
def _paint(
    kind: int,
    paint: int,
    colour: tuple[float, float, float],
    x: float,
    y: float,
    z: float,
    hx: float,
    hy: float,
    hz: float,
    sun: tuple[float, float, float],
) -> tuple[float, float, float]:
    nx, ny, nz = facing(kind, x, y, z, hx, hy, hz)
    light = 0.62 + 0.38 * max(nx * sun[0] + ny * sun[1] + nz * sun[2], 0.0)
    red, green, blue = colour
    detail = _detail(paint, x, y, z, hx, hy, hz, nx, ny, nz)
    if detail == 1:  # glass
        red, green, blue = 44.0, 56.0, 70.0
    elif detail == 2:  # tyre
        red, green, blue = 24.0, 24.0, 26.0
    elif detail == 3:  # headlight
        red, green, blue = 250.0, 246.0, 225.0
    elif detail == 4:  # tail light
        red, green, blue = 215.0, 20.0, 25.0
    elif detail >= 16:  # leaves
        light *= 0.6 + detail / 64.0
    return red * light, green * light, blue * light


@kernel
def _detail(
    paint: int, x: float, y: float, z: float, hx: float, hy: float, hz: float, nx: float, ny: float, nz: float
) -> Any:
    """Returns what is special about a point on a solid: see `_paint`; 0 for its plain colour."""
    if paint == 6 and abs(nz) < 0.5:
        at = (x if abs(ny) > 0.5 else y) / 3.0
        floor = (hz - z) / 3.1
        at, floor = at - np.floor(at), floor - np.floor(floor)
        return 1 if 0.28 < at < 0.74 and 0.3 < floor < 0.78 and z > 1.9 - hz else 0
    if paint == 1:
        return 1 if abs(nz) < 0.5 and z < 0.75 * hz else 0
    if paint == 0:
        up = z + hz
        if abs(ny) > 0.5:
            ahead = abs(abs(x) - 0.62 * hx)
            return 2 if ahead * ahead + (up - 0.1) * (up - 0.1) < 0.11 else 0
        if abs(nx) > 0.5 and abs(y) > 0.62 * hy and 0.55 < up / (2.0 * hz) < 0.85:
            return 3 if nx > 0 else 4
    if paint == 8:
        cell = np.int64(np.floor(x * 6.0)) * 4096 + np.int64(np.floor(y * 6.0)) * 64 + np.int64(np.floor(z * 6.0))
        return 16 + np.int64(chance_bits(np.uint64(9), cell) >> np.uint64(59))
    return 0
