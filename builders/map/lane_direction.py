"""map_lane_direction and map_lane_direction_mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features.map.lane_direction import LaneDirectionParams
from perceptum.inputs import HDMap, LaneGraph, Shapes
from perceptum.inputs.shape_index import bounds_of

from ..kernels.map.lanes import direct_lanes
from ..kernels.map.writing import write_bits
from ..lidar.bev import Placement
from ..sample import Sample
from ..scratch import Scratch
from ..stage import Clearing, Filler, Stages
from ..written import Written
from .around import MapAround
from .laid import laid
from .layers import with_heights
from .raster import eight_of
from .shapes import lines_of
from .square import Square

__all__ = ["LaneDirection"]

_NOWHERE = np.full((1, 3), np.nan)

_BESIDE_M = 10.0
"""No lane is twice as wide: a boundary that ends further from its lane's ends runs along a part of it."""


@dataclass(frozen=True, eq=False)
class _Lanes:
    """The lanes of a map: what lies between their boundaries, one ring each, and their centrelines."""

    points: NDArray[np.float64]
    rings: NDArray[np.int64]
    first_ring: NDArray[np.int64]
    centres: NDArray[np.float64]
    starts: NDArray[np.int64]
    bounds: NDArray[np.float64]
    """(n, 4) of both."""
    all: NDArray[np.int64]
    longest: int


class LaneDirection(Filler):
    def __init__(self, params: LaneDirectionParams, stages: Stages) -> None:
        super().__init__(params, stages)
        self.title = "lane directions"
        self.around = stages.share(MapAround, params.reference())
        self._square = Square(params.range, params.cell, centre=True, margin_m=params.lane_width)
        self._columns, rows, _ = params.grid.size
        words = -(-self._columns // 64)
        self._turns, self._inside, self._own, self._taken = (np.zeros((rows, words), np.uint64) for _ in range(4))
        self._direction = np.zeros((2, rows, self._columns), np.float32)
        self._us, self._vs = Scratch(np.float64), Scratch(np.float64)
        self._place = Placement(params).channel(0)
        self._eight = eight_of(0, 1, np.dtype(np.uint8))
        self._is_clean = True
        self._pieces = np.zeros((0, 0), np.int32)

    @property
    def nbytes(self) -> int:
        kept = (self._turns, self._inside, self._own, self._taken, self._direction, self._us.array, self._vs.array)
        return sum(own.nbytes for own in kept)

    def run(self, sample: Sample) -> None:
        if not self._is_clean:
            for own in (self._turns, self._inside, self._own):
                own.fill(0)
        self._taken.fill(0)
        self._direction.fill(0)
        hdmap, params = self.around.map, self.params
        if hdmap is None or hdmap.lanes is None:
            self.around.report_none("no map" if hdmap is None else "a map without a lane graph", params.required)
            return
        graph = hdmap.lanes
        lanes = sample.frame.log.cache.get(("lane areas",), lambda: _made(hdmap, graph))
        place = self._square.place(self.around)
        us, vs = (scratch.reserve(lanes.longest) for scratch in (self._us, self._vs))
        areas, centres = (lanes.points, lanes.rings, lanes.first_ring), (lanes.centres, lanes.starts, lanes.bounds)
        scratch = (us, vs, self._turns, self._inside, self._own, self._pieces)
        # what is interrupted from here on leaves bits in the scratch
        self._is_clean = False
        reach = 0.5 * params.lane_width / params.cell
        direct_lanes(*areas, *centres, lanes.all, place, self._columns, reach, *scratch, self._taken, self._direction)
        self._is_clean = True

    def clearing(self, feature: str) -> Clearing:
        return "whole"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        if feature.endswith("_mask"):
            write_bits(self._taken, self._place, self._columns, True, self._eight, out.reshape(-1))
        else:
            out[...] = laid(self._direction, self.params)


def _made(hdmap: HDMap, graph: LaneGraph) -> _Lanes:
    sides = _known(graph.left_boundaries), _known(graph.centerlines), _known(graph.right_boundaries)
    # a lane without a centreline has no direction: it is in no window
    centres = [centre if len(centre) else _NOWHERE for centre in sides[1]]
    rings = [
        np.concatenate([left, right[::-1]]) if _are_beside(centre, left, right) else centre[:1]
        for left, centre, right in zip(sides[0], centres, sides[2], strict=True)
    ]
    longest = max(map(len, (*rings, *centres)), default=0)
    areas, lines = (np.concatenate([np.zeros((0, 3)), *own]) for own in (rings, centres))
    points, middles = (with_heights(own, hdmap) for own in (areas, lines))
    parts, starts = (np.cumsum([0, *map(len, own)], dtype=np.int64) for own in (rings, centres))
    # by what a lane covers and its centreline, which reaches a little further on some maps
    both = [np.concatenate(own) for own in zip(rings, centres, strict=True)]
    bounds = bounds_of(np.concatenate([np.zeros((0, 3)), *both]), np.cumsum([0, *map(len, both)]))
    return _Lanes(points, parts, np.arange(len(rings) + 1), middles, starts, bounds, np.arange(len(rings)), longest)


def _are_beside(centre: NDArray[np.float64], *sides: NDArray[np.float64]) -> bool:
    """Whether boundaries run along all of a lane: those of Waymo's lanes often cover the stretch before a crossing."""
    ends = centre[[0, -1], None, :2]
    return all(
        len(side) >= 2 and bool((np.hypot(*(ends - side[[0, -1], :2]).T).min(axis=0) <= _BESIDE_M).all())
        for side in sides
    )


def _known(shapes: Shapes) -> list[NDArray[np.float64]]:
    """Returns the points of each shape that are known."""
    lines, found = lines_of(shapes, closed=False), [_NOWHERE[:0]] * len(shapes)
    for row, begin, end in zip(lines.shapes.tolist(), lines.starts[:-1], lines.starts[1:], strict=True):
        found[row] = lines.points[begin:end]
    return found
