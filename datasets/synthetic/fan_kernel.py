"""The radars: what each ray of a flat fan meets first."""

from __future__ import annotations

from typing import Any

import numpy as np

from perceptum.inputs.kernel import kernel

from .ground_kernel import ground_ray
from .kernels import hit

__all__ = ["cast_fan"]


@kernel
def cast_fan(solids: Any, eye: Any, rays: Any, ground: Any, reach: float, distance: Any, which: Any) -> None:
    """Writes per ray (n,) the distance to the first solid and its index; -1 where there is none before the ground."""
    waves, steepest = ground
    for r in range(len(rays)):
        distance[r], which[r] = reach, -1
        for s in range(len(solids.kind)):
            cos, sin = solids.heading[s]
            x, y, z = eye[0] - solids.centre[s, 0], eye[1] - solids.centre[s, 1], eye[2] - solids.centre[s, 2]
            ox, oy = cos * x + sin * y, cos * y - sin * x
            dx, dy = cos * rays[r, 0] + sin * rays[r, 1], cos * rays[r, 1] - sin * rays[r, 0]
            half = solids.half[s]
            t = hit(solids.kind[s], ox, oy, z, dx, dy, rays[r, 2], half[0], half[1], half[2])
            if t < distance[r]:
                distance[r], which[r] = t, s
        t = ground_ray(
            waves, steepest, eye[0], eye[1], eye[2], rays[r, 0], rays[r, 1], rays[r, 2], 0.0, 0.0, distance[r]
        )
        if t < np.inf:
            which[r] = -1
