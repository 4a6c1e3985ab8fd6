"""nuScenes' lanes: centrelines from arcs and straights (Dubins paths), and how lanes follow each other."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence, Set
from pathlib import Path

import msgspec
import numpy as np

from perceptum.inputs import BrokenRecord, LaneGraph, Matrix, Shapes

__all__ = ["ArcPath", "Connection", "Lane", "centreline", "lane_graph"]


STEP_M = 1.0
"""Points of a centreline are no further apart than this."""

_SHAPES = {
    "LSL": (1, 0, 1),
    "LSR": (1, 0, -1),
    "RSL": (-1, 0, 1),
    "RSR": (-1, 0, -1),
    "LRL": (1, -1, 1),
    "RLR": (-1, 1, -1),
}
_LONGEST_M = 1e5
_UNKNOWN = np.full((1, 2), np.nan)


class Divider(msgspec.Struct, gc=False):
    node_token: str


class Lane(msgspec.Struct, gc=False):
    token: str
    polygon_token: str | None = None
    lane_type: str | None = None
    left_lane_divider_segments: list[Divider] = []
    right_lane_divider_segments: list[Divider] = []


class ArcPath(msgspec.Struct, gc=False):
    start_pose: tuple[float, float, float]
    """x y yaw, map frame."""
    shape: str
    """Left, right, straight: the turns of the three segments."""
    radius: float
    segment_length: tuple[float, float, float]


class Connection(msgspec.Struct, gc=False):
    outgoing: list[str] = []


def lane_graph(
    path: Path,
    lanes: Sequence[Lane],
    connectors: Set[str],
    arcs: Mapping[str, Sequence[ArcPath]],
    connectivity: Mapping[str, Connection],
    points: Callable[[Sequence[str]], Matrix],
) -> LaneGraph:
    """Returns the lanes that have a centreline. `points` gives (k, 2) of nodes. Raises BrokenRecord.

    A boundary that the map does not give is a single NaN point; nuScenes names no neighbours.
    """
    lanes = list({lane.token: lane for lane in lanes if arcs.get(lane.token)}.values())
    row = {lane.token: i for i, lane in enumerate(lanes)}
    centre = {token: centreline(path, token, arcs[token]) for token in row}
    left = {lane.token: _boundary(points, lane.left_lane_divider_segments) for lane in lanes}
    right = {lane.token: _boundary(points, lane.right_lane_divider_segments) for lane in lanes}
    after = [
        (row[token], row[next_token])
        for token in row
        if token in connectivity
        for next_token in connectivity[token].outgoing
        if next_token in row
    ]
    return LaneGraph(
        centerlines=Shapes.of("line", centre),
        left_boundaries=Shapes.of("line", left),
        right_boundaries=Shapes.of("line", right),
        successors=np.array(after, dtype=np.int64).reshape(-1, 2),
        neighbors=np.full((len(lanes), 2), -1, dtype=np.int64),
        is_intersection=np.array([lane.token in connectors for lane in lanes], dtype=np.bool_),
        lane_type=np.array([_type(lane, connectors) for lane in lanes], dtype=np.str_),
    )


def _type(lane: Lane, connectors: Set[str]) -> str:
    return "CONNECTOR" if lane.token in connectors else lane.lane_type or "UNKNOWN"


def _boundary(points: Callable[[Sequence[str]], Matrix], segments: Sequence[Divider]) -> Matrix:
    return points([segment.node_token for segment in segments]) if len(segments) >= 2 else _UNKNOWN


def centreline(path: Path, token: str, arcs: Sequence[ArcPath]) -> Matrix:
    """Returns (k, 2): points at most 1 m apart, with the ends of every arc among them; raises BrokenRecord."""
    parts = []
    for arc in arcs:
        _check(path, token, arc)
        parts.append(_sampled(arc))
    line = np.concatenate(parts)
    # an arc begins where the one before it ended, within rounding
    apart = np.linalg.norm(np.diff(line, axis=0), axis=1) > 1e-6
    return np.asarray(line[np.concatenate([[True], apart])])


def _check(path: Path, token: str, arc: ArcPath) -> None:
    numbers = (*arc.start_pose, arc.radius, *arc.segment_length)
    finite = all(abs(number) <= 1e9 for number in numbers)
    if arc.shape not in _SHAPES or not finite or arc.radius <= 0 or min(arc.segment_length) < 0:
        raise BrokenRecord(
            f"{path}: lane {token} has an arc of shape {arc.shape[:9]!r}, radius {arc.radius}, "
            f"lengths {arc.segment_length}; wanted one of {', '.join(_SHAPES)}, a radius above 0, lengths of 0 or more"
        )
    if sum(arc.segment_length) > _LONGEST_M:
        raise BrokenRecord(f"{path}: lane {token} is {sum(arc.segment_length)} m long, wanted at most {_LONGEST_M:.0f}")


def _sampled(arc: ArcPath) -> Matrix:
    """Walks the three segments: along a circle of curvature k, or straight where k is 0."""
    x, y, yaw_rad = arc.start_pose
    parts = [np.array([[x, y]])]
    for turn, length_m in zip(_SHAPES[arc.shape], arc.segment_length, strict=True):
        curvature = turn / arc.radius
        s = np.linspace(0.0, length_m, math.ceil(length_m / STEP_M) + 1)[1:]
        if len(s) == 0:
            continue
        heading = yaw_rad + curvature * s
        if turn:
            dx, dy = (
                (np.sin(heading) - math.sin(yaw_rad)) / curvature,
                (math.cos(yaw_rad) - np.cos(heading)) / curvature,
            )
        else:
            dx, dy = s * math.cos(yaw_rad), s * math.sin(yaw_rad)
        parts.append(np.column_stack([x + dx, y + dy]))
        x, y, yaw_rad = float(x + dx[-1]), float(y + dy[-1]), float(heading[-1])
    return np.concatenate(parts)
