"""A map's lanes as nodes of a graph: made once for a log and its parameters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perceptum.features.map import LaneGraphParams
from perceptum.inputs import HDMap
from perceptum.inputs.shape_index import BoundsIndex, bounds_of

from ..kernels.map import lines as kernels
from .shapes import flags_of, lines_of, numbers_of_ids, on_ground, resampled

__all__ = ["Links", "LaneNodes", "lane_nodes_of"]


@dataclass(frozen=True, eq=False)
class Links:
    """For each of n lanes others: those of lane i are others[starts[i]:starts[i + 1]], rising, each once."""

    starts: NDArray[np.int64]
    others: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LaneNodes:
    """The lanes that have nodes, n of them in the map's order."""

    points: NDArray[np.float64]
    """(P, 3) of the world; z is NaN where nothing knows it. A lane with k points has k - 1 nodes."""
    starts: NDArray[np.int64]
    """(n + 1,)"""
    ids: NDArray[np.int64]
    flags: NDArray[np.uint8]
    """(n, 4)"""
    before: Links
    after: Links
    left: NDArray[np.int64]
    """(n,) the lane beside it, -1 where there is none."""
    right: NDArray[np.int64]
    z_span: tuple[float, float]
    index: BoundsIndex

    def __len__(self) -> int:
        return len(self.ids)


def lane_nodes_of(hdmap: HDMap, params: LaneGraphParams, mirrored: bool) -> LaneNodes:
    """Returns a map's lanes, those whose centreline leads from one place to another. mirrored: left and right are
    exchanged."""
    lanes = hdmap.lanes
    assert lanes is not None, "the map has lanes"
    lines = lines_of(lanes.centerlines, closed=False)
    moves = np.zeros(len(lines.points), np.bool_)
    moves[1:] = (lines.points[1:, :2] != lines.points[:-1, :2]).any(axis=1)
    moves[lines.starts[:-1]] = False
    kept = np.flatnonzero(np.add.reduceat(moves, lines.starts[:-1])) if len(lines.shapes) else lines.shapes
    rows = lines.shapes[kept]
    if params.points_per_lane is None:
        lines = resampled(lines, kernels.RECORDED, len(lines.points), 1.0)
    else:
        lines = resampled(lines, kernels.ARC_LENGTH, params.points_per_lane, 1.0)
    counts = np.diff(lines.starts)
    points = lines.points[np.repeat(np.isin(np.arange(len(counts)), kept), counts)]
    on_ground(points, hdmap)
    starts = np.concatenate([[0], np.cumsum(counts[kept])])
    row_of = np.full(len(lanes) + 1, -1)
    row_of[rows] = np.arange(len(rows))
    pairs = row_of[lanes.successors]
    pairs = pairs[(pairs >= 0).all(axis=1)]
    # -1 looks up the row behind all lanes
    left, right = row_of[lanes.neighbors[rows]].T
    known = points[:, 2][~np.isnan(points[:, 2])]
    return LaneNodes(
        points=points,
        starts=starts,
        ids=numbers_of_ids(lanes.ids)[rows],
        flags=flags_of(lanes, params, mirrored)[rows],
        before=_links(pairs[:, ::-1], len(rows)),
        after=_links(pairs, len(rows)),
        left=np.ascontiguousarray(right if mirrored else left),
        right=np.ascontiguousarray(left if mirrored else right),
        z_span=(float(known.min()), float(known.max())) if len(known) else (0.0, 0.0),
        index=BoundsIndex(bounds_of(points, starts)),
    )


def _links(pairs: NDArray[np.int64], n: int) -> Links:
    once = np.unique(pairs.reshape(-1, 2), axis=0)
    starts = np.concatenate([[0], np.cumsum(np.bincount(once[:, 0], minlength=n))])
    return Links(starts, np.ascontiguousarray(once[:, 1]))
