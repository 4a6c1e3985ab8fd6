"""Which way a lane turns, from its centreline, for maps that do not say so."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .arrays import Matrix
from .hdmap import Shapes

__all__ = ["STRAIGHT_BELOW_RAD", "UTURN_FROM_RAD", "turn_of", "turns_of"]

STRAIGHT_BELOW_RAD = np.pi / 6
UTURN_FROM_RAD = 0.75 * np.pi


def turn_of(centerline: Matrix) -> str:
    """Returns left, right, straight or uturn for a line (k, 2) or (k, 3); "" where it has no direction.

    By how far the heading changes from its first step to its last, each bend counted with its sign: less than 30
    degrees is straight, 135 or more a U-turn. Steps of no length, and points that are not finite, are passed over.
    """
    xy = centerline[np.isfinite(centerline[:, :2]).all(axis=1), :2]
    step = np.diff(xy, axis=0)
    step = step[(step != 0).any(axis=1)]
    if not len(step):
        return ""
    heading_rad = np.arctan2(step[:, 1], step[:, 0])
    bends_rad = np.remainder(np.diff(heading_rad) + np.pi, 2 * np.pi) - np.pi
    change_rad = float(bends_rad.sum())
    if abs(change_rad) < STRAIGHT_BELOW_RAD:
        return "straight"
    if abs(change_rad) >= UTURN_FROM_RAD:
        return "uturn"
    return "left" if change_rad > 0 else "right"


def turns_of(centerlines: Shapes) -> NDArray[np.str_]:
    """Returns (n,) which way each line turns, as `turn_of`."""
    return np.array([turn_of(centerlines[i]) for i in range(len(centerlines))], dtype=np.dtype("U8"))
