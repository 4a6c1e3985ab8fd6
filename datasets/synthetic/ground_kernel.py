"""Where a ray meets the ground, and what is there. Local frame; `kernels` says what applies to all of these."""

from __future__ import annotations

from typing import Any

import numpy as np

from perceptum.inputs.kernel import kernel

from .layout import BIKE_EDGE_M, CROSSING_HALF_M, CURB_M, LANE_M, PARKING_EDGE_M, SEGMENT_M, WALK_EDGE_M
from .trig import _HALF_PI, _INVERSE_PI, _PI_HIGH, _PI_LOW, _SINE

__all__ = ["ground_ray", "road", "surface"]


@kernel
def _sine(x: float) -> Any:
    """Within 1e-11 for x up to 1e5; a shorter series than `trig.sine`, in pairs that a processor works on at once."""
    turns = np.floor(x * _INVERSE_PI + 0.5)
    r = (x - turns * _PI_HIGH) - turns * _PI_LOW
    a = r * r
    b = a * a
    low = (_SINE[0] + _SINE[1] * a) + b * (_SINE[2] + _SINE[3] * a)
    total = low + (b * b) * ((_SINE[4] + _SINE[5] * a) + b * _SINE[6])
    sign = 1.0 - 2.0 * (turns - 2.0 * np.floor(turns * 0.5))
    return sign * (r + r * a * total)


@kernel
def _height(waves: Any, x: float, y: float) -> Any:
    z = 0.0
    for a, kx, ky, phase in waves:
        z += a * _sine(kx * x + ky * y + phase)
    return z


@kernel
def _rise(waves: Any, x: float, y: float, dx: float, dy: float) -> Any:
    """Returns how fast the ground rises along (dx, dy)."""
    rise = 0.0
    for a, kx, ky, phase in waves:
        rise += a * (kx * dx + ky * dy) * _sine(kx * x + ky * y + phase + _HALF_PI)
    return rise


@kernel
def ground_ray(
    waves: Any,
    steepest: float,
    ox: float,
    oy: float,
    oz: float,
    dx: float,
    dy: float,
    dz: float,
    start: float,
    level: float,
    limit: float,
) -> Any:
    """Returns the first t > start where the ray goes below the ground, within a micrometre; inf beyond `limit`.

    A ray that falls faster than the ground anywhere meets it once: Newton from ground at `level`, with the slope
    kept for a few steps. Any other goes ahead as far as is safe on ground no steeper than `steepest`, until it is
    nearly there.
    """
    most = steepest * np.sqrt(dx * dx + dy * dy)
    if dz >= most:
        return np.inf
    t = start
    if -dz > most:
        if limit < np.inf and oz + limit * dz > _height(waves, ox + limit * dx, oy + limit * dy):
            return np.inf
        t = max((level - oz) / dz, start)
    else:
        for _ in range(400):
            step = (oz + t * dz - _height(waves, ox + t * dx, oy + t * dy)) / (most - dz)
            t += step
            if t > limit:
                return np.inf
            if step < 0.01:
                break
    slope = dz - _rise(waves, ox + t * dx, oy + t * dy, dx, dy)
    for n in range(12):
        step = (oz + t * dz - _height(waves, ox + t * dx, oy + t * dy)) / slope
        t -= step
        if abs(step) < 1e-4:
            break
        if n % 3 == 2 or abs(step) > 5.0:
            slope = dz - _rise(waves, ox + t * dx, oy + t * dy, dx, dy)
        if slope > -1e-5:
            break
    return t if t <= limit else np.inf


@kernel
def road(x: float, y: float, guess: float, table: Any) -> tuple[float, float]:
    """Returns (along, across) of a point, within a millimetre near the street; meaningless far from it."""
    along, f, df, last = guess, 0.0, 0.0, len(table.y) - 2
    for _ in range(6):
        at = (along - table.start) * table.per_metre
        i = min(max(int(np.floor(at)), 0), last)
        part = at - i
        f = table.y[i] + (table.y[i + 1] - table.y[i]) * part
        df = table.slope[i] + (table.slope[i + 1] - table.slope[i]) * part
        step = ((x - along) + (y - f) * df) / (1.0 + df * df)
        along += step
        if abs(step) < 1e-4:
            break
    return along, (y - f - df * (x - along)) / np.sqrt(1.0 + df * df)


@kernel
def surface(along: float, across: float) -> int:
    """Returns what the ground is made of: an index into `surfaces.SURFACES`."""
    side = abs(across)
    if side > WALK_EDGE_M:
        return 7
    if side > CURB_M:
        return 5 if side < CURB_M + 0.18 else 6
    segment = np.floor(along / SEGMENT_M)
    middle = along - (segment + 0.5) * SEGMENT_M
    if segment - 3.0 * np.floor(segment / 3.0) == 1.0 and abs(middle) < CROSSING_HALF_M + 2.0:
        if abs(middle) < CROSSING_HALF_M:
            stripe = np.floor(across / 0.5)
            return 1 if stripe - 2.0 * np.floor(stripe * 0.5) == 0.0 else 0
        ahead = middle if across > 0 else -middle
        return 1 if side < BIKE_EDGE_M and abs(ahead - CROSSING_HALF_M - 1.2) < 0.2 else 0
    if 0.08 < side < 0.2:
        return 2
    if abs(side - LANE_M) < 0.08 and along - 9.0 * np.floor(along / 9.0) < 3.0:
        return 1
    if abs(side - BIKE_EDGE_M) < 0.1 or abs(side - PARKING_EDGE_M) < 0.06:
        return 1
    if side > PARKING_EDGE_M:
        return 4
    return 3 if side > BIKE_EDGE_M else 0
