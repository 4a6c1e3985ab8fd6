"""The map of a Waymo scenario: lines, areas, stop signs and the lane graph. World frame of the scenario, metres."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from perceptum.inputs import BrokenRecord, HDMap, LaneGraph, Matrix, Shapes

from ..reading.protobuf import bytes_of, double_of, fields_of, signed, whole_numbers
from ..reading.unread import Unread
from .boundaries import along
from .scenario import Fields, fields, last

__all__ = ["read_map"]

_KINDS = {3: "lane", 4: "road_line", 5: "road_edge", 7: "stop_sign", 8: "crosswalk", 9: "speed_bump", 10: "driveway"}
"""Of a feature's fields, those that say what it is."""
_LANE_TYPES = ("UNDEFINED", "FREEWAY", "SURFACE_STREET", "BIKE_LANE")
_TYPES = {"road_line": 9, "road_edge": 3}
"""How many types a kind of line has."""
_AREAS = {"crosswalk": "crossing", "speed_bump": "speed_bump", "driveway": "driveway"}
_LINES = {"road_line": "lane_divider", "road_edge": "road_boundary"}
_FARTHEST_M = 1e9
_MPS_PER_MPH = 0.44704
_NO_BOUNDARY = np.full((1, 3), np.nan)


@dataclass(frozen=True, eq=False)
class _Feature:
    id: int
    kind: str
    found: Fields


def read_map(where: str, features: Sequence[bytes], lit: Collection[str]) -> HDMap:
    """Returns the map; `lit` are the lanes that a traffic light was seen for. Raises BrokenRecord.

    Layers: lane_divider and road_boundary (lines), crossing, speed_bump and driveway (polygons), and stop_sign, whose
    lines have a single point each.
    """
    unread = Unread(where)
    try:
        known = [feature for data in features if (feature := _feature(data, unread)) is not None]
        twice = _twice(feature.id for feature in known)
        if twice is not None:
            raise BrokenRecord(f"{where}: two features of the map have the id {twice}, wanted one")
        shapes = {feature.id: _points(where, feature) for feature in known}
        layers = _layers(known, shapes, unread)
        lanes = [f for f in known if f.kind == "lane" and len(shapes[f.id]) >= 2]
        unread.add("lanes of fewer than 2 points", sum(f.kind == "lane" for f in known) - len(lanes))
        graph = _graph(lanes, shapes, _controlled(known, lit), unread)
    except BrokenRecord:
        raise
    except ValueError as error:
        raise BrokenRecord(f"{where}: its map features are not those of a scenario ({error})") from error
    return HDMap(layers=layers, lanes=graph, unread=unread.warn())


def _twice(ids: Iterable[int]) -> int | None:
    seen: set[int] = set()
    for id in ids:
        if id in seen:
            return id
        seen.add(id)
    return None


def _feature(data: bytes, unread: Unread) -> _Feature | None:
    found = fields(data)
    kinds = [number for number in found if number in _KINDS]
    if not kinds:
        others = ", ".join(str(number) for number in found if number != 1) or "none"
        unread.add(f"map features of a kind that is not known (field {others})")
        return None
    kind = _KINDS[kinds[-1]]
    own = fields(bytes_of(found[kinds[-1]][-1]))
    if kind in _TYPES and not 0 <= signed(last(own, 1)) < _TYPES[kind]:
        unread.add(f"{kind}s of type {signed(last(own, 1))}, which is not known")
    if kind == "lane" and not 0 <= signed(last(own, 2)) < len(_LANE_TYPES):
        unread.add(f"lanes of type {signed(last(own, 2))}, read as UNDEFINED")
    return _Feature(signed(last(found, 1)), kind, own)


def _points(where: str, feature: _Feature) -> Matrix:
    """Returns (k, 3): the points of a line, the corners of an area, or where a sign is."""
    number = {"lane": 8, "road_line": 2, "road_edge": 2, "stop_sign": 2}.get(feature.kind, 1)
    values = feature.found.get(number, [])
    points = np.zeros((len(values), 3))
    for row, value in enumerate(values):
        for axis, coordinate in fields_of(bytes_of(value)):
            if 1 <= axis <= 3:
                points[row, axis - 1] = double_of(coordinate)
    if not (np.abs(points) <= _FARTHEST_M).all():
        raise BrokenRecord(f"{where}: {feature.kind} {feature.id} has a point that is not finite or beyond 1e9 m")
    if feature.kind in _AREAS and len(points) > 1 and np.array_equal(points[0], points[-1]):
        points = points[:-1]
    return points


def _layers(known: Sequence[_Feature], shapes: Mapping[int, Matrix], unread: Unread) -> dict[str, Shapes]:
    layers: dict[str, Shapes] = {}
    kinds: tuple[tuple[Mapping[str, str], Literal["line", "polygon"], int], ...] = (
        (_LINES, "line", 2),
        (_AREAS, "polygon", 3),
        ({"stop_sign": "stop_sign"}, "line", 1),
    )
    for names, form, least in kinds:
        for kind, layer in names.items():
            of_kind = {str(f.id): shapes[f.id] for f in known if f.kind == kind}
            whole = {id: points for id, points in of_kind.items() if len(points) >= least}
            unread.add(f"{kind}s of fewer than {least} points", len(of_kind) - len(whole))
            layers[layer] = Shapes.of(form, whole)
    return layers


def _controlled(known: Sequence[_Feature], lit: Collection[str]) -> set[str]:
    """The lanes with a stop sign, and those that a traffic light was seen for."""
    signs = [whole_numbers(feature.found.get(1, [])) for feature in known if feature.kind == "stop_sign"]
    return {*lit, *(str(lane) for lanes in signs for lane in lanes)}


def _graph(
    lanes: Sequence[_Feature], shapes: Mapping[int, Matrix], controlled: Collection[str], unread: Unread
) -> LaneGraph:
    """Lanes outside of this map are left out of successors, and are -1 as neighbours."""
    row = {lane.id: i for i, lane in enumerate(lanes)}
    after = [(row[lane.id], row[id]) for lane in lanes for id in whole_numbers(lane.found.get(10, [])) if id in row]
    beside = [[_beside(lane, number, row) for number in (11, 12)] for lane in lanes]
    types = [signed(last(lane.found, 2)) for lane in lanes]
    limits = [double_of(last(lane.found, 1)) * _MPS_PER_MPH for lane in lanes]
    left, right = (
        Shapes.of("line", {str(lane.id): _boundary(lane, number, shapes, unread) for lane in lanes})
        for number in (13, 14)
    )
    return LaneGraph(
        centerlines=Shapes.of("line", {str(lane.id): shapes[lane.id] for lane in lanes}),
        left_boundaries=left,
        right_boundaries=right,
        successors=np.array(after, dtype=np.int64).reshape(-1, 2),
        neighbors=np.array(beside, dtype=np.int64).reshape(-1, 2),
        is_intersection=np.array([signed(last(lane.found, 3)) != 0 for lane in lanes], dtype=np.bool_),
        lane_type=np.array([_LANE_TYPES[t if 0 <= t < len(_LANE_TYPES) else 0] for t in types], dtype=np.str_),
        has_traffic_control=np.array([str(lane.id) in controlled for lane in lanes], dtype=np.bool_),
        # 0 is how the format says nothing
        speed_limit_mps=np.array([limit if 0 < limit < _FARTHEST_M else np.nan for limit in limits], dtype=np.float64),
    )


def _beside(lane: _Feature, number: int, row: Mapping[int, int]) -> int:
    """Returns the neighbour along most of the lane's points, the first of equals; -1 where there is none."""
    best, longest = -1, -1
    for neighbor in (fields(bytes_of(value)) for value in lane.found.get(number, [])):
        id, first, end = (signed(last(neighbor, part)) for part in (1, 2, 3))
        if id in row and end - first > longest:
            best, longest = row[id], end - first
    return best


def _boundary(lane: _Feature, number: int, shapes: Mapping[int, Matrix], unread: Unread) -> Matrix:
    """Returns (k, 3) in driving direction: of each line that bounds a stretch of the lane, what is beside it.

    A single NaN point where the lane has no boundary on this side.
    """
    parts = []
    centre = shapes[lane.id]
    for segment in (fields(bytes_of(value)) for value in lane.found.get(number, [])):
        first, end, id = (signed(last(segment, part)) for part in (1, 2, 3))
        line = shapes.get(id)
        if line is None or not 0 <= first <= end < len(centre) or len(line) < 2:
            unread.add("stretches of a lane's boundary that the map does not have")
            continue
        parts.append(along(line, centre[first : end + 1]))
    parts = [part for part in parts if len(part) >= 2]
    return np.concatenate(parts) if parts else _NO_BOUNDARY
