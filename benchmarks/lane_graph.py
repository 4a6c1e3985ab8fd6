"""The lanes of an Argoverse 2 map as tensors, polylines and LaneGCN's graph, against av2's map api with numpy."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from harness import Result, compare, lines
from lane_graph_peer import Av2Map
from town import town

from perceptum.builders import InputBuilder
from perceptum.datasets import memory_log
from perceptum.datasets.argoverse2.map import read_map
from perceptum.features import canonical
from perceptum.inputs import Log, Poses

__all__ = ["run"]

POLYLINES = ["map_polylines", "map_polyline_mask", "map_polyline_type", "map_polyline_id"]
GRAPH = [feature.name for feature in canonical().group("map_lane_graph").features]
PARAMS: dict[str, Any] = {
    "map_polylines": {
        "layers": ["lane_centerline", "left_boundary", "right_boundary"],
        "radius": 50.0,
        "max_polylines": 256,
        "columns": ["x", "y"],
    },
    "map_lane_graph": "lanegcn",
}
WANTED = 10.0


def run(rounds: int = 30) -> list[Result]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log_map_archive_town____PIT_city_1.json"
        path.write_text(json.dumps(town()))
        log, peer = _drive(Path(folder)), Av2Map(json.loads(path.read_text()))
        polylines = InputBuilder(POLYLINES, params={"map_polylines": PARAMS["map_polylines"]})
        graph = InputBuilder(GRAPH, params={"map_lane_graph": PARAMS["map_lane_graph"]})
        both = InputBuilder([*POLYLINES, *GRAPH], params=PARAMS)
        pose = log[1].world_from_ego
        _check_same(both.build(log[1]), peer, pose)
        work: dict[str, Any] = {
            "polylines": lambda: polylines.build(log[1]),
            "graph": lambda: graph.build(log[1]),
            "both": lambda: both.build(log[1]),
            "av2, polylines": lambda: peer.polylines(pose, 50.0, 256),
            "av2, graph": lambda: peer.graph(pose, 100.0),
            "av2, both": lambda: (peer.polylines(pose, 50.0, 256), peer.graph(pose, 100.0)),
        }
        nodes = int(both.build(log[1])["lane_num_nodes"][0])
        times = compare(rounds, work)
    of = f"of a map of {len(log[1].map.lanes)} lanes"
    return [
        *lines(f"polylines within 50 m, {of}", times, "av2, polylines", {"polylines": WANTED}),
        *lines(f"lane graph of {nodes} nodes, {of}", times, "av2, graph", {"graph": WANTED}),
        *lines(f"both, {of}", times, "av2, both", {"both": WANTED}),
    ]


def _drive(folder: Path) -> Log:
    times_ns = np.arange(3) * 100_000_000
    half = np.array([0.3, 0.31, 0.32]) / 2
    quaternions = np.stack([np.cos(half), 0 * half, 0 * half, np.sin(half)], axis=1)
    places = np.array([[1200.0, 700.0, 1.0], [1201.0, 700.2, 1.0], [1202.0, 700.4, 1.0]])
    return memory_log(times_ns=times_ns, poses=Poses(times_ns, quaternions, places), hdmap=read_map(folder))


def _check_same(ours: dict[str, Any], peer: Av2Map, pose: Any) -> None:
    theirs = peer.graph(pose, 100.0)
    assert len(ours["lane_ctrs"]) == len(theirs["ctrs"]), "not as many nodes"
    # both boundaries by equal steps on each, and ours on the line between in the plane
    assert np.abs(ours["lane_ctrs"] - theirs["ctrs"]).max() < 0.5, "not the same nodes"
    for name in GRAPH:
        if name.startswith("lane_edges"):
            own, other = ({*map(tuple, edges.T.tolist())} for edges in (ours[name], theirs[name[len("lane_edges_") :]]))
            # where two nodes are about equally near, half a metre decides
            apart = len(own ^ other) / max(len(own), 1)
            assert apart < (0.02 if name.endswith("t") else 1e-9), f"{name}: {apart:.3f} of the edges are not the same"
    rows, kinds = peer.polylines(pose, 50.0, 256)
    assert abs(len(rows) - len(ours["map_polylines"])) < 0.05 * len(rows), "not as many polylines"
    assert rows.shape[1:] == ours["map_polylines"].shape[1:]
    assert set(kinds) == set(ours["map_polyline_type"].tolist())
