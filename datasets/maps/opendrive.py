"""OpenDRIVE maps (.xodr): lanes with boundaries, centrelines and successors, sidewalks, crosswalks, lane markings.

The world frame is the file's own inertial frame, metres. What is read: planView (line, arc, spiral, poly3,
paramPoly3), elevation, superelevation, laneOffset, laneSection, lane widths and borders, links, junctions, crosswalk
objects. Everything else is counted, and named in a warning.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from perceptum.inputs import BrokenRecord, HDMap, LaneGraph, LogError, Matrix, Shapes

from ..reading.unread import Unread
from .opendrive_curves import Floats
from .opendrive_links import Connections, LaneKey, connections_of, following
from .opendrive_objects import crosswalks
from .opendrive_roads import Lane, Road, Section, road_of
from .opendrive_rules import controlled, speed_limits_mps
from .opendrive_unread import count_unread
from .safe_xml import read_xml

__all__ = ["read_opendrive"]


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

    Layers: lane, walkway, crossing (polygons), lane_divider (lines). A lane's id is road/section/lane, a divider's
    that of the lane inside of it. What is not read is in the map's `unread`, and a warning. Raises LogErrors.
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
    graph = _graph(file, roads, connections_of(file, root), driven)
    unread = Unread(file)
    count_unread(file, root, roads, (*_DRIVEN, *_WALKED), unread)
    return HDMap(layers=layers, lanes=graph, unread=unread.warn())


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


def _steps(start_s: float, end_s: float, step_m: float) -> Floats:
    pieces = max(int(np.ceil((end_s - start_s) / step_m - 1e-9)), 1)
    return np.linspace(start_s, end_s, pieces + 1)


def _borders(road: Road, section: Section, s: Floats) -> dict[int, Floats]:
    """Lane -> t (k,) of its outer border; lane 0 is the reference line with its offset."""
    borders = {0: road.lane_offset.at(s)}
    for sign in (1, -1):
        for id in sorted((id for id in section.lanes if id * sign > 0), key=abs):
            lane = section.lanes[id]
            if len(lane.border.starts):
                # some files write the border of a right lane as a t, which is negative, and some as a distance
                borders[id] = sign * np.abs(lane.border.at(s - section.s))
            else:
                borders[id] = borders[id - sign] + sign * np.maximum(lane.width.at(s - section.s), 0.0)
    return borders


def _sides(road: Road, section: Section, step_m: float) -> Iterator[tuple[int, _Side]]:
    s = _steps(section.s, section.end_s, step_m)
    borders = _borders(road, section, s)
    for id in borders:
        if id == 0:
            continue
        lane = section.lanes[id]
        inner, outer = borders[id - (1 if id > 0 else -1)], borders[id]
        right, left = (inner, outer) if id > 0 else (outer, inner)
        lines = [road.place(s, t) for t in (left, right, (left + right) / 2)]
        if not road.forward(lane):
            lines = [lines[1][::-1], lines[0][::-1], lines[2][::-1]]
        is_wide = bool(np.max(left - right) > _FLAT_M)
        yield id, _Side(lines[0], lines[1], lines[2], lane.type, is_wide)


def _ring(side: _Side) -> Matrix:
    return np.concatenate([side.left, side.right[::-1]])


def _dividers(road: Road, step_m: float) -> Iterator[tuple[str, Matrix]]:
    """The painted lines, each the outer border of the lane it is named after, along s.

    Where a border is painted in several stretches, those after the first have their number behind the lane's name.
    """
    for index, section in enumerate(road.sections):
        for id, lane in section.lanes.items():
            for number, (start_s, end_s) in enumerate(_painted(section, lane)):
                s = _steps(start_s, end_s, step_m)
                name = f"{road.id}/{index}/{id}"
                yield f"{name}/{number}" if number else name, road.place(s, _borders(road, section, s)[id])


def _painted(section: Section, lane: Lane) -> Iterator[tuple[float, float]]:
    """From where to where along s the lane's outer border is painted; stretches that touch are one."""
    begin_s: float | None = None
    for offset_m, is_painted in lane.marks:
        s = min(section.s + offset_m, section.end_s)
        if is_painted and begin_s is None:
            begin_s = s
        elif not is_painted and begin_s is not None:
            yield begin_s, s
            begin_s = None
    if begin_s is not None and (begin_s < section.end_s or section.s == section.end_s):
        yield begin_s, section.end_s


def _graph(
    file: Path, roads: Mapping[str, Road], connections: Connections, driven: Mapping[LaneKey, _Side]
) -> LaneGraph:
    row = {key: i for i, key in enumerate(driven)}
    after = [(row[key], row[to]) for key in driven for to in following(roads, connections, key) if to in row]
    beside = [[row.get(other, -1) if other else -1 for other in _beside(roads, key)] for key in driven]
    return LaneGraph(
        centerlines=Shapes.of("line", {_name(key): side.centre for key, side in driven.items()}),
        left_boundaries=Shapes.of("line", {_name(key): side.left for key, side in driven.items()}),
        right_boundaries=Shapes.of("line", {_name(key): side.right for key, side in driven.items()}),
        successors=np.array(sorted(set(after)), dtype=np.int64).reshape(-1, 2),
        neighbors=np.array(beside, dtype=np.int64).reshape(-1, 2),
        is_intersection=np.array([bool(roads[key[0]].junction) for key in driven], dtype=np.bool_),
        lane_type=np.array([side.type for side in driven.values()], dtype=np.str_),
        has_traffic_control=controlled(file, roads, list(driven)),
        speed_limit_mps=speed_limits_mps(roads, driven),
    )


def _beside(roads: Mapping[str, Road], key: LaneKey) -> tuple[LaneKey | None, LaneKey | None]:
    """The lanes to the left and right that go the same way; None lies across the reference line."""
    road, section, id = key
    lanes = roads[road].sections[section].lanes
    forward = roads[road].forward(lanes[id])

    def along(other: int) -> LaneKey | None:
        same = other * id > 0 and other in lanes and roads[road].forward(lanes[other]) == forward
        return (road, section, other) if same else None

    return along(id + 1 if forward else id - 1), along(id - 1 if forward else id + 1)
