"""The spinning lidar: which solids each firing column can meet, and what its rays hit."""

from __future__ import annotations

from typing import Any

import numpy as np

from perceptum.inputs.kernel import kernel

from .ground_kernel import ground_ray, road, surface
from .kernels import chance_bits, facing, hit

__all__ = ["cast_sweep", "list_columns"]


@kernel
def list_columns(first: Any, last: Any, columns: int) -> tuple[Any, Any]:
    """Returns CSR lists: column c can meet the solids listed[starts[c]:starts[c + 1]], in the order given.

    first, last: (n,) the columns of each solid, first <= last, wrapped round the revolution.
    """
    starts = np.zeros(columns + 1, np.int64)
    for i in range(len(first)):
        for c in range(first[i], min(last[i], first[i] + columns - 1) + 1):
            starts[c % columns + 1] += 1
    for c in range(columns):
        starts[c + 1] += starts[c]
    listed = np.empty(starts[columns], np.int32)
    filled = starts[:-1].copy()
    for i in range(len(first)):
        for c in range(first[i], min(last[i], first[i] + columns - 1) + 1):
            listed[filled[c % columns]] = i
            filled[c % columns] += 1
    return starts, listed


@kernel
def _nearest(solids: Any, near: Any, listed: Any, seconds: float, eye: Any, rays: Any, best: Any, which: Any) -> None:
    """Writes per ray (B,) the distance to the nearest listed solid and its index; -1 where none is nearer."""
    for i in listed:
        turn = solids.turn[i] * seconds
        cos = solids.heading[i, 0] - turn * solids.heading[i, 1]
        sin = solids.heading[i, 1] + turn * solids.heading[i, 0]
        length = np.sqrt(cos * cos + sin * sin)
        cos, sin = cos / length, sin / length
        x = eye[0] - solids.centre[i, 0] - solids.velocity[i, 0] * seconds
        y = eye[1] - solids.centre[i, 1] - solids.velocity[i, 1] * seconds
        z = eye[2] - solids.centre[i, 2] - solids.velocity[i, 2] * seconds
        ox, oy = cos * x + sin * y, cos * y - sin * x
        kind, hx, hy, hz = solids.kind[i], solids.half[i, 0], solids.half[i, 1], solids.half[i, 2]
        for b in range(len(rays)):
            if best[b] <= near[i]:
                continue
            dx = cos * rays[b, 0] + sin * rays[b, 1]
            dy = cos * rays[b, 1] - sin * rays[b, 0]
            t = hit(kind, ox, oy, z, dx, dy, rays[b, 2], hx, hy, hz)
            if t < best[b]:
                best[b], which[b] = t, i


@kernel
def _incidence(solids: Any, seconds: float, eye: Any, rays: Any, best: Any, which: Any, cosine: Any) -> None:
    """Writes per ray (B,) the cosine between it and the normal where it hits a solid."""
    for b in range(len(rays)):
        i, t = which[b], best[b]
        if i < 0:
            continue
        turn = solids.turn[i] * seconds
        cos = solids.heading[i, 0] - turn * solids.heading[i, 1]
        sin = solids.heading[i, 1] + turn * solids.heading[i, 0]
        x = eye[0] + t * rays[b, 0] - solids.centre[i, 0] - solids.velocity[i, 0] * seconds
        y = eye[1] + t * rays[b, 1] - solids.centre[i, 1] - solids.velocity[i, 1] * seconds
        z = eye[2] + t * rays[b, 2] - solids.centre[i, 2] - solids.velocity[i, 2] * seconds
        hx, hy, hz = solids.half[i, 0], solids.half[i, 1], solids.half[i, 2]
        nx, ny, nz = facing(solids.kind[i], cos * x + sin * y, cos * y - sin * x, z, hx, hy, hz)
        dx, dy = cos * rays[b, 0] + sin * rays[b, 1], cos * rays[b, 1] - sin * rays[b, 0]
        cosine[b] = abs(nx * dx + ny * dy + nz * rays[b, 2])


@kernel
def cast_sweep(
    solids: Any,
    reflectivity: Any,
    near: Any,
    starts: Any,
    listed: Any,
    seconds: Any,
    eyes: Any,
    frames: Any,
    azimuths: Any,
    elevations: Any,
    ground: Any,
    table: Any,
    surfaces: Any,
    start: Any,
    limits: tuple[float, float, float],
    x: Any,
    y: Any,
    z: Any,
    intensity: Any,
    ring: Any,
    column: Any,
    owner: Any,
    surface_of: Any,
) -> int:
    """Fills the columns of a sweep in firing order, each column from its lowest ray up; returns how many returned.

    seconds (A,) of each firing column after the scene's moment; eyes (A, 3) the sensor then; frames (A, 3, 3)
    local_from_sensor; azimuths (A, 2), elevations (B, 2) cosine and sine, B from the lowest up; limits: range,
    noise, dropout. near (n,): no point of a solid is nearer than this. surface_of: the ground's surface, or the number
    of surfaces and the solid's paint.
    """
    beams, n = len(elevations), 0
    rays, best, which = np.empty((beams, 3)), np.empty(beams), np.empty(beams, np.int32)
    cosines = np.empty(beams)
    reach, noise, dropout = limits
    waves, steepest = ground
    for c in range(len(seconds)):
        for b in range(beams):
            sx, sy, sz = elevations[b, 0] * azimuths[c, 0], elevations[b, 0] * azimuths[c, 1], elevations[b, 1]
            for k in range(3):
                rays[b, k] = frames[c, k, 0] * sx + frames[c, k, 1] * sy + frames[c, k, 2] * sz
            best[b], which[b] = reach, -1
        eye = eyes[c]
        _nearest(solids, near, listed[starts[c] : starts[c + 1]], seconds[c], eye, rays, best, which)
        _incidence(solids, seconds[c], eye, rays, best, which, cosines)
        ex, ey, ez, seen, level = eye[0], eye[1], eye[2], 0.0, 0.0
        for b in range(beams):
            dx, dy, dz = rays[b, 0], rays[b, 1], rays[b, 2]
            # a higher ray meets the ground further out: start near where the one below did
            flat = np.sqrt(dx * dx + dy * dy)
            t = ground_ray(waves, steepest, ex, ey, ez, dx, dy, dz, 0.9 * seen / flat, level, best[b])
            if t < best[b]:
                best[b], which[b], seen, level = t, -2, t * flat, ez + t * dz
            if which[b] == -1:
                continue
            t = best[b]
            if which[b] == -2:
                along, across = road(ex + t * dx, ey + t * dy, ex + t * dx, table)
                what = surface(along, across)
                cosine, shine = -dz, surfaces[what]
            else:
                what = len(surfaces) + solids.paint[which[b]]
                cosine, shine = cosines[b], reflectivity[which[b]]
            h = chance_bits(start, c * beams + b)
            far = t / reach
            lost = dropout * (1.0 + 40.0 * far * far * (1.0 - cosine) * (1.0 - cosine))
            if (h & np.uint64(0xFFFF)) * 2.0**-16 < lost:
                continue
            spread = 0.0
            for k in range(1, 4):
                spread += ((h >> np.uint64(16 * k)) & np.uint64(0xFFFF)) * 2.0**-16
            # three uniform numbers less their mean have a deviation of one half
            t = max(t + noise * 2.0 * (spread - 1.5), 0.1)
            sx, sy, sz = elevations[b, 0] * azimuths[c, 0], elevations[b, 0] * azimuths[c, 1], elevations[b, 1]
            x[n], y[n], z[n] = t * sx, t * sy, t * sz
            bright = 255.0 * shine * (0.35 + 0.65 * cosine) * (0.9 + 0.2 * ((h >> np.uint64(48)) * 2.0**-16))
            intensity[n] = np.uint8(min(max(bright, 1.0), 255.0))
            ring[n], column[n] = b, c
            owner[n] = solids.owner[which[b]] if which[b] >= 0 else -1
            surface_of[n] = what
            n += 1
    return n
