"""Where a sensor was, seen from the reference, without the large numbers of world coordinates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import Poses

from .kernels.motion import ref_from_sensor as kernel

__all__ = ["EXTRAPOLATE_NS", "ref_from_sensor"]

EXTRAPOLATE_NS = 50_000_000
"""Points of a sweep at the end of a log may be this much newer than the last pose."""


def ref_from_sensor(
    poses: Poses,
    ref_ns: int,
    times_ns: NDArray[np.int64],
    ego_from_sensor: NDArray[np.float64],
    ref_from_ego: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Returns (k, 3, 4) float64: from the sensor at each of `times_ns` to the reference at `ref_ns`.

    ego_from_sensor: (4, 4), the mount. ref_from_ego: (4, 4), at `ref_ns`. Raises PoseUnknown.
    """
    out, work = np.empty((len(times_ns), 3, 4)), np.empty((3, 3, 4))
    recorded = (poses.times_ns, poses.quaternions, poses.translations, poses.max_gap_ns, EXTRAPOLATE_NS)
    unknown = kernel(*recorded, ref_ns, times_ns, ego_from_sensor, ref_from_ego, work, out)
    if unknown >= 0:
        # asked again where the message is
        poses.at(ref_ns)
        poses.at_many(times_ns, EXTRAPOLATE_NS)
        raise AssertionError(f"a pose that is known was not found: {unknown} of {times_ns}")
    return out
