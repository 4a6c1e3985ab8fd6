"""The lane graph: each node a step of a lane, and its edges."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from .drawing import OnGround, Reach
from .ground import Ground
from .kind import Kind

__all__ = ["LANE_GRAPH"]

_TURNS = (("straight on", "#1f4e79"), ("turns left", "#2ca02c"), ("turns right", "#d62728"))
_EDGES = {
    "lane_edges_pre_0": ("pre 0", "#b8860b"),
    "lane_edges_suc_0": ("suc 0", "#6a51a3"),
    "lane_edges_left": ("left", "#17a2b8"),
    "lane_edges_right": ("right", "#e377c2"),
}


def _draw(ground: Ground, kind: Kind) -> str:
    # rows that a spec's fixed size pads hold nothing
    real = (kind["lane_feats"] != 0).any(axis=1)
    centres, steps = kind["lane_ctrs"], kind["lane_feats"]
    counts = [f"{np.count_nonzero(real)} nodes"]
    # those over many nodes are chords that would hide the rest
    for name, (which, color) in _EDGES.items():
        if name in kind.tensors:
            edges = kind[name][:, (kind[name] >= 0).all(axis=0)]
            counts.append(f"{which} {edges.shape[1]}")
            ground.lines(list(centres[edges.T]), color, alpha=0.9)
            ground.name(f"edges {which}", color)
    if any(re.fullmatch(r"lane_edges_(suc|pre)_[1-9]\d*", name) for name in kind.tensors):
        counts.append("farther hops not drawn")
    turn = np.where(kind["lane_turn"][:, 0] > 0, 1, np.where(kind["lane_turn"][:, 1] > 0, 2, 0))
    for number, (name, color) in enumerate(_TURNS):
        own = np.flatnonzero(real & (turn == number))
        ground.arrows(centres[own] - steps[own] / 2, steps[own], color, 1.5)
        ground.name(f"{name} ({len(own)})", color)
    crossing = real & (kind["lane_intersect"] > 0)
    ground.dots(centres[crossing], "#ff7f0e", 6)
    ground.name(f"in an intersection ({np.count_nonzero(crossing)})", "#ff7f0e")
    return ", ".join(counts)


def _reach(params: Any) -> Reach:
    given: Reach = params.range
    return given


_NODES = ("lane_ctrs", "lane_feats", "lane_turn", "lane_intersect")
_NEAREST = ("lane_edges_suc_0", "lane_edges_left", "lane_edges_right")
LANE_GRAPH = OnGround(draw=_draw, reach=_reach, needs=_NODES, also=_NEAREST)
