"""The shapes of a map as lines that can be worked with, and what is known of its lanes; once for a log."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perceptum.features.map import LaneParams
from perceptum.inputs import HDMap, LaneGraph, Shapes

from ..kernels.map import lines as kernels

__all__ = ["FLAGS", "Lines", "flags_of", "known_shapes", "lines_of", "numbers_of_ids", "on_ground", "resampled"]

FLAGS = ("intersection", "turn_left", "turn_right", "traffic_control")
"""What is known of a lane, in the order in which kernels have it."""

_UTURN_RAD = 0.75 * np.pi

_FARTHEST_M = 1e30
"""A coordinate beyond this is not one: differences of others still fit into float32."""


@dataclass(frozen=True, eq=False)
class Lines:
    """Points of the world of many lines, in one piece."""

    points: NDArray[np.float64]
    """(P, 3); z is NaN where it is not known."""
    starts: NDArray[np.int64]
    """(n + 1,)"""
    shapes: NDArray[np.int64]
    """(n,) the number of each line's shape."""


def lines_of(shapes: Shapes, closed: bool) -> Lines:
    """Returns the points of shapes without those that are not known, and without shapes that have no others.

    Not known is what is not finite, or further than `_FARTHEST_M`. closed: areas end with their first point again.
    """
    near = np.abs(shapes.points) <= _FARTHEST_M
    known = near[:, :2].all(axis=1)
    owner = np.repeat(np.arange(len(shapes)), np.diff(shapes.starts))[known]
    at = np.flatnonzero(known)
    if closed and shapes.kind == "polygon" and len(at):
        first = np.flatnonzero(np.concatenate([[True], owner[1:] != owner[:-1]]))
        last = np.concatenate([first[1:], [len(owner)]])
        at, owner = np.insert(at, last, at[first]), np.insert(owner, last, owner[first])
    points, counts = shapes.points[at], np.bincount(owner, minlength=len(shapes))
    points[~near[at, 2], 2] = np.nan
    there = np.flatnonzero(counts)
    return Lines(points, np.concatenate([[0], np.cumsum(counts[there])]), there)


def known_shapes(shapes: Shapes) -> Shapes:
    """Returns the shapes as `lines_of` has them: one corner that is not known costs no more than itself."""
    lines = lines_of(shapes, closed=False)
    return Shapes(shapes.kind, lines.points, lines.starts, shapes.ids[lines.shapes])


def resampled(lines: Lines, how: int, most: int, spacing_m: float) -> Lines:
    """Returns the lines with other points; how, most: see `count_points`."""
    n = len(lines.shapes)
    hows, counts = np.full(n, how, np.int64), np.zeros(n, np.int64)
    kernels.count_points(lines.points, lines.starts, hows, spacing_m, most, counts)
    starts = np.concatenate([[0], np.cumsum(counts)])
    points = np.zeros((int(starts[-1]), 3))
    kernels.resample(lines.points, lines.starts, hows, spacing_m, starts, points)
    return Lines(points, starts, lines.shapes)


def on_ground(points: NDArray[np.float64], hdmap: HDMap) -> None:
    """Gives points (P, 3) whose z is not known that of the map's ground, where it knows it."""
    unknown = np.flatnonzero(np.isnan(points[:, 2]))
    if len(unknown) and hdmap.ground is not None:
        points[unknown, 2] = hdmap.ground_height(points[unknown, :2])


def numbers_of_ids(ids: NDArray[np.str_]) -> NDArray[np.int64]:
    """Returns (n,) the ids as numbers; where they are not all whole numbers, 0 to n - 1."""
    try:
        return ids.astype(np.int64)
    except (ValueError, OverflowError):
        return np.arange(len(ids))


def flags_of(lanes: LaneGraph, params: LaneParams, mirrored: bool) -> NDArray[np.uint8]:
    """Returns (n, 4) of FLAGS. mirrored: left and right are exchanged."""
    left, right = _turns(lanes, params)
    control = np.zeros(len(lanes), np.bool_) if lanes.has_traffic_control is None else lanes.has_traffic_control
    turns = (right, left) if mirrored else (left, right)
    return np.stack([lanes.is_intersection, *turns, control], axis=1).astype(np.uint8)


def _turns(lanes: LaneGraph, params: LaneParams) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(n,) whether each lane turns left, and whether it turns right."""
    turn = None if params.turn == "heading" else lanes.turn
    said = np.full(len(lanes), "") if turn is None else turn
    left, right = said == "left", said == "right"
    if params.turn != "map":
        change = _heading_change(lines_of(lanes.centerlines, closed=False), len(lanes))
        open_ = (said == "") & lanes.is_intersection
        left = left | (open_ & (change > params.turn_angle) & (change < _UTURN_RAD))
        right = right | (open_ & (change > -_UTURN_RAD) & (change < -params.turn_angle))
    return left, right


def _heading_change(lines: Lines, n: int) -> NDArray[np.float64]:
    """(n,) by how much the heading of each shape's line changes from its first step to its last, radians, to the left
    above 0; all changes added up. 0 of what has no line."""
    step = np.diff(lines.points[:, :2], axis=0)
    owner = np.repeat(lines.shapes, np.diff(lines.starts))
    # steps within a line that lead anywhere
    real = (owner[1:] == owner[:-1]) & step.any(axis=1)
    step, owner = step[real], owner[1:][real]
    a, b = step[:-1], step[1:]
    turn = np.arctan2(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0], (a * b).sum(axis=1))
    same = owner[1:] == owner[:-1]
    return np.bincount(owner[1:][same], weights=turn[same], minlength=n).astype(np.float64)
