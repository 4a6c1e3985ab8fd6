"""Where a ray meets a solid, and chance. Numbers in, numbers out; the local frame; compiled when first used.

Only + - * / and square roots decide a value, in a fixed order, so the bits are the same on every machine.
Small things go in as tuples and numbers: an array costs two atomic counts at every call.
A ray is its origin and a direction d of any length; a distance t along it is in units of that length; inf: no hit.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from perceptum.inputs.kernel import kernel

__all__ = ["chance_bits", "facing", "hit"]


@kernel
def hit(
    kind: int, ox: float, oy: float, oz: float, dx: float, dy: float, dz: float, hx: float, hy: float, hz: float
) -> Any:
    """Returns the first t > 0 at which a ray enters a solid, all in the solid's own frame; inf from inside."""
    if kind == 0:
        return _hit_box(ox, oy, oz, dx, dy, dz, hx, hy, hz)
    ox, oy, dx, dy = ox / hx, oy / hy, dx / hx, dy / hy
    a, b, c = dx * dx + dy * dy, ox * dx + oy * dy, ox * ox + oy * oy - 1.0
    if kind == 2:
        oz, dz = oz / hz, dz / hz
        a, b, c = a + dz * dz, b + oz * dz, c + oz * oz
        if c <= 0.0 or b >= 0.0 or b * b < a * c:
            return np.inf
        return (-b - np.sqrt(b * b - a * c)) / a
    near, far = (-hz - oz) / dz, (hz - oz) / dz
    if near > far:
        near, far = far, near
    if b * b < a * c:
        return np.inf
    root = np.sqrt(b * b - a * c)
    if a > 0.0:
        near, far = max(near, (-b - root) / a), min(far, (-b + root) / a)
    return near if 0.0 < near <= far else np.inf


@kernel
def _hit_box(ox: float, oy: float, oz: float, dx: float, dy: float, dz: float, hx: float, hy: float, hz: float) -> Any:
    ix, iy, iz = 1.0 / dx, 1.0 / dy, 1.0 / dz
    a, b = (-hx - ox) * ix, (hx - ox) * ix
    c, d = (-hy - oy) * iy, (hy - oy) * iy
    e, f = (-hz - oz) * iz, (hz - oz) * iz
    near = max(max(min(a, b), min(c, d)), min(e, f))
    far = min(min(max(a, b), max(c, d)), max(e, f))
    return near if 0.0 < near <= far else np.inf


@kernel
def facing(kind: int, x: float, y: float, z: float, hx: float, hy: float, hz: float) -> tuple[float, float, float]:
    """Returns the outward unit normal at a point on a solid, in the solid's own frame."""
    if kind == 0:
        a, b, c = abs(x) / hx, abs(y) / hy, abs(z) / hz
        if a >= b and a >= c:
            return (1.0 if x > 0 else -1.0), 0.0, 0.0
        if b >= c:
            return 0.0, (1.0 if y > 0 else -1.0), 0.0
        return 0.0, 0.0, (1.0 if z > 0 else -1.0)
    nx, ny, nz = x / (hx * hx), y / (hy * hy), z / (hz * hz)
    if kind == 1:
        if abs(z) > hz * (1.0 - 1e-9):
            return 0.0, 0.0, (1.0 if z > 0 else -1.0)
        nz = 0.0
    length = np.sqrt(nx * nx + ny * ny + nz * nz)
    return nx / length, ny / length, nz / length


@kernel
def chance_bits(start: Any, counter: Any) -> Any:
    """Returns what `chance.bits(start, counter)` gives, for unsigned numbers."""
    h = (np.uint64(start) ^ np.uint64(counter)) + np.uint64(0x9E3779B97F4A7C15)
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return h ^ (h >> np.uint64(31))
