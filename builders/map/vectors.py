"""A map's lines as the rows of map_polylines may have them: made once for a log and its parameters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features.map import PolylinesParams
from perceptum.features.map.polylines import LANE_LINES
from perceptum.inputs import HDMap, LaneGraph, Shapes
from perceptum.inputs.shape_index import BoundsIndex, bounds_of

from ..kernels.map import lines as kernels
from .shapes import FLAGS, Lines, flags_of, lines_of, numbers_of_ids, on_ground, resampled

__all__ = ["Vectors", "has_layer", "vectors_of"]

_HOW = {
    "arc_length": kernels.ARC_LENGTH,
    "number": kernels.NUMBER,
    "spacing": kernels.SPACING,
    "recorded": kernels.RECORDED,
}


@dataclass(frozen=True, eq=False)
class Vectors:
    """The polylines of a map, n of them in the order of `layers` and of the map."""

    points: NDArray[np.float64]
    """(P, 3) of the world; z is NaN where nothing knows it."""
    starts: NDArray[np.int64]
    """(n + h + 1,): behind the n there may be h lines by which some of them are ordered."""
    goes_on: NDArray[np.uint8]
    """(n,) whether the point before a polyline's first is one of its own line."""
    ranked_by: NDArray[np.int64]
    """(n,) the line by whose points each is chosen and ordered."""
    layers: NDArray[np.int64]
    ids: NDArray[np.int64]
    flags: NDArray[np.uint8]
    """(n, 4)"""
    most: int
    """Points of the longest."""
    z_span: tuple[float, float]
    """The least and the greatest height that is known; 0 and 0 where none is."""
    index: BoundsIndex

    def __len__(self) -> int:
        return len(self.layers)


@dataclass(frozen=True, eq=False)
class _Layer:
    lines: Lines
    goes_on: NDArray[np.uint8]
    ids: NDArray[np.int64]
    flags: NDArray[np.uint8]
    lanes: NDArray[np.int64]
    """(n,) the lane by whose centreline each is ordered; -1: by its own points."""


def vectors_of(hdmap: HDMap, params: PolylinesParams, mirrored: bool) -> Vectors:
    """Returns the lines of the layers that the map has. mirrored: left and right are exchanged."""
    layers = {
        k: _layer(hdmap, name, params, mirrored) for k, name in enumerate(params.layers) if has_layer(hdmap, name)
    }
    parts = [layer.lines for layer in layers.values()]
    lanes = _joined(np.int64, [layer.lanes for layer in layers.values()])
    n, ranked_by = len(lanes), np.arange(len(lanes))
    by_lane = np.flatnonzero(lanes >= 0)
    if len(by_lane) and hdmap.lanes is not None:
        how = "arc_length" if params.resample == "spacing" else params.resample
        centre = resampled(_lines(hdmap.lanes.centerlines, params), _HOW[how], _most(params), params.spacing)
        row = np.full(len(hdmap.lanes), -1)
        row[centre.shapes] = n + np.arange(len(centre.shapes))
        found = row[lanes[by_lane]]
        ranked_by[by_lane] = np.where(found >= 0, found, by_lane)
        parts.append(centre)
    points = np.concatenate([np.zeros((0, 3)), *(part.points for part in parts)])
    on_ground(points, hdmap)
    counts = _joined(np.int64, [np.diff(part.starts) for part in parts])
    starts = np.concatenate([[0], np.cumsum(counts)])
    known = points[:, 2][~np.isnan(points[:, 2])]
    return Vectors(
        points=points,
        starts=starts,
        goes_on=_joined(np.uint8, [layer.goes_on for layer in layers.values()]),
        ranked_by=ranked_by,
        layers=_joined(np.int64, [np.full(len(layer.ids), k) for k, layer in layers.items()]),
        ids=_joined(np.int64, [layer.ids for layer in layers.values()]),
        flags=np.concatenate([np.zeros((0, len(FLAGS)), np.uint8), *(layer.flags for layer in layers.values())]),
        most=int(counts[:n].max(initial=0)),
        z_span=(float(known.min()), float(known.max())) if len(known) else (0.0, 0.0),
        index=BoundsIndex(bounds_of(points, starts)[ranked_by]),
    )


def _joined(dtype: type, parts: list[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate([np.zeros(0, dtype), *parts]).astype(dtype)


def has_layer(hdmap: HDMap, name: str) -> bool:
    """Whether a map has a layer, or the lanes of which it is made."""
    return _of_lanes(hdmap, name) or name in hdmap.layers


def _of_lanes(hdmap: HDMap, name: str) -> bool:
    return name in LANE_LINES and hdmap.lanes is not None


def _most(params: PolylinesParams) -> int:
    """How many points a row has."""
    return params.points_per_polyline + (params.elements == "vectors")


def _lines(shapes: Shapes, params: PolylinesParams) -> Lines:
    lines = lines_of(shapes, params.closed)
    if params.elements == "points":
        return lines
    # a single point is the end of no vector
    counts = np.diff(lines.starts)
    kept = counts > 1
    return Lines(
        lines.points[np.repeat(kept, counts)], np.concatenate([[0], np.cumsum(counts[kept])]), lines.shapes[kept]
    )


def _layer(hdmap: HDMap, name: str, params: PolylinesParams, mirrored: bool) -> _Layer:
    lanes = hdmap.lanes if _of_lanes(hdmap, name) else None
    if lanes is None:
        return _pieces(hdmap.layers[name], params, None, None)
    flags = flags_of(lanes, params, mirrored)
    if name == "lane_centerline":
        return _pieces(lanes.centerlines, params, lanes, flags)
    sides = list(_sides(lanes, mirrored))
    if name != "lane_boundary":
        return _pieces(sides[("left_boundary", "right_boundary").index(name)], params, lanes, flags)
    left, right = (_pieces(side, params, lanes, flags) for side in sides)
    return _in_turn(left, right)


def _sides(lanes: LaneGraph, mirrored: bool) -> Iterator[Shapes]:
    """The left and the right boundaries, as one sees them."""
    sides = (lanes.left_boundaries, lanes.right_boundaries)
    return reversed(sides) if mirrored else iter(sides)


def _pieces(
    shapes: Shapes, params: PolylinesParams, lanes: LaneGraph | None, flags: NDArray[np.uint8] | None
) -> _Layer:
    """Returns the lines of a layer as the rows will have them."""
    how = params.outlines if shapes.kind == "polygon" and params.outlines == "recorded" else params.resample
    lines = resampled(_lines(shapes, params), _HOW[how], _most(params), params.spacing)
    lines, goes_on = _cut(lines, params) if how == "spacing" else (lines, np.zeros(len(lines.shapes), np.uint8))
    is_boundary = lanes is not None and shapes is not lanes.centerlines
    ids = numbers_of_ids(shapes.ids if lanes is None else lanes.ids)
    return _Layer(
        lines,
        goes_on,
        ids[lines.shapes],
        np.zeros((len(lines.shapes), len(FLAGS)), np.uint8) if flags is None else flags[lines.shapes],
        lines.shapes if is_boundary and params.boundaries_by == "lane" else np.full(len(lines.shapes), -1),
    )


def _cut(lines: Lines, params: PolylinesParams) -> tuple[Lines, NDArray[np.uint8]]:
    """Cuts lines into pieces of at most as many points, or vectors, as a row has; a piece of vectors begins with the
    last point of the one before it."""
    vectors, steps = int(params.elements == "vectors"), params.points_per_polyline
    counts = np.diff(lines.starts) - vectors
    pieces = -(-counts // steps)
    line = np.repeat(np.arange(len(counts)), pieces)
    nth = np.arange(len(line)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    first = lines.starts[:-1][line] + nth * steps
    many = np.minimum(counts[line] - nth * steps, steps) + vectors
    starts = np.concatenate([[0], np.cumsum(many)])
    at = np.arange(starts[-1]) + np.repeat(first - starts[:-1], many)
    return Lines(lines.points[at], starts, lines.shapes[line]), (nth > 0).astype(np.uint8)


def _in_turn(left: _Layer, right: _Layer) -> _Layer:
    """Returns the lines of both, the left and then the right ones of each lane."""
    lanes = np.concatenate([left.lines.shapes, right.lines.shapes])
    order = np.lexsort((np.repeat([0, 1], [len(left.ids), len(right.ids)]), lanes))
    counts = np.concatenate([np.diff(left.lines.starts), np.diff(right.lines.starts)])
    begins = np.concatenate([left.lines.starts[:-1], right.lines.starts[:-1] + len(left.lines.points)])
    starts = np.concatenate([[0], np.cumsum(counts[order])])
    at = np.arange(starts[-1]) + np.repeat(begins[order] - starts[:-1], counts[order])
    points = np.concatenate([left.lines.points, right.lines.points])[at]
    both = (np.concatenate(pair)[order] for pair in _pairs(left, right))
    goes_on, ids, flags, ranks = both
    return replace(left, lines=Lines(points, starts, lanes[order]), goes_on=goes_on, ids=ids, flags=flags, lanes=ranks)


def _pairs(left: _Layer, right: _Layer) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    for name in ("goes_on", "ids", "flags", "lanes"):
        yield getattr(left, name), getattr(right, name)
