"""lane_ctrs and all that belongs to its rows; the edges of the lane graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from perceptum.features.map import LaneGraphParams

from ..kernels.map import lane_graph as kernels
from ..sample import Sample
from ..scratch import Scratch
from ..stage import Clearing, Filler, Stages
from ..written import Written
from .around import MapAround
from .lane_nodes import LaneNodes, lane_nodes_of
from .placing import numbers_of, window_of
from .shapes import FLAGS

__all__ = ["MapLaneGraph"]

_SIDES = ("left", "right")


class _Edges(NamedTuple):
    """From each node to others."""

    starts: NDArray[np.int32]
    others: NDArray[np.int32]
    many: int


class MapLaneGraph(Filler):
    def __init__(self, params: LaneGraphParams, stages: Stages) -> None:
        super().__init__()
        self.title = "lane graph"
        self.params: LaneGraphParams = params
        self.around = stages.share(MapAround, params.reference())
        self._box = np.array(params.range)
        self._wanted: set[str] = set()
        self._scratch: dict[tuple[object, ...], Scratch] = {}
        self._nodes: LaneNodes | None = None
        self._lanes = self._first_nodes = np.zeros(1, np.int64)
        self._n = 0
        self._edges: dict[str, _Edges] = {}
        self._beside: dict[str, tuple[NDArray[np.int32], int]] = {}
        # asked for several times for each tensor
        self._sizes: Mapping[str, int] = {}

    @property
    def nbytes(self) -> int:
        return sum(scratch.array.nbytes for scratch in self._scratch.values())

    def want(self, feature: str, dtype: str) -> None:
        self._wanted.add(feature)

    def run(self, sample: Sample) -> None:
        self.dropped, self._edges, self._beside = {}, {}, {}
        self._nodes, self._n = None, 0
        self._find(sample)
        self._sizes = self._count()

    def _find(self, sample: Sample) -> None:
        hdmap, mirrored = self.around.map, self.around.reference.mirrors
        if hdmap is None or hdmap.lanes is None:
            self.around.report_none("no map" if hdmap is None else "a map without lanes", self.params.required)
            return
        key = (LaneNodes, self.params, mirrored)
        self._nodes = sample.frame.log.cache.get(key, lambda: lane_nodes_of(hdmap, self.params, mirrored))
        self._choose(self._nodes)
        self._find_following(self._nodes)
        for side in _SIDES:
            if f"lane_edges_{side}" in self._wanted:
                self._beside[side] = self._find_beside(self._nodes, side)

    def _reserve(self, dtype: type, n: int, *what: object) -> NDArray[Any]:
        """Returns working memory of at least `n` elements that lasts until the next frame."""
        if what not in self._scratch:
            self._scratch[what] = Scratch(dtype)
        return self._scratch[what].reserve(n)

    @property
    def _places(self) -> NDArray[np.float64]:
        """(P, 2) float64, where the map's points come; of lanes that are taken."""
        assert self._nodes is not None
        n = len(self._nodes.points)
        return self._reserve(np.float64, 2 * n, "places")[: 2 * n].reshape(n, 2)

    @property
    def _row_of(self) -> NDArray[np.int64]:
        """(n,) which of those that are taken each lane is; -1: it is not."""
        assert self._nodes is not None
        return self._reserve(np.int64, len(self._nodes), "rows")

    def _choose(self, nodes: LaneNodes) -> None:
        params = self.params
        by_bounds = params.select == "bounds"
        # in other axes the bounds of a slanting lane may reach where those in the world do not
        candidates = (
            np.arange(len(nodes))
            if by_bounds
            else nodes.index.touching(*window_of(self.around, params.range, nodes.z_span))
        )
        distances = self._reserve(np.float64, len(candidates), "distances")[: len(candidates)]
        given: list[Any] = [nodes.points, nodes.starts, candidates, numbers_of(self.around), self._box]
        given += [by_bounds, self._places, distances]
        kernels.place_lanes(*given)
        taken = np.flatnonzero(distances < np.inf)
        lanes = candidates[taken]
        if params.order == "nearest":
            lanes = lanes[np.lexsort((lanes, nodes.ids[lanes], distances[taken]))]
        first_nodes = np.concatenate([[0], np.cumsum(nodes.starts[lanes + 1] - nodes.starts[lanes] - 1)])
        if params.max_nodes is not None:
            fits = int(np.searchsorted(first_nodes, params.max_nodes, side="right")) - 1
            self.dropped = {"nodes over max_nodes": int(first_nodes[-1] - first_nodes[fits])}
            lanes, first_nodes = lanes[:fits], first_nodes[: fits + 1]
        self._lanes, self._first_nodes, self._n = lanes, first_nodes, int(first_nodes[-1])
        row_of = self._row_of
        row_of[:] = -1
        row_of[lanes] = np.arange(len(lanes))

    def _find_following(self, nodes: LaneNodes) -> None:
        """Finds the edges that are wanted, from powers of two of steps."""
        wanted = [(name, hop) for name, hop in self._hops() if name in self._wanted]
        if not wanted:
            return
        room = self._n + len(nodes.after.others)
        starts = self._reserve(np.int32, self._n + 1, "starts", 1)
        others = self._reserve(np.int32, room, "others", 1)
        links = nodes.after
        kernels.find_following(self._lanes, self._first_nodes, self._row_of, links.starts, links.others, starts, others)
        after = {1: _Edges(starts, others, int(starts[self._n]))}
        for name, hop in wanted:
            edges = self._apart(hop, after)
            self._edges[name] = edges if "suc" in name else self._reversed(edges, hop)

    def _hops(self) -> list[tuple[str, int]]:
        """Feature -> how many steps apart its nodes are."""
        hops = enumerate(self.params.hops)
        return [(f"lane_edges_{way}_{k}", hop) for k, hop in hops for way in ("pre", "suc")]

    def _apart(self, hop: int, known: dict[int, _Edges]) -> _Edges:
        """Returns the nodes so many steps after each; `known`: hops -> those that are found already."""
        if hop not in known:
            power = 1 << (hop.bit_length() - 1)
            a, b = (power, hop - power) if power < hop else (hop // 2, hop // 2)
            known[hop] = self._composed(self._apart(a, known), self._apart(b, known), hop)
        return known[hop]

    def _composed(self, a: _Edges, b: _Edges, hop: int) -> _Edges:
        starts = self._reserve(np.int32, self._n + 1, "starts", hop)
        seen = self._reserve(np.int32, self._n, "seen")[: self._n]
        others = self._reserve(np.int32, max(a.many, b.many), "others", hop)
        many = kernels.compose(a.starts, a.others, b.starts, b.others, seen, starts, others)
        if many > len(others):
            others = self._reserve(np.int32, many, "others", hop)
            kernels.compose(a.starts, a.others, b.starts, b.others, seen, starts, others)
        return _Edges(starts, others, many)

    def _reversed(self, edges: _Edges, hop: int) -> _Edges:
        starts = self._reserve(np.int32, self._n + 1, "starts before", hop)
        others = self._reserve(np.int32, edges.many, "others before", hop)
        kernels.reverse(edges.starts, edges.others, self._n, starts, others)
        return _Edges(starts, others, edges.many)

    def _find_beside(self, nodes: LaneNodes, side: str) -> tuple[NDArray[np.int32], int]:
        beside = self._reserve(np.int32, self._n, side)[: self._n]
        given: list[Any] = [self._lanes, self._first_nodes, self._row_of, nodes.starts, self._places]
        given += [nodes.left if side == "left" else nodes.right]
        given += [nodes.before.starts, nodes.before.others, nodes.after.starts, nodes.after.others]
        given += [self.params.cross_dist, self.params.cross_angle, beside]
        many: int = kernels.find_beside(*given)
        return beside, many

    def sizes(self) -> Mapping[str, int]:
        return self._sizes

    def _count(self) -> dict[str, int]:
        sizes = {"num_nodes": self._n}
        for name, _ in self._hops():
            sizes[name.replace("lane_edges", "num")] = self._edges[name].many if name in self._edges else 0
        for side in _SIDES:
            sizes[f"num_{side}"] = self._beside[side][1] if side in self._beside else 0
        return sizes

    def clearing(self, feature: str) -> Clearing:
        return "whole"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        if feature == "lane_num_nodes":
            out[0] = self._n
        elif feature.startswith("lane_edges"):
            self._write_edges(feature, out)
        else:
            n = min(self._n, len(out))
            out[n:] = -1 if feature == "lane_id" else 0
            if n:
                self._write_nodes(feature, out[:n])

    def _write_nodes(self, feature: str, out: NDArray[Any]) -> None:
        nodes = self._nodes
        assert nodes is not None
        if feature in ("lane_ctrs", "lane_feats"):
            kernels.write_nodes(self._lanes, nodes.starts, self._places, feature == "lane_feats", out)
            return
        flags = {name: nodes.flags[self._lanes, k] for k, name in enumerate(FLAGS)}
        values = {
            "lane_id": nodes.ids[self._lanes],
            "lane_turn": np.stack([flags["turn_left"], flags["turn_right"]], axis=1),
            "lane_control": flags["traffic_control"],
            "lane_intersect": flags["intersection"],
        }[feature]
        out[:] = np.repeat(values, np.diff(self._first_nodes), axis=0)[: len(out)]

    def _write_edges(self, feature: str, out: NDArray[Any]) -> None:
        side = feature.rpartition("_")[2]
        if side in self._beside:
            beside, many = self._beside[side]
            many = min(many, out.shape[1])
            nodes = np.flatnonzero(beside >= 0)[:many]
            out[0, :many], out[1, :many] = nodes, beside[nodes]
        elif feature in self._edges:
            edges = self._edges[feature]
            many = min(edges.many, out.shape[1])
            kernels.write_edges(edges.starts, edges.others, self._n, out)
        else:
            many = 0
        out[:, many:] = -1
