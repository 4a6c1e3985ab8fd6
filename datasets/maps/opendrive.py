"""OpenDRIVE maps (.xodr): lanes with boundaries, centrelines and successors, sidewalks, crosswalks, lane markings.

The world frame is the file's own inertial frame, metres. What is read: planView (line, arc, spiral, poly3,
paramPoly3), elevation, superelevation, laneOffset, laneSection, lane widths, links, junctions, crosswalk objects.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord, HDMap, LaneGraph, LogError, Shapes

from .opendrive_links import Connections, LaneKey, connections_of, following
from .opendrive_objects import crosswalks
from .opendrive_roads import Road, Section, road_of
from .safe_xml import read_xml

__all__ = ["read_opendrive"]

Matrix = NDArray[np.float64]
Floats = NDArray[np.float64]

_DRIVEN = (
    *("driving", "entry", "exit", "onRamp", "offRamp", "connectingRamp", "slipLane", "mwyEntry", "mwyExit"),
    *("bidirectional", "bus", "taxi", "HOV", "biking"),
)
_WALKED = ("sidewalk", "walking")
_MOST_POINTS = 4_000_000
_FLAT_M = 1e-6


@dataclass(frozen=True)
class _Side:
    """One lane as lines in driving direction."""

    left: Matrix
    right: Matrix
    centre: Matrix
    type: str
    is_wide: bool


def read_opendrive(path: str | os.PathLike[str], step_m: float = 1.0) -> HDMap:
    """Returns the map, its lines sampled at equal steps of at most `step_m` along the reference line.

    Layers: lane, walkway, crossing (polygons), lane_divider (lines). A lane's id is road/section/lane.
    Raises LogErrors.
    """
    if not step_m > 0:
        raise LogError(f"step_m is {step_m!r}, wanted a length above 0 m")
    file = Path(path)
    root = read_xml(file, "OpenDRIVE", "the map is missing")
    roads = _roads(file, root)
    points = sum(len(s.lanes) * (s.end_s - s.s) / step_m + 2 for r in roads.values() for s in r.sections)
    if points > _MOST_POINTS:
        raise BrokenRecord(
            f"{file}: its lanes would be {points:.0f} points, wanted at most {_MOST_POINTS}; raise step_m"
        )
    lanes = {
        (road.id, index, id): side
        for road in roads.values()
        for index, section in enumerate(road.sections)
        for id, side in _sides(road, section, step_m)
    }
    driven = {key: side for key, side in lanes.items() if side.type in _DRIVEN and side.is_wide}
    layers = {
        "lane": Shapes.of("polygon", {_name(key): _ring(side) for key, side in driven.items()}),
        "walkway": Shapes.of(
            "polygon", {_name(key): _ring(s) for key, s in lanes.items() if s.type in _WALKED and s.is_wide}
        ),
        "crossing": Shapes.of("polygon", dict(c for road in roads.values() for c in crosswalks(file, road))),
        "lane_divider": Shapes.of("line", dict(d for road in roads.values() for d in _dividers(road, step_m))),
    }
    return HDMap(layers=layers, lanes=_graph(roads, connections_of(file, root), driven))


def _roads(file: Path, root: Element) -> dict[str, Road]:
    roads: dict[str, Road] = {}
    for element in root.iterfind("road"):
        road = road_of(file, element)
        if road.id in roads:
            raise BrokenRecord(f"{file}: two roads have the id '{road.id}', wanted one")
        roads[road.id] = road
    return roads


def _name(key: LaneKey) -> str:
    return "/".join(map(str, key))


def _steps(section: Section, step_m: float) -> Floats:
    pieces = max(int(np.ceil((section.end_s - section.s) / step_m - 1e-9)), 1)
    return np.linspace(section.s, section.end_s, pieces + 1)


def _borders(road: Road, section: Section, s: Floats) -> dict[int, Floats]:
    """Lane -> t (k,) of its outer border; lane 0 is the reference line with its offset."""
    borders = {0: road.lane_offset.at(s)}
    for sign in (1, -1):
        for id in sorted((id for id in section.lanes if id * sign > 0), key=abs):
            width = np.maximum(section.lanes[id].width.at(s - section.s), 0.0)
            borders[id] = borders[id - sign] + sign * width
    return borders


def _sides(road: Road, section: Section, step_m: float) -> Iterator[tuple[int, _Side]]:
    s = _steps(section, step_m)
    borders = _borders(road, section, s)
    for id in borders:
        if id == 0:
            continue
        inner, outer = borders[id - (1 if id > 0 else -1)], borders[id]
        right, left = (inner, outer) if id > 0 else (outer, inner)
        lines = [road.place(s, t) for t in (left, right, (left + right) / 2)]
        if not road.forward(id):
            lines = [lines[1][::-1], lines[0][::-1], lines[2][::-1]]
        is_wide = bool(np.max(left - right) > _FLAT_M)
        yield id, _Side(lines[0], lines[1], lines[2], section.lanes[id].type, is_wide)


def _ring(side: _Side) -> Matrix:
    return np.concatenate([side.left, side.right[::-1]])


def _dividers(road: Road, step_m: float) -> Iterator[tuple[str, Matrix]]:
    """The painted lines, each the outer border of the lane it is named after, along s."""
    for index, section in enumerate(road.sections):
        s = _steps(section, step_m)
        for id, t in _borders(road, section, s).items():
            if id in section.lanes and section.lanes[id].marked:
                yield f"{road.id}/{index}/{id}", road.place(s, t)


def _graph(roads: Mapping[str, Road], connections: Connections, driven: Mapping[LaneKey, _Side]) -> LaneGraph:
    row = {key: i for i, key in enumerate(driven)}
    after = [(row[key], row[to]) for key in driven for to in following(roads, connections, key) if to in row]
    beside = [[row.get(other, -1) for other in _beside(roads, key)] for key in driven]
    return LaneGraph(
        centerlines=Shapes.of("line", {_name(key): side.centre for key, side in driven.items()}),
        left_boundaries=Shapes.of("line", {_name(key): side.left for key, side in driven.items()}),
        right_boundaries=Shapes.of("line", {_name(key): side.right for key, side in driven.items()}),
        successors=np.array(sorted(set(after)), dtype=np.int64).reshape(-1, 2),
        neighbors=np.array(beside, dtype=np.int64).reshape(-1, 2),
        is_intersection=np.array([bool(roads[key[0]].junction) for key in driven], dtype=np.bool_),
        lane_type=np.array([side.type for side in driven.values()], dtype=np.str_),
    )


def _beside(roads: Mapping[str, Road], key: LaneKey) -> tuple[LaneKey, LaneKey]:
    """The lanes to the left and right that go the same way; lane 0 is no lane, so that none lies across it."""
    road, section, id = key
    left = id + 1 if roads[road].forward(id) else id - 1
    right = id - 1 if roads[road].forward(id) else id + 1
    return (road, section, left), (road, section, right)
