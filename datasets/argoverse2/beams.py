"""The beams of Argoverse 2's two stacked lidars, and their order from top to bottom."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["BEAM_ELEVATION_DEG", "row_of_ring"]

BEAM_ELEVATION_DEG = np.array(
    [
        *(7.0, -1.667, 1.667, -0.667, 15.0, -0.333, 3.333, 0.667, 1.333, 0.0, 1.0, 2.333, 0.333, -1.0, 4.667, 10.333),
        *(-6.148, -15.639, -3.0, -2.0, -4.0, -8.843, -4.667, -3.333, -2.667, -5.333, -1.333, -7.254, -3.667),
        *(-11.31, -2.333, -25.0),
    ]
)
"""(32,) elevation of laser_number % 32 in its own sensor's frame, degrees: a VLP-32C in firing order."""


def row_of_ring(up_from_ego_z: float, down_from_ego_z: float) -> NDArray[np.int32]:
    """Returns (64,) the rank by elevation seen from the ego frame, 0 highest, of laser_number 0..63.

    0..31 are up_lidar's, 32..63 down_lidar's; each argument is +1 where that lidar stands upright and -1 where it
    hangs upside down, which turns its beams over. Where two beams are level the first lidar's comes first: it sits
    higher, so that from there the other's points lie lower.
    """
    elevation_deg = np.concatenate([up_from_ego_z * BEAM_ELEVATION_DEG, down_from_ego_z * BEAM_ELEVATION_DEG])
    rows = np.empty(64, dtype=np.int32)
    rows[np.argsort(-elevation_deg, kind="stable")] = np.arange(64, dtype=np.int32)
    return rows
