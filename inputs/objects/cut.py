"""One labelled object and its points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Matrix
from ..records import Labels

__all__ = ["CutObject", "cut"]


@dataclass(frozen=True, eq=False)
class CutObject:
    """One box of a frame's labels, and the points in it."""

    row: int
    """Of the labels."""
    points: dict[str, NDArray[Any]]
    """Column -> (n,): x, y, z from the box's centre, the others as they were given."""


def cut(labels: Labels, points: dict[str, NDArray[Any]], rows: list[int], min_points: int) -> list[CutObject]:
    """Returns the boxes of these rows that have at least `min_points` points, each with its own, in the points' order.

    points: column -> (N,), with x, y, z in the axes of the labels. A point on a face is inside. A box that is not
    finite, or has no size, has no points.
    """
    # the same points in order of x: those beside a box are not looked at
    order = np.argsort(points["x"], kind="stable")
    sorted_x = points["x"][order].astype(np.float64)
    found = []
    for row in rows:
        box = labels.boxes[row]
        if not (np.isfinite(box).all() and (box[3:6] > 0).all()):
            continue
        reach = float(np.hypot(box[3], box[4])) / 2
        first, end = np.searchsorted(sorted_x, (box[0] - reach, box[0] + reach), side="left").tolist()
        near = np.sort(order[first:end])
        centred = np.stack([points[axis][near].astype(np.float64) for axis in "xyz"], axis=1) - box[:3]
        own = _inside(centred, box)
        if np.count_nonzero(own) < min_points:
            continue
        taken = {name: column[near[own]] for name, column in points.items()}
        taken |= {axis: centred[own, k].astype(np.float32) for k, axis in enumerate("xyz")}
        found.append(CutObject(row, taken))
    return found


def _inside(centred: Matrix, box: Matrix) -> NDArray[np.bool_]:
    c, s = np.cos(box[6]), np.sin(box[6])
    along, across = c * centred[:, 0] + s * centred[:, 1], c * centred[:, 1] - s * centred[:, 0]
    seen = np.stack([along, across, centred[:, 2]], axis=1)
    inside: NDArray[np.bool_] = (np.abs(seen) <= box[3:6] / 2).all(axis=1)
    return inside
