"""Where a sensor was, seen from the reference, without the large numbers of world coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import Poses

from .kernels.motion import ref_from_sensor as kernel

__all__ = ["EXTRAPOLATE_NS", "ref_from_sensors"]

EXTRAPOLATE_NS = 50_000_000
"""Points of a sweep at the end of a log may be this much newer than the last pose."""


def ref_from_sensors(
    poses: Poses,
    ref_ns: int,
    wanted: Sequence[tuple[Sequence[int], NDArray[np.float64]]],
    ref_from_ego: NDArray[np.float64],
) -> list[NDArray[np.float64]]:
    """Returns for each of `wanted` (k, 3, 4) float64: from the sensor at each of its times to the reference.

    wanted: k times in ns, and (4, 4) ego_from_sensor, the mount. ref_from_ego: (4, 4), at the reference's time,
    `ref_ns`. Raises PoseUnknown. All in one call: of ten sweeps one by one it took 0.15 ms.
    """
    times = [time_ns for own, _ in wanted for time_ns in own]
    if not times:
        return [np.empty((0, 3, 4)) for _ in wanted]
    if poses.broken:
        # the kernel knows nothing of broken poses; this raises next to one
        poses.at(ref_ns)
        poses.at_many(np.array(times, np.int64), EXTRAPOLATE_NS)
    times_ns, out, work = np.array(times, np.int64), np.empty((len(times), 3, 4)), np.empty((3, 3, 4))
    recorded = _around(poses, min(*times, ref_ns), max(*times, ref_ns))
    given: list[Any] = [*recorded, poses.max_gap_ns, EXTRAPOLATE_NS, ref_ns, times_ns]
    given += [np.array([k for k, (own, _) in enumerate(wanted) for _ in own], np.int64)]
    given += [np.array([mount for _, mount in wanted], np.float64), np.array(ref_from_ego), work, out]
    unknown = kernel(*given)
    if unknown >= 0:
        # asked again where the message is
        poses.at(ref_ns)
        poses.at_many(times_ns, EXTRAPOLATE_NS)
        raise AssertionError(f"a pose that is known was not found: {unknown} of {times_ns}")
    ends = accumulate(len(own) for own, _ in wanted)
    return [out[end - len(own) : end] for (own, _), end in zip(wanted, ends, strict=True)]


def _around(poses: Poses, first_ns: int, last_ns: int) -> tuple[NDArray[Any], ...]:
    """The poses' times, quaternions and translations from before `first_ns` to behind `last_ns`: two, or few more.

    Copied, as are the transforms above: a log's arrays may be read-only or lie in any order, and numba would compile
    the kernel for each kind of array, in the middle of a drive.
    """
    begin, end = np.searchsorted(poses.times_ns, (first_ns, last_ns))
    some = slice(max(int(begin) - 2, 0), int(end) + 2)
    times_ns = np.array(poses.times_ns[some], dtype=np.int64)
    return times_ns, np.array(poses.quaternions[some], np.float64), np.array(poses.translations[some], np.float64)
