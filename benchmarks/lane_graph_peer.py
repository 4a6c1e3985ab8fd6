"""What av2's map api and LaneGCN's preparation do for the lanes around a vehicle, in numpy and scipy.

The queries are those of av2 0.3's ArgoverseStaticMap, with the same steps: get_nearby_lane_segments,
get_lane_segment_centerline, successors and neighbours by their ids. The graph is that of LaneGCN's get_lane_graph and
preprocess, whose distances are in numpy here and only between the nodes of lanes that lie beside each other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

__all__ = ["Av2Map"]

Points = NDArray[np.float64]


class Av2Map:
    def __init__(self, plain: dict[str, Any]) -> None:
        self.segments = {segment["id"]: dict(segment) for segment in plain["lane_segments"].values()}
        for segment in self.segments.values():
            for side in ("left", "right"):
                line = segment[f"{side}_lane_boundary"]
                segment[side] = np.array([(point["x"], point["y"], point["z"]) for point in line])

    def nearby(self, centre: Points, radius_m: float) -> list[dict[str, Any]]:
        """Returns the lanes with a place on a boundary, of fifty on each, within the square around `centre`."""
        return [segment for segment in self.segments.values() if self._is_near(segment, centre, radius_m)]

    def _is_near(self, segment: dict[str, Any], centre: Points, radius_m: float) -> bool:
        both = [resampled(segment[side][:, :2], 50) for side in ("right", "left")]
        return any(bool((np.abs(line - centre).max(axis=1) <= radius_m).any()) for line in both)

    def centreline(self, segment: dict[str, Any]) -> Points:
        return (resampled(segment["left"], 10) + resampled(segment["right"], 10)) / 2

    def polylines(self, pose: Points, radius_m: float, most: int) -> tuple[Points, NDArray[np.int64]]:
        """Returns (L, 20, 2) float32 in the ego frame, the nearest first, and (L,) their kinds: centreline, left and
        right boundary."""
        rows, kinds, distances = [], [], []
        for segment in self.nearby(pose[:2, 3], radius_m):
            for kind, line in enumerate((self.centreline(segment), segment["left"], segment["right"])):
                row = ((resampled(line, 20) - pose[:3, 3]) @ pose[:3, :3])[:, :2]
                distance = np.linalg.norm(row, axis=1).min()
                if distance <= radius_m:
                    rows.append(row)
                    kinds.append(kind)
                    distances.append(distance)
        order = np.argsort(distances)[:most]
        return np.array(rows, dtype=np.float32)[order], np.array(kinds)[order]

    def graph(self, pose: Points, reach_m: float) -> dict[str, Any]:
        """Returns LaneGCN's graph of the lanes that reach into the square, in the ego frame."""
        lanes = {}
        # far enough for a square that is turned
        for segment in self.nearby(pose[:2, 3], 2 * reach_m):
            line = ((self.centreline(segment) - pose[:3, 3]) @ pose[:3, :3])[:, :2]
            if (line.max(axis=0) >= -reach_m).all() and (line.min(axis=0) <= reach_m).all():
                lanes[segment["id"]] = line
        ids = list(lanes)
        row = {id: i for i, id in enumerate(ids)}
        first = np.cumsum([0, *(len(line) - 1 for line in lanes.values())])
        ctrs = np.concatenate([(line[1:] + line[:-1]) / 2 for line in lanes.values()]).astype(np.float32)
        feats = np.concatenate([line[1:] - line[:-1] for line in lanes.values()]).astype(np.float32)
        intersect = [self.segments[id]["is_intersection"] * np.ones(9, np.float32) for id in ids]
        graph: dict[str, Any] = {
            "ctrs": ctrs,
            "feats": feats,
            "intersect": np.concatenate(intersect),
            "turn": np.zeros((len(ctrs), 2), np.float32),
            "control": np.zeros(len(ctrs), np.float32),
            "id": np.repeat(ids, np.diff(first)),
        }
        for way, of in (("suc", "successors"), ("pre", "predecessors")):
            graph |= _apart(way, self._following(way, of, ids, row, first), len(ctrs))
        after = [(row[a], row[b]) for a in ids for b in self.segments[a]["successors"] if b in row]
        following = np.zeros((len(ids), len(ids)), np.float32)
        following[tuple(np.array(after).T)] = 1
        for side in ("left", "right"):
            beside = np.zeros_like(following)
            for i, id in enumerate(ids):
                other = self.segments[id][f"{side}_neighbor_id"]
                if other in row:
                    beside[i, row[other]] = 1
            near = (beside + beside @ following + beside @ following.T) > 0.5
            graph[side] = _nearest(near, first, ctrs, feats)
        return graph

    def _following(self, way: str, of: str, ids: list[int], row: dict[int, int], first: Any) -> NDArray[np.int64]:
        u, v = [], []
        for i, id in enumerate(ids):
            nodes = list(range(first[i], first[i + 1]))
            u += nodes[:-1] if way == "suc" else nodes[1:]
            v += nodes[1:] if way == "suc" else nodes[:-1]
            for other in self.segments[id][of]:
                if other in row:
                    j = row[other]
                    u.append(nodes[-1] if way == "suc" else nodes[0])
                    v.append(first[j] if way == "suc" else first[j + 1] - 1)
        return np.array([u, v], dtype=np.int64)


def _apart(way: str, edges: NDArray[np.int64], n: int) -> dict[str, NDArray[np.int64]]:
    """The edges of 1, 2, 4, 8, 16 and 32 steps, by squaring."""
    matrix = sparse.csr_matrix((np.ones(edges.shape[1], np.bool_), tuple(edges)), shape=(n, n))
    found = {f"{way}_0": edges}
    for k in range(1, 6):
        matrix = matrix * matrix
        pairs = matrix.tocoo()
        found[f"{way}_{k}"] = np.array([pairs.row, pairs.col], dtype=np.int64)
    return found


def _nearest(near: Any, first: Any, ctrs: Any, feats: Any) -> NDArray[np.int64]:
    """The nearest node beside each, lane by lane: of lanes that lie beside it alone."""
    u, v = [], []
    for i in np.flatnonzero(near.any(axis=1)):
        own = np.arange(first[i], first[i + 1])
        others = np.concatenate([np.arange(first[j], first[j + 1]) for j in np.flatnonzero(near[i])])
        distance = np.linalg.norm(ctrs[own][:, None] - ctrs[others], axis=2)
        best = distance.argmin(axis=1)
        kept = distance[np.arange(len(own)), best] < 6.0
        u.append(own[kept])
        v.append(others[best[kept]])
    if not u:
        return np.zeros((2, 0), np.int64)
    edges = np.array([np.concatenate(u), np.concatenate(v)])
    heading = np.arctan2(feats[:, 1], feats[:, 0])
    apart = np.abs(heading[edges[0]] - heading[edges[1]])
    return edges[:, np.minimum(apart, 2 * np.pi - apart) < 0.25 * np.pi]


def resampled(line: Points, n: int) -> Points:
    """Returns n points at equal distances along a line, as av2's interp_arc."""
    wanted = np.linspace(0, 1, n)
    steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
    steps = steps / np.sum(steps)
    along = np.zeros(len(line))
    along[1:] = np.cumsum(steps)
    at = np.digitize(wanted, bins=along).astype(int)
    at[np.where((at <= 0) | (wanted <= 0))] = 1
    at[np.where((at >= len(line)) | (wanted >= 1))] = len(line) - 1
    share = (wanted - along[at - 1]) / steps[at - 1]
    points: Points = line[at - 1] + (line[at] - line[at - 1]) * share[:, None]
    return points
