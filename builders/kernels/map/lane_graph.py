"""The lane graph: which lanes are taken, which nodes follow each other, and which lie beside each other.

Neighbours are in rows: those of node u are others[starts[u]:starts[u + 1]], rising, each once; int32.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from perceptum.inputs.kernel import inner, kernel

from .placing import placed

__all__ = ["compose", "find_beside", "find_following", "place_lanes", "reverse", "write_edges", "write_nodes"]


@kernel
def place_lanes(
    points: Any, starts: Any, candidates: Any, numbers: Any, box: Any, by_bounds: bool, places: Any, out: Any
) -> None:
    """Writes where the points of candidates come, x and y, and how far each lane is: infinite for one not taken.

    points: (P, 3) float64 of the world, starts: (n + 1,) int64. candidates: (k,) int64. numbers: see `placed`. box:
    (4,) float64 xmin ymin xmax ymax. places: (P, 2) float64. out: (k,) float64.
    """
    for k in range(len(candidates)):
        lane = candidates[k]
        nearest, is_in = np.inf, False
        low_x, low_y, high_x, high_y = np.inf, np.inf, -np.inf, -np.inf
        for i in range(starts[lane], starts[lane + 1]):
            x, y, _ = placed(numbers, points[i, 0], points[i, 1], points[i, 2])
            places[i, 0], places[i, 1] = x, y
            nearest = min(nearest, math.hypot(x, y))
            is_in |= box[0] <= x < box[2] and box[1] <= y < box[3]
            low_x, low_y, high_x, high_y = min(low_x, x), min(low_y, y), max(high_x, x), max(high_y, y)
        if by_bounds:
            is_in = not (high_x < box[0] or low_x > box[2] or high_y < box[1] or low_y > box[3])
        out[k] = nearest if is_in else np.inf


@kernel
def write_nodes(lanes: Any, starts: Any, places: Any, steps: bool, out: Any) -> None:
    """Writes the middle of each node, or its step, lane by lane. lanes: (k,) int64, those that are taken. out: (N, 2)
    float32, of which the first nodes that have room are written."""
    row = 0
    for k in range(len(lanes)):
        for i in range(starts[lanes[k]], starts[lanes[k] + 1] - 1):
            if row == len(out):
                return
            for axis in range(2):
                a, b = places[i, axis], places[i + 1, axis]
                out[row, axis] = b - a if steps else (a + b) / 2
            row += 1


@kernel
def find_following(
    lanes: Any, first_nodes: Any, row_of: Any, link_starts: Any, linked: Any, starts: Any, others: Any
) -> None:
    """Writes the nodes after each node: the next of its lane, or the first ones of the lanes after its lane.

    lanes: (k,) int64, those that are taken. first_nodes: (k + 1,) int64, the first node of each. row_of: (n,) int64,
    which of them a lane is; -1: it is not taken. link_starts: (n + 1,) int64, linked: which lanes follow each.
    starts: (N + 1,) int32. others: int32, with room for all.
    """
    at = 0
    for k in range(len(lanes)):
        for node in range(first_nodes[k], first_nodes[k + 1]):
            starts[node] = at
            if node + 1 < first_nodes[k + 1]:
                others[at] = node + 1
                at += 1
                continue
            begin = at
            for i in range(link_starts[lanes[k]], link_starts[lanes[k] + 1]):
                row = row_of[linked[i]]
                if row >= 0:
                    others[at] = first_nodes[row]
                    at += 1
            others[begin:at].sort()
    starts[first_nodes[len(lanes)]] = at


@kernel
def compose(starts_a: Any, others_a: Any, starts_b: Any, others_b: Any, seen: Any, starts: Any, others: Any) -> int:
    """Writes which nodes b leads to from where a leads to; returns how many there are.

    Where that is more than `others` has room for, `others` is not whole, and the caller gives a larger one. seen: (N,)
    int32. starts: (N + 1,) int32. others: int32.
    """
    n, at = len(seen), 0
    for node in range(n):
        seen[node] = -1
    for node in range(n):
        starts[node] = begin = at
        for i in range(starts_a[node], starts_a[node + 1]):
            between = others_a[i]
            for j in range(starts_b[between], starts_b[between + 1]):
                other = others_b[j]
                if seen[other] != node:
                    seen[other] = node
                    if at < len(others):
                        others[at] = other
                    at += 1
        # most nodes have one
        if at - begin > 1 and at <= len(others):
            others[begin:at].sort()
    starts[n] = at
    return at


@kernel
def reverse(starts: Any, others: Any, n: int, out_starts: Any, out: Any) -> None:
    """Writes for each node those that lead to it. out_starts: (n + 1,) int32, out: int32 with room for as many."""
    out_starts[: n + 1] = 0
    many = starts[n]
    for i in range(many):
        out_starts[others[i] + 1] += 1
    for node in range(n):
        out_starts[node + 1] += out_starts[node]
    # filled from the ends, by which the starts come to be where they belong
    for node in range(n - 1, -1, -1):
        for i in range(starts[node + 1] - 1, starts[node] - 1, -1):
            out_starts[others[i] + 1] -= 1
            out[out_starts[others[i] + 1]] = node
    for node in range(n):
        out_starts[node] = out_starts[node + 1]
    out_starts[n] = many


@kernel
def write_edges(starts: Any, others: Any, n: int, out: Any) -> None:
    """Writes the edges, node by node. out: (2, e) int64, of which the first that have room are written."""
    for node in range(n):
        for i in range(starts[node], starts[node + 1]):
            if i == out.shape[1]:
                return
            out[0, i], out[1, i] = node, others[i]


@inner
def _nearest_of(lane: int, x: float, y: float, first_nodes: Any, starts: Any, lanes: Any, places: Any) -> Any:
    """Returns how far the nearest node of a lane that is taken is, squared, and which it is."""
    best, found = np.inf, -1
    i = starts[lanes[lane]]
    for node in range(first_nodes[lane], first_nodes[lane + 1]):
        dx = (places[i, 0] + places[i + 1, 0]) / 2 - x
        dy = (places[i, 1] + places[i + 1, 1]) / 2 - y
        if dx * dx + dy * dy < best:
            best, found = dx * dx + dy * dy, node
        i += 1
    return best, found


@kernel
def find_beside(
    lanes: Any,
    first_nodes: Any,
    row_of: Any,
    starts: Any,
    places: Any,
    beside: Any,
    before_starts: Any,
    before: Any,
    after_starts: Any,
    after: Any,
    distance: float,
    angle: float,
    out: Any,
) -> int:
    """Writes for each node that beside it, -1 where none is; returns how many have one.

    starts, places: as for `place_lanes`. beside: (n,) int64, the lane to one side of each. before, after: the lanes
    before and after each. distance, angle: metres and radians, both to be less. out: (N,) int32. The rest as before.
    """
    many = 0
    for k in range(len(lanes)):
        out[first_nodes[k] : first_nodes[k + 1]] = -1
        side = beside[lanes[k]]
        if side < 0 or row_of[side] < 0:
            continue
        i = starts[lanes[k]]
        for node in range(first_nodes[k], first_nodes[k + 1]):
            x, y = (places[i, 0] + places[i + 1, 0]) / 2, (places[i, 1] + places[i + 1, 1]) / 2
            best, found, of = np.inf, -1, -1
            for which in range(3):
                links = before if which == 1 else after
                link_starts = before_starts if which == 1 else after_starts
                low = link_starts[side] if which else 0
                high = link_starts[side + 1] if which else 1
                for j in range(low, high):
                    row = row_of[links[j]] if which else row_of[side]
                    if row < 0:
                        continue
                    far, other = _nearest_of(row, x, y, first_nodes, starts, lanes, places)
                    if far < best or (far == best and other < found):
                        best, found, of = far, other, row
            if found >= 0 and math.sqrt(best) < distance:
                a, b = i, starts[lanes[of]] + found - first_nodes[of]
                heading_a = math.atan2(places[a + 1, 1] - places[a, 1], places[a + 1, 0] - places[a, 0])
                heading_b = math.atan2(places[b + 1, 1] - places[b, 1], places[b + 1, 0] - places[b, 0])
                apart = abs(heading_a - heading_b)
                if min(apart, 2 * math.pi - apart) < angle:
                    out[node] = found
                    many += 1
            i += 1
    return many
