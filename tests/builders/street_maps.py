"""A small map by hand, far from the world's origin, with all that may be odd about its lanes, and frames on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from perceptum.datasets import memory_log
from perceptum.inputs import GroundGrid, HDMap, LaneGraph, Poses, Shapes

ORIGIN = np.array([5e6, 4.2e5, 130.0])
T0 = 1_700_000_000_000_000_000
NAN = np.full((1, 2), np.nan)

# lane -> centreline, relative to ORIGIN
CENTRES = {
    # one street of two lanes, 3.5 m apart, of three lanes each
    "11": [(-60, 0), (-25, 0), (-20, 0.5)],
    "12": [(-20, 0.5), (0, 0), (20, 0)],
    "13": [(20, 0), (90, 4, 1.5)],
    "21": [(-60, 3.5), (-20, 3.5)],
    "22": [(-20, 3.5), (20, 3.5)],
    "23": [(20, 3.5), (90, 7.5)],
    # turns left and right within the intersection, and a lane that turns back
    "31": [(20, 0), (26, 0.5), (30, 3), (32, 8), (32, 20)],
    "32": [(20, 0), (26, -0.5), (30, -3), (32, -8), (32, -20)],
    "33": [(20, 0), (24, 0), (26, 2), (24, 4), (10, 4)],
    # of nothing but itself, comes back to itself, of one place twice, of one point, of none
    "41": [(-40, -30), (-20, -32)],
    "42": [(-40, 30), (-30, 30), (-30, 40), (-40, 30)],
    "43": [(5, 5), (5, 5)],
    "44": [(6, 6)],
    "45": [(np.nan, np.nan)],
    # far away, and one that passes through the square without a point in it
    "51": [(400, 0), (450, 0)],
    "52": [(-300, 90), (300, 80)],
}
SUCCESSORS = [
    "11 12",
    "12 13",
    "21 22",
    "22 23",
    "12 31",
    "12 32",
    "12 33",
    "42 42",
    "12 43",
    "43 13",
    "13 51",
    "11 22",
]
# lane -> left, right
NEIGHBORS = {
    "11": ("21", None),
    "12": ("22", None),
    "13": ("23", "44"),
    "21": (None, "11"),
    "22": (None, "12"),
    "23": (None, "13"),
    "41": ("51", None),
    "42": ("42", "42"),
}


def lane_graph(turn=None, control=None):
    ids = list(CENTRES)
    row = {id: k for k, id in enumerate(ids)}
    centres = {id: _points(line) for id, line in CENTRES.items()}
    left = {id: _beside(line, 1.75) for id, line in CENTRES.items()}
    right = {id: _beside(line, -1.75) for id, line in CENTRES.items()}
    # a lane without boundaries, and one that has only its left one
    left["41"] = right["41"] = right["21"] = NAN
    sides = [[row.get(other, -1) if other else -1 for other in NEIGHBORS.get(id, (None, None))] for id in ids]
    return LaneGraph(
        centerlines=Shapes.of("line", centres),
        left_boundaries=Shapes.of("line", left),
        right_boundaries=Shapes.of("line", right),
        successors=np.array([[row[id] for id in pair.split()] for pair in SUCCESSORS]),
        neighbors=np.array(sides),
        is_intersection=np.array([id[0] == "3" for id in ids]),
        lane_type=np.array(["VEHICLE"] * len(ids)),
        turn=None if turn is None else np.array([turn.get(id, "") for id in ids]),
        has_traffic_control=None if control is None else np.array([id in control for id in ids]),
    )


def hdmap(turn=None, control=None, ids=None, ground=True):
    """ids: those of the crossings."""
    crossings = {
        "b": _points([(20, -6, 0.25), (24, -6), (24, 6, 1), (20, 6)]),
        "a": _points([(-30, -6), (-27, -6), (-27, 6), (-30, 6), (-31, 2)]),
        "far": _points([(200, 0), (204, 0), (204, 4)]),
    }
    layers = {
        "crossing": Shapes.of("polygon", dict(zip(ids or crossings, crossings.values(), strict=True))),
        "stop_line": Shapes.of("line", {"7": _points([(19, -2), (19, 2)]), "3": _points([(-31, -2), (-31, 2)])}),
        "odd": Shapes.of("line", {"x": _points([(1, 1), (np.nan, 2), (np.inf, 0), (4, 5)]), "y": NAN}),
    }
    return HDMap(layers, lane_graph(turn, control), _ground() if ground else None)


def frames(the_map=None, **more):
    """Three frames: on the street, tilted and turned a little, and far from everything."""
    angle = np.array([0.1, 2.0, -1.0])
    tilt = np.array([0.03, -0.02, 0.0])
    quaternions = np.stack([np.cos(angle / 2), tilt / 2, tilt, np.sin(angle / 2)], axis=1)
    places = np.array([[0, 0, 0.5], [18, 1, 0.7], [3000, 0, 0]]) + ORIGIN
    times = T0 + np.arange(3) * 100_000_000
    return memory_log(times_ns=times, poses=Poses(times, quaternions, places), hdmap=the_map or hdmap(), **more)


def without(the_map, *layers):
    return replace(the_map, layers={name: shapes for name, shapes in the_map.layers.items() if name not in layers})


def _points(line):
    """(k, 3) of the world; a point of two numbers has no height that is known."""
    return np.array([(*point, *[np.nan] * (3 - len(point))) for point in line], dtype=np.float64) + ORIGIN


def _beside(line, across):
    xy = np.array([point[:2] for point in line], dtype=np.float64)
    if len(xy) < 2:
        return NAN
    way = np.gradient(xy, axis=0)
    length = np.maximum(np.hypot(*way.T), 1e-9)[:, None]
    return xy + np.stack([-way[:, 1], way[:, 0]], axis=1) / length * across + ORIGIN[:2]


def _ground():
    """Known from x -50 to 50, rising along x."""
    height = ORIGIN[2] + 0.02 * np.add.outer(np.zeros(100), np.arange(100.0) - 50)
    return GroundGrid(height, np.eye(2), -ORIGIN[:2] + 50, 1.0)
