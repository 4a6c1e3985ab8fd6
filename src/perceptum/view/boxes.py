"""Boxes as lines in space."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs.poses import box_corners

__all__ = ["EDGES", "box_corners", "box_lines"]

EDGES = (
    [(i, (i + 1) % 4) for i in range(4)] + [(i + 4, (i + 1) % 4 + 4) for i in range(4)] + [(i, i + 4) for i in range(4)]
)
"""Pairs of corners, as `box_corners` numbers them."""


def box_lines(boxes: NDArray[Any]) -> NDArray[np.float64]:
    """Returns (n, 13, 2, 3): the twelve edges of (n, 7) boxes, and below them from the centre to the front's middle."""
    corners = box_corners(boxes)
    front = corners[:, [0, 3]].mean(axis=1)
    heading = np.stack([corners[:, :4].mean(axis=1), front], axis=1)
    return np.concatenate([corners[:, np.array(EDGES)], heading[:, None]], axis=1)
