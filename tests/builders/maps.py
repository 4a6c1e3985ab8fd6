"""A log with a map of one's own, for tests of what is made of maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from perceptum.datasets import memory_log
from perceptum.inputs import GroundGrid, HDMap, LaneGraph, Poses, Shapes
from perceptum.inputs.poses import quaternion_from_rotation

T0 = 1_700_000_000_000_000_000

__all__ = ["T0", "frame_of", "lanes_of", "polygons", "star"]


def polygons(shapes: Mapping[str, Any]) -> Shapes:
    return Shapes.of("polygon", shapes)


def lanes_of(lanes: Mapping[str, tuple[Any, Any, Any]]) -> LaneGraph:
    """Returns a graph of lanes by name: left boundary, centreline, right boundary."""
    left, centre, right = (Shapes.of("line", {name: own[k] for name, own in lanes.items()}) for k in range(3))
    n = len(lanes)
    return LaneGraph(
        centerlines=centre,
        left_boundaries=left,
        right_boundaries=right,
        successors=np.zeros((0, 2), np.int64),
        neighbors=np.full((n, 2), -1),
        is_intersection=np.zeros(n, np.bool_),
        lane_type=np.array(["VEHICLE"] * n),
    )


def star(rng: np.random.Generator, n: int, middle: Any, reach: float) -> np.ndarray:
    """Returns (n, 2), a ring without crossings around a middle."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, n))
    radii = reach * rng.uniform(0.2, 1.0, n)
    return np.asarray(middle) + np.column_stack([radii * np.cos(angles), radii * np.sin(angles)])


def frame_of(
    layers: Mapping[str, Shapes] | None = None,
    lanes: LaneGraph | None = None,
    ground: GroundGrid | None = None,
    world_from_ego: np.ndarray | None = None,
) -> Any:
    """Returns the frame of a log with a map, and no sensors."""
    pose = np.eye(4) if world_from_ego is None else world_from_ego
    hdmap = None if layers is None else HDMap(dict(layers), lanes, ground)
    poses = Poses(np.array([T0]), quaternion_from_rotation(pose[:3, :3])[None], pose[None, :3, 3])
    return memory_log([], hdmap=hdmap, poses=poses, times_ns=[T0])[0]
