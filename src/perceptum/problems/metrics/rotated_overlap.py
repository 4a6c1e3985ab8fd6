"""The overlap of boxes that are turned about the vertical, seen from above and of their bodies."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from perceptum.errors import UsageError

__all__ = ["Overlaps", "rotated_overlaps"]


class Overlaps(NamedTuple):
    """Intersection over union of each of N boxes with each of M others, 0 to 1."""

    bev: NDArray[np.float64]
    """(N, M): of the rectangles, seen from above."""
    volume: NDArray[np.float64]
    """(N, M): of the bodies."""


def rotated_overlaps(boxes: ArrayLike, others: ArrayLike) -> Overlaps:
    """Returns the overlaps of boxes in one frame of reference, exact to what float64 rounds.

    boxes, others: (N, 7) and (M, 7), x y z (centre) length width height (m) yaw (rad). A box that is not finite, or has
    a size of 0 or less, overlaps nothing. Raises UsageError for other shapes.
    """
    from ..kernels.rotated_overlap import overlaps

    both = []
    for name, given in (("boxes", boxes), ("others", others)):
        # a copy where it is not writable: a kernel is compiled for each kind of array
        array = np.require(given, np.float64, ["C", "W", "A"])
        if array.ndim != 2 or array.shape[1] != 7:
            raise UsageError(f"rotated_overlaps: {name} must be (n, 7), got {array.shape}")
        both.append(array)
    size = len(both[0]), len(both[1])
    bev, volume = np.empty(size), np.empty(size)
    written: list[Any] = [*both, bev, volume]
    overlaps(*written)
    return Overlaps(bev, volume)
