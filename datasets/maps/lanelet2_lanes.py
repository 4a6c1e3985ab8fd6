"""The lane graph of a Lanelet2 map: from shared points and lines, as the format says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import LaneGraph, Matrix, Shapes

from .lanelet2_rules import controlled, speed_limits_mps, turns

__all__ = ["CENTRE_STEP_M", "Heights", "lane_graph", "points_of"]

Heights = frozenset[int]
"""The nodes that have an elevation."""

CENTRE_STEP_M = 1.0
"""Centrelines have equal steps of at most this."""


def points_of(line: Iterable[Any], heights: Heights) -> Matrix:
    """Returns (k, 3); z is NaN where the node has no elevation."""
    rows = [(p.x, p.y, p.z if int(p.id) in heights else np.nan) for p in line]
    return np.array(rows, dtype=np.float64).reshape(-1, 3)


def _centre(lane: Any, has_height: bool) -> Matrix:
    """The map's own centreline, or the one that the library finds between the bounds; at equal steps."""
    rows = [(p.x, p.y, p.z if has_height else np.nan) for p in lane.centerline]
    return _resampled(np.array(rows, dtype=np.float64).reshape(-1, 3))


def lane_graph(lanes: Sequence[Any], heights: Heights) -> LaneGraph:
    """Returns the graph; row i is lanes[i].

    A lane follows another where both bounds go on from the same points. The lane to the left is the one whose right
    bound is the same line in the same direction; a lane that comes towards us is not a neighbour.
    """
    left = {str(lane.id): points_of(lane.leftBound, heights) for lane in lanes}
    right = {str(lane.id): points_of(lane.rightBound, heights) for lane in lanes}
    known = {id: bool(np.isfinite(left[id]).all() and np.isfinite(right[id]).all()) for id in left}
    centre = {str(lane.id): _centre(lane, known[str(lane.id)]) for lane in lanes}
    return LaneGraph(
        centerlines=Shapes.of("line", centre),
        left_boundaries=Shapes.of("line", left),
        right_boundaries=Shapes.of("line", right),
        successors=_successors(lanes),
        neighbors=_neighbors(lanes),
        is_intersection=np.array(["turn_direction" in lane.attributes for lane in lanes], dtype=np.bool_),
        lane_type=np.array([_kind(lane) for lane in lanes], dtype=np.str_),
        turn=turns(lanes),
        has_traffic_control=controlled(lanes),
        speed_limit_mps=speed_limits_mps(lanes),
    )


def _kind(lane: Any) -> str:
    return str(lane.attributes["subtype"]) if "subtype" in lane.attributes else ""


def _ends(lane: Any, index: int) -> tuple[int, int]:
    return int(lane.leftBound[index].id), int(lane.rightBound[index].id)


def _successors(lanes: Sequence[Any]) -> NDArray[np.int64]:
    begins: dict[tuple[int, int], list[int]] = defaultdict(list)
    for i, lane in enumerate(lanes):
        begins[_ends(lane, 0)].append(i)
    pairs = [(i, j) for i, lane in enumerate(lanes) for j in begins.get(_ends(lane, -1), ()) if i != j]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _neighbors(lanes: Sequence[Any]) -> NDArray[np.int64]:
    # a line's id with its direction: the library hands out a bound in driving direction, perhaps inverted
    has_left = {_bound(lane.leftBound): i for i, lane in enumerate(lanes)}
    has_right = {_bound(lane.rightBound): i for i, lane in enumerate(lanes)}
    beside = [(has_right.get(_bound(lane.leftBound), -1), has_left.get(_bound(lane.rightBound), -1)) for lane in lanes]
    return np.array(beside, dtype=np.int64).reshape(-1, 2)


def _bound(line: Any) -> tuple[int, bool]:
    return int(line.id), bool(line.inverted())


def _resampled(line: Matrix) -> Matrix:
    """Equal steps of at most CENTRE_STEP_M along the line, in the plane; both ends are kept."""
    steps = np.hypot(*np.diff(line[:, :2], axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    wanted = np.linspace(0.0, along[-1], max(int(np.ceil(along[-1] / CENTRE_STEP_M)), 1) + 1)
    return np.stack([np.interp(wanted, along, line[:, axis]) for axis in range(3)], axis=1)
