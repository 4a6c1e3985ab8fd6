"""The HD map of the street, as long as the drive: areas, lines, lanes and the ground, world frame."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import GroundGrid, HDMap, LaneGraph, Matrix, Shapes, turns_of

from .course import Course
from .layout import CROSSING_HALF_M, CURB_M, LANE_M, LANES, SEGMENT_M, WALK_EDGE_M
from .standing import crossing_in
from .trig import cosine, sine

__all__ = ["GROUND_CELL_M", "SPEED_LIMIT_MPS", "map_of"]


GROUND_CELL_M = 0.3
SPEED_LIMIT_MPS = 50 / 3.6
_BESIDE_M = 40.0
"""How far the ground is known on both sides of the outermost bends."""
_STEPS = 25
"""Points per edge of a segment: one every 2 m, and the last is the next segment's first, bit by bit."""


class _Segment(NamedTuple):
    course: Course
    number: int

    def edge(self, across: float, low: float = 0.0, high: float = SEGMENT_M) -> Matrix:
        """Returns (26, 3) world points along the street at one distance from its centre line."""
        along = self.number * SEGMENT_M + low + (high - low) * np.arange(_STEPS + 1) / _STEPS
        xy = self.course.place(along, np.full(len(along), across))
        return self.course.to_world(np.column_stack([xy, self.course.ground(xy[:, 0], xy[:, 1])]))

    def area(self, right: float, left: float, low: float = 0.0, high: float = SEGMENT_M) -> Matrix:
        """Returns the polygon (52, 3) between two distances, counter-clockwise."""
        return np.concatenate([self.edge(right, low, high), self.edge(left, low, high)[::-1]])


def map_of(course: Course, low_m: float, high_m: float) -> HDMap:
    """Returns the map from one place along the street to another, in whole segments."""
    first, last = int(np.floor(low_m / SEGMENT_M)), int(np.floor(high_m / SEGMENT_M))
    segments = [_Segment(course, k) for k in range(first, last + 1)]
    layers = {**_areas(segments), **_lines(segments)}
    return HDMap(layers, _lanes(segments), _ground(course, first * SEGMENT_M, (last + 1) * SEGMENT_M))


def _areas(segments: list[_Segment]) -> dict[str, Shapes]:
    drivable, lanes, walks, crossings = {}, {}, {}, {}
    for s in segments:
        drivable[f"drivable_{s.number}"] = s.area(-CURB_M, CURB_M)
        walks[f"sidewalk_{s.number}_right"] = s.area(-WALK_EDGE_M, -CURB_M)
        walks[f"sidewalk_{s.number}_left"] = s.area(CURB_M, WALK_EDGE_M)
        for lane in LANES:
            lanes[f"lane_{s.number}_{lane.name}"] = s.area(*sorted((lane.inner_m, lane.outer_m)))
        if crossing_in(np.array([s.number]))[0]:
            middle = 0.5 * SEGMENT_M
            ends = middle - CROSSING_HALF_M, middle + CROSSING_HALF_M
            crossings[f"crossing_{s.number}"] = s.area(-CURB_M, CURB_M, *ends)
    named = {"drivable_area": drivable, "lane": lanes, "crossing": crossings, "walkway": walks}
    return {name: Shapes.of("polygon", shapes) for name, shapes in named.items()}


def _lines(segments: list[_Segment]) -> dict[str, Shapes]:
    dividers, boundaries = {}, {}
    for s in segments:
        for n, across in enumerate((-2 * LANE_M, -LANE_M, 0.0, LANE_M, 2 * LANE_M)):
            dividers[f"divider_{s.number}_{n}"] = s.edge(across)
        boundaries[f"boundary_{s.number}_right"] = s.edge(-CURB_M)
        boundaries[f"boundary_{s.number}_left"] = s.edge(CURB_M)
    return {"lane_divider": Shapes.of("line", dividers), "road_boundary": Shapes.of("line", boundaries)}


def _lanes(segments: list[_Segment]) -> LaneGraph:
    """Lanes run with their traffic; row i is lane i % 6 of segment i // 6."""
    middles: dict[str, Matrix] = {}
    lefts: dict[str, Matrix] = {}
    rights: dict[str, Matrix] = {}
    for s in segments:
        for lane in LANES:
            name = f"lane_{s.number}_{lane.name}"
            for where, across in (
                (middles, 0.5 * (lane.inner_m + lane.outer_m)),
                (lefts, lane.inner_m),
                (rights, lane.outer_m),
            ):
                where[name] = s.edge(across)[:: lane.direction]
    n, each = len(segments), len(LANES)
    centerlines = Shapes.of("line", middles)
    return LaneGraph(
        centerlines=centerlines,
        left_boundaries=Shapes.of("line", lefts),
        right_boundaries=Shapes.of("line", rights),
        successors=_successors(n),
        neighbors=np.tile(_NEIGHBORS, (n, 1)) + np.where(np.tile(_NEIGHBORS, (n, 1)) >= 0, _rows(n, each), 0),
        is_intersection=np.zeros(n * each, np.bool_),
        lane_type=np.array([lane.lane_type for lane in LANES] * n, dtype=np.str_),
        turn=turns_of(centerlines),
        has_traffic_control=np.zeros(n * each, np.bool_),
        speed_limit_mps=np.full(n * each, SPEED_LIMIT_MPS),
    )


_NEIGHBORS = np.array([[-1, 1], [0, 2], [1, -1], [-1, 4], [3, 5], [4, -1]], dtype=np.int64)
"""(6, 2) within a segment, left and right, with the same direction."""


def _rows(segments: int, each: int) -> NDArray[np.int64]:
    return np.repeat(np.arange(segments, dtype=np.int64) * each, each)[:, None]


def _successors(segments: int) -> NDArray[np.int64]:
    each = len(LANES)
    pairs = [
        (s * each + i, (s + lane.direction) * each + i)
        for s in range(segments)
        for i, lane in enumerate(LANES)
        if 0 <= s + lane.direction < segments
    ]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _ground(course: Course, low_m: float, high_m: float) -> GroundGrid:
    """Returns the height at the middle of each cell, float32; column by local x, row by local y."""
    swing = float(np.abs(course.bends[:, 0]).sum()) + _BESIDE_M
    x = np.arange(int(np.ceil((high_m - low_m) / GROUND_CELL_M))) * GROUND_CELL_M + low_m + 0.5 * GROUND_CELL_M
    y = np.arange(int(np.ceil(2 * swing / GROUND_CELL_M))) * GROUND_CELL_M - swing + 0.5 * GROUND_CELL_M
    height = np.empty((len(y), len(x)), np.float32)
    # sin(a + b) from the sines of a and b: one sine per row and column, not per cell; 60 ms against 2.5 s for 10 km
    waves = [
        (a, sine(kx * x + phase), cosine(kx * x + phase), sine(ky * y), cosine(ky * y))
        for a, kx, ky, phase in course.ground_waves
    ]
    for row in range(len(y)):
        total = np.full(len(x), course.world_origin[2])
        for a, sine_x, cosine_x, sine_y, cosine_y in waves:
            total += a * cosine_y[row] * sine_x + a * sine_y[row] * cosine_x
        height[row] = total
    (cos, sin), (east, north, _) = course.world_heading, course.world_origin
    rotation = np.array([[cos, sin], [-sin, cos]])
    moved = (-(cos * east + sin * north) - low_m, -(cos * north - sin * east) + swing)
    return GroundGrid(height, rotation, np.array(moved), 1.0 / GROUND_CELL_M)
