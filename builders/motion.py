"""How the ego vehicle moved between two times, without the large numbers of world coordinates."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from perceptum.inputs import Poses

__all__ = ["ref_from_ego"]

EXTRAPOLATE_NS = 50_000_000
"""Points of a sweep at the end of a log may be this much newer than the last pose."""


def ref_from_ego(poses: Poses, ref_ns: int, times_ns: ArrayLike) -> NDArray[np.float64]:
    """Returns (k, 4, 4): from the ego frame at each of `times_ns` to the ego frame at `ref_ns`.

    Translations are subtracted before they are rotated, so that world coordinates near 5e6 m cost no precision.
    """
    ref = poses.at(ref_ns)
    then = poses.at_many(times_ns, extrapolate_ns=EXTRAPOLATE_NS)
    out = np.zeros_like(then)
    out[:, :3, :3] = ref[:3, :3].T @ then[:, :3, :3]
    out[:, :3, 3] = (then[:, :3, 3] - ref[:3, 3]) @ ref[:3, :3]
    out[:, 3, 3] = 1.0
    return out
