"""Where a radar was and how fast it moved: how places and velocities come into the frame of reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perceptum.features.radar import RadarCloudParams
from perceptum.inputs import Frame, RadarSweep

from ..motion import ref_from_sensors
from ..reference import Reference

__all__ = ["Placed", "place_cycles"]

_HALF_NS = 50_000_000
"""Half the time over which a radar's speed is worked out; its cycles come every 50 to 77 ms."""
_EYE = np.eye(3)
_UNCHANGED = np.empty((0, 3))


class Placed(NamedTuple):
    """Of S cycles."""

    moves: NDArray[np.float64]
    """(S, 3, 4): from the sensor to the reference."""
    turns: NDArray[np.float64]
    """(S, 2, 3, 3): how velocities are turned that are shown, and those by which places are advanced."""
    sensor_mps: NDArray[np.float64]
    """(S, 3): the speed of the sensor over ground, in its own axes, as it drove; 0 where nobody asks for it."""
    ray_change: NDArray[np.float64]
    """(3, 3): what a draw does to rays in a radar's own axes, their length and direction; (0, 3): nothing."""


def place_cycles(
    params: RadarCloudParams,
    reference: Reference,
    frame: Frame,
    cycles: Sequence[RadarSweep],
    with_speed: Sequence[bool],
) -> Placed:
    """Returns how the cycles are placed; raises PoseUnknown, and MissingRecord as `Reference` does.

    A sensor's speed is the central difference of its places 50 ms before and after the cycle, or that beside the end of
    the poses; a log with a single pose stands still.

    Where a draw changes the frame of reference, it does the same to what is shown in a radar's own axes: velocities
    that are not turned, azimuth, range and speeds along the ray.
    """
    n, change = len(cycles), reference.change
    changed = _UNCHANGED if change is None else np.ascontiguousarray(change[:3, :3])
    placed = Placed(np.empty((n, 3, 4)), np.empty((n, 2, 3, 3)), np.zeros((n, 3)), changed)
    if not n:
        return placed
    ref_from_ego, moves_on = reference.ref_from_ego, params.compensate == "per_sweep"
    asked = []
    for cycle, fast in zip(cycles, with_speed, strict=True):
        times = [cycle.time_ns] if fast or (moves_on and cycle.time_ns != frame.time_ns) else []
        if fast:
            times += _around(cycle.time_ns, frame.poses.span_ns)
        asked.append((times, cycle.ego_from_sensor))
    paths = ref_from_sensors(frame.poses, frame.time_ns, asked, ref_from_ego) if any(t for t, _ in asked) else []
    for k, (times, mount) in enumerate(asked):
        still = reference.ref_from_mount(mount)[:3]
        moved = moves_on and cycles[k].time_ns != frame.time_ns
        placed.moves[k] = paths[k][0] if moved else still
        placed.turns[k, 1] = (still if params.velocity_axes == "mount" else placed.moves[k])[:, :3]
        as_measured = _EYE if change is None else changed
        placed.turns[k, 0] = as_measured if params.velocity_axes == "sensor" else placed.turns[k, 1]
        if len(times) == 3 and times[2] > times[1]:
            shift = paths[k][2][:, 3] - paths[k][1][:, 3]
            # the inverse of a similarity is its transpose by the square of its scale
            back = paths[k][0][:, :3].T / reference.scale**2
            placed.sensor_mps[k] = back @ shift / ((times[2] - times[1]) * 1e-9)
    return placed


def _around(time_ns: int, span_ns: tuple[int, int]) -> tuple[int, int]:
    """Returns the times between which a speed is worked out, within the poses: around this one, or at their end."""
    first, last = span_ns
    low = min(max(time_ns - _HALF_NS, first), last)
    high = min(max(time_ns + _HALF_NS, low + _HALF_NS), last)
    return max(min(low, high - _HALF_NS), first), high
