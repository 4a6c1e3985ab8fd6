"""How a sensor moved against the reference: poses between the recorded ones, without large world coordinates."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from perceptum.inputs.kernel import inner, kernel

__all__ = ["ref_from_sensor"]

# as in inputs.poses: below this angle between neighbours slerp divides by nearly zero, and a straight blend is exact
_SMALL_ANGLE_DOT = 1.0 - 1e-12


@inner
def _normalised(q: Any) -> tuple[float, float, float, float]:
    length = math.sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3])
    return q[0] / length, q[1] / length, q[2] / length, q[3] / length


@inner
def _pose(
    time_ns: int, times_ns: Any, quaternions: Any, translations: Any, max_gap_ns: int, beyond_ns: Any, out: Any
) -> bool:
    """Writes world_from_ego (3, 4) at a time, as Poses.at_many; returns whether the pose is known at that time."""
    n = len(times_ns)
    if time_ns < times_ns[0] - beyond_ns or time_ns > times_ns[n - 1] + beyond_ns:
        return False
    last: Any = np.searchsorted(times_ns, time_ns, side="right") - 1
    before = min(max(last, 0), max(n - 2, 0))
    after = min(before + 1, n - 1)
    step = max(times_ns[after] - times_ns[before], 1)
    if step > max_gap_ns and times_ns[before] != time_ns and times_ns[after] != time_ns:
        return False
    # a single pose says nothing about motion: it is taken as it is
    fraction = 0.0 if after == before else (time_ns - times_ns[before]) / step
    a, b = _normalised(quaternions[before]), _normalised(quaternions[after])
    dot = a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3]
    sign = -1.0 if dot < 0 else 1.0
    dot = min(abs(dot), 1.0)
    wa, wb = 1 - fraction, fraction
    if dot <= _SMALL_ANGLE_DOT:
        angle = math.acos(dot)
        sine = math.sin(angle)
        wa, wb = math.sin((1 - fraction) * angle) / sine, math.sin(fraction * angle) / sine
    wb *= sign
    w, x, y, z = wa * a[0] + wb * b[0], wa * a[1] + wb * b[1], wa * a[2] + wb * b[2], wa * a[3] + wb * b[3]
    length = math.sqrt(w * w + x * x + y * y + z * z)
    w, x, y, z = w / length, x / length, y / length, z / length
    out[0, 0], out[0, 1], out[0, 2] = 1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)
    out[1, 0], out[1, 1], out[1, 2] = 2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)
    out[2, 0], out[2, 1], out[2, 2] = 2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)
    for row in range(3):
        # weights, not a + (b - a) * fraction: a recorded pose comes back to the last bit at both ends
        out[row, 3] = (1 - fraction) * translations[before, row] + fraction * translations[after, row]
    return True


@inner
def _product(a: Any, b: Any, out: Any) -> None:
    """Writes a @ b of rigid transforms, (3, 4) each; `out` is neither of them."""
    for row in range(3):
        for column in range(4):
            out[row, column] = a[row, 0] * b[0, column] + a[row, 1] * b[1, column] + a[row, 2] * b[2, column]
        out[row, 3] += a[row, 3]


@kernel
def ref_from_sensor(
    times_ns: Any,
    quaternions: Any,
    translations: Any,
    max_gap_ns: int,
    beyond_ns: int,
    ref_ns: int,
    wanted_ns: Any,
    mounts: Any,
    ego_from_sensor: Any,
    ref_from_ego: Any,
    work: Any,
    out: Any,
) -> int:
    """Writes from the sensor at each of `wanted_ns` to the reference at `ref_ns`; returns -1.

    Where a pose is not known it returns which: the number in `wanted_ns`, or len(wanted_ns) for the one at `ref_ns`.
    times_ns: (n,) int64, quaternions: (n, 4) float64 w x y z, translations: (n, 3) float64, of Poses.
    mounts: (k,) int64, for each of `wanted_ns` where its sensor sits: (m, 4, 4) float64, of which ego_from_sensor has
    several. ref_from_ego: (4, 4) or (3, 4) float64, at `ref_ns`. Up to `beyond_ns` after the last
    pose and before the first the motion goes on. work: (3, 3, 4) float64. out: (len(wanted_ns), 3, 4) float64.
    """
    ref, then, ego = work[0], work[1], work[2]
    if not _pose(ref_ns, times_ns, quaternions, translations, max_gap_ns, np.int64(0), ref):
        return len(wanted_ns)
    for k in range(len(wanted_ns)):
        if not _pose(wanted_ns[k], times_ns, quaternions, translations, max_gap_ns, beyond_ns, then):
            return k
        # translations are subtracted before they are rotated: coordinates near 5e6 m cost no precision
        for row in range(3):
            then[row, 3] -= ref[row, 3]
        for row in range(3):
            for column in range(4):
                ego[row, column] = (
                    ref[0, row] * then[0, column] + ref[1, row] * then[1, column] + ref[2, row] * then[2, column]
                )
        _product(ego, ego_from_sensor[mounts[k]], then)
        _product(ref_from_ego, then, out[k])
    return -1
