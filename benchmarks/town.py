"""A town of straight streets that cross, as an Argoverse 2 map has it: about as many lanes as one has around a log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["town"]

_COLUMNS, _ROWS, _BLOCK_M = 4, 4, 70.0
_EDGE_M, _LANE_M, _LANES = 14.0, 3.5, 2
_ORIGIN = np.array([1100.0, 600.0])
Points = NDArray[np.float64]
Street = tuple[int, int]


def town() -> dict[str, Any]:
    """Returns what the file of a log's vector map holds."""
    streets = list(_streets())
    segments: dict[str, Any] = {}
    numbers = {
        (street, lane): 38_100_000 + _LANES * k + lane for k, street in enumerate(streets) for lane in range(_LANES)
    }
    for (street, lane), id in numbers.items():
        beside = (numbers.get((street, lane - 1)), numbers.get((street, lane + 1)))
        segments[str(id)] = _segment(id, _straight(street, lane), beside, False)
    ways = [(a, b, lane) for a in streets for b in streets for lane in range(_LANES) if a[1] == b[0] and a[0] != b[1]]
    for k, (a, b, lane) in enumerate(ways):
        id = 38_200_000 + k
        segments[str(id)] = _segment(id, _bend(_straight(a, lane), _straight(b, lane)), (None, None), True)
        segments[str(numbers[a, lane])]["successors"].append(id)
        segments[str(id)]["successors"].append(numbers[b, lane])
    for id, segment in segments.items():
        for after in segment["successors"]:
            segments[str(after)]["predecessors"].append(int(id))
    return {"pedestrian_crossings": {}, "drivable_areas": {}, "lane_segments": segments}


def _streets() -> Iterator[Street]:
    """Yields the streets from each crossing to each beside it."""
    for node in range(_COLUMNS * _ROWS):
        column, row = node % _COLUMNS, node // _COLUMNS
        for other_column, other_row in ((column + 1, row), (column - 1, row), (column, row + 1), (column, row - 1)):
            if 0 <= other_column < _COLUMNS and 0 <= other_row < _ROWS:
                yield node, other_column + _COLUMNS * other_row


def _crossing(node: int) -> Points:
    return _ORIGIN + np.array([node % _COLUMNS, node // _COLUMNS]) * _BLOCK_M


def _straight(street: Street, lane: int) -> Points:
    """(12, 2) the middle of a lane; they keep to the right."""
    a, b = (_crossing(node) for node in street)
    along = (b - a) / _BLOCK_M
    shift = np.array([along[1], -along[0]]) * (lane + 0.5) * _LANE_M
    return np.linspace(a + along * _EDGE_M, b - along * _EDGE_M, 12) + shift


def _bend(before: Points, after: Points) -> Points:
    """(15, 2) from the end of a lane to the beginning of another."""
    start, end = before[-1], after[0]
    into, out = before[-1] - before[-2], after[1] - after[0]
    cross = into[0] * out[1] - into[1] * out[0]
    d = end - start
    middle = (start + end) / 2 if abs(cross) < 1e-9 else start + into * (d[0] * out[1] - d[1] * out[0]) / cross
    t = np.linspace(0, 1, 15)[:, None]
    bend: Points = (1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * end
    return bend


def _segment(id: int, line: Points, beside: tuple[int | None, int | None], is_intersection: bool) -> dict[str, Any]:
    way = np.gradient(line, axis=0)
    left = np.stack([-way[:, 1], way[:, 0]], axis=1) / np.linalg.norm(way, axis=1, keepdims=True) * _LANE_M / 2
    return {
        "id": id,
        "is_intersection": is_intersection,
        "lane_type": "VEHICLE",
        "left_lane_boundary": _points(line + left),
        "left_lane_mark_type": "DASHED_WHITE",
        "left_neighbor_id": beside[0],
        "right_lane_boundary": _points(line - left),
        "right_lane_mark_type": "DASHED_WHITE",
        "right_neighbor_id": beside[1],
        "predecessors": [],
        "successors": [],
    }


def _points(line: Points) -> list[dict[str, float]]:
    return [{"x": round(float(x), 2), "y": round(float(y), 2), "z": 0.5} for x, y in line]
