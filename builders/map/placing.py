"""Where the frame of reference is in the world: what kernels place a map's points with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..kernels.map.placing import NUMBERS
from .around import MapAround

__all__ = ["numbers_of", "window_of"]

Area = tuple[float, float, float, float]


def numbers_of(around: MapAround) -> NDArray[np.float64]:
    """Returns what the kernels' `placed` wants, (16,) float64."""
    world_from_ego, ref_from_ego = around.world_from_ego, around.reference.ref_from_ego
    numbers = np.empty(NUMBERS)
    numbers[:3] = world_from_ego[:3, 3]
    numbers[3:12] = (ref_from_ego[:3, :3] @ world_from_ego[:3, :3].T).reshape(-1)
    numbers[12:15] = ref_from_ego[:3, 3]
    numbers[15] = world_from_ego[2, 3] + around.reference.level_z
    return numbers


def window_of(around: MapAround, area: Area, z_span: tuple[float, float]) -> Area:
    """Returns xmin ymin xmax ymax of the world, outside of which no point of heights `z_span` comes into `area`, xmin
    ymin xmax ymax of the frame of reference."""
    world_from_ref = around.world_from_ref
    heights = (*z_span, world_from_ref[2, 3], around.world_from_ego[2, 3] + around.reference.level_z)
    x, y = np.array([area[0], area[0], area[2], area[2]]), np.array([area[1], area[3], area[1], area[3]])
    # what is far away may lie high or low in axes that are tilted, and by as much as it is far
    far = float(np.hypot(x, y).max())
    high = (max(heights) - min(heights)) / float(np.linalg.norm(world_from_ref[:3, 0])) + far
    corners = [np.stack([x, y, np.full(4, z)], axis=1) for z in (-high, high)]
    world = np.concatenate(corners) @ world_from_ref[:3, :3].T + world_from_ref[:3, 3]
    low, up = world.min(axis=0), world.max(axis=0)
    return float(low[0]), float(low[1]), float(up[0]), float(up[1])
