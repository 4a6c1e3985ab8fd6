"""The true boxes of one moment, in the ego frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import Labels

from .scene import Scene
from .solids import CATEGORIES
from .trig import angle

__all__ = ["REACH_M", "labels_of"]

REACH_M = 80.0
"""Everything whose middle is at most this far from the ego's origin, seen from above, is labelled, hidden or not."""


def labels_of(scene: Scene, time_ns: int, hits: NDArray[np.int64] | None) -> Labels:
    """Returns the labels of a scene.

    num_points is the number of returns that the sweep ending at `time_ns` has from the object itself: those that
    lie in its box once each is moved by the ego's motion and the object's own since it was measured. Ground
    under a car is not counted.
    """
    things, ego = scene.things, scene.ego
    cos, sin = (float(v) for v in ego.heading[0])
    offset = things.motion.centre - ego.centre[0]
    x, y = cos * offset[:, 0] + sin * offset[:, 1], cos * offset[:, 1] - sin * offset[:, 0]
    chosen = np.flatnonzero(x * x + y * y <= REACH_M * REACH_M)
    z = offset[chosen, 2] + 0.5 * things.size[chosen, 2]
    hx, hy = things.motion.heading[chosen].T
    yaw = angle(cos * hy - sin * hx, cos * hx + sin * hy)
    vx, vy = things.motion.velocity[chosen, :2].T
    return Labels(
        time_ns=time_ns,
        boxes=np.column_stack([x[chosen], y[chosen], z, things.size[chosen], yaw]),
        category=np.array(CATEGORIES, dtype=np.str_)[things.category[chosen]],
        track_id=things.name[chosen],
        velocity=np.column_stack([cos * vx + sin * vy, cos * vy - sin * vx]),
        num_points=None if hits is None else hits[chosen],
    )
