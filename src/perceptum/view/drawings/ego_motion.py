"""ego_motion: where the vehicle was, and which way it looked."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .drawing import OnGround
from .ground import Ground
from .kind import Kind

__all__ = ["EGO_MOTION"]

_ARROW_M = 1.5


def _draw(ground: Ground, kind: Kind) -> str:
    known = kind["ego_motion_valid"].astype(bool)
    poses: NDArray[Any] = kind["ego_motion"].astype(np.float64)
    poses = poses if kind.params.direction == "ref_from_past" else np.linalg.inv(poses)
    poses = (poses if kind.params.oldest_first else poses[::-1])[known if kind.params.oldest_first else known[::-1]]
    places, ahead = poses[:, :2, 3], poses[:, :2, 0]
    path = np.concatenate([places, np.zeros((1, 2))])
    ground.lines([path], "#1f77b4", 1.5)
    ground.dots(places, "#1f77b4", 16)
    ground.arrows(places, ahead * _ARROW_M, "#d62728", 1.5)
    ground.name("where it was", "#1f77b4")
    ground.name("which way x pointed", "#d62728")
    length = np.linalg.norm(np.diff(path, axis=0), axis=1).sum()
    return f"{len(places)} of {len(known)} moments known, a way of {length:.1f} m"


EGO_MOTION = OnGround(draw=_draw, needs=("ego_motion", "ego_motion_valid"))
