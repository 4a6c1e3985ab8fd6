"""Whether a radar's Doppler has the sign that the motion of the car gives to what stands still."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from perceptum.inputs import LogError, Matrix, Poses, RadarSweep

__all__ = ["Doppler", "ray_speeds"]

_AROUND_NS = 50_000_000
"""The sensor's velocity is that between its places so long before and after the cycle."""
_SLOWEST_MPS = 3.0
"""Below this along the ray, what stands still and what moves cannot be told apart."""
_FEWEST = 20
_TIMES_AS_MANY = 4


class Doppler:
    """Counts the detections that move as what stands still does, and those that do so with the sign turned over.

    Of what really moves few do either: a thing that recedes at twice the speed of the car, the one, or none of them.
    """

    def __init__(self, poses: Poses | None) -> None:
        self._poses = poses
        self._right: Counter[str] = Counter()
        self._opposite: Counter[str] = Counter()

    def add(self, sensor: str, cycle: RadarSweep) -> None:
        speeds, motion = ray_speeds(cycle), self._motion(cycle)
        if speeds is None or motion is None:
            return
        along, of_still = speeds[0], -(speeds[1] @ motion)
        near = np.maximum(1.0, 0.2 * np.abs(of_still))
        told = np.abs(of_still) > _SLOWEST_MPS
        self._right[sensor] += int((told & (np.abs(along - of_still) < near)).sum())
        self._opposite[sensor] += int((told & (np.abs(along + of_still) < near)).sum())

    def _motion(self, cycle: RadarSweep) -> Matrix | None:
        """Returns (3,) m/s over ground in the sensor's axes; None where there are no poses around the cycle."""
        if self._poses is None:
            return None
        try:
            before, after = (
                self._poses.at(cycle.time_ns + t) @ cycle.ego_from_sensor for t in (-_AROUND_NS, _AROUND_NS)
            )
        except LogError:
            return None
        origin = np.append(cycle.origin, 1.0)
        moved = (after @ origin - before @ origin)[:3] / (2e-9 * _AROUND_NS)
        return np.asarray(moved @ before[:3, :3])

    def lines(self) -> Iterator[str]:
        for sensor, opposite in self._opposite.items():
            right = self._right[sensor]
            if opposite >= _FEWEST and opposite > _TIMES_AS_MANY * right:
                yield (
                    f"{sensor}: its Doppler has the wrong sign: {opposite} detections of what stands still "
                    f"have it turned over, {right} as it must be, > 0 for what recedes "
                    "(a recording is opened with doppler=approaching)"
                )


def ray_speeds(cycle: RadarSweep) -> tuple[Matrix, Matrix] | None:
    """Returns the speeds along the rays relative to the sensor, (n,) m/s, > 0 away, and the rays, (n, 3) of length 1.

    Of the detections that have both finite; None where the cycle records neither v_radial nor vx vy.
    """
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        rays = np.stack([cycle.x, cycle.y, cycle.z], axis=1).astype(np.float64) - cycle.origin
        rays /= np.linalg.norm(rays, axis=1, keepdims=True)
        if cycle.v_radial is not None:
            along = np.asarray(cycle.v_radial, dtype=np.float64)
        elif cycle.vx is not None and cycle.vy is not None:
            along = rays[:, 0] * cycle.vx + rays[:, 1] * cycle.vy
        else:
            return None
    whole = np.isfinite(rays).all(axis=1) & np.isfinite(along)
    return along[whole], rays[whole]
