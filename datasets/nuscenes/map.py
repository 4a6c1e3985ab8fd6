"""nuScenes' map expansion: areas, lines, and from version 1.3 the lane graph. Map frame, metres, no heights.

What the file holds and is not read, an older version's lanes without paths among it, is named in a warning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np

from perceptum.inputs import BrokenRecord, HDMap, LaneGraph, Matrix, Shapes

from ..reading.typed_json import read_json, read_table_sizes
from ..reading.unread import Unread
from .lanes import ArcPath, Connection, Lane, lane_graph
from .stops import CONTROLLING, controlled

__all__ = ["read_map"]


_FARTHEST_M = 1e9
_NOT_TABLES = ("version", "canvas_edge")


class Node(msgspec.Struct, gc=False):
    token: str
    x: float
    y: float


class Line(msgspec.Struct, gc=False):
    token: str
    node_tokens: list[str]


class Hole(msgspec.Struct, gc=False):
    node_tokens: list[str]


class Polygon(msgspec.Struct, gc=False):
    token: str
    exterior_node_tokens: list[str]
    holes: list[Hole] = []


class Area(msgspec.Struct, gc=False):
    token: str
    polygon_token: str | None = None


class DrivableArea(msgspec.Struct, gc=False):
    token: str
    polygon_tokens: list[str]


class RoadSegment(msgspec.Struct, gc=False):
    token: str
    polygon_token: str
    is_intersection: bool = False


class StopLine(Area, gc=False):
    stop_line_type: str = ""


class LineRecord(msgspec.Struct, gc=False):
    token: str
    line_token: str


class Expansion(msgspec.Struct):
    node: list[Node]
    polygon: list[Polygon]
    line: list[Line]
    drivable_area: list[DrivableArea] = []
    road_segment: list[RoadSegment] = []
    road_block: list[Area] = []
    lane: list[Lane] = []
    lane_connector: list[Lane] = []
    ped_crossing: list[Area] = []
    walkway: list[Area] = []
    stop_line: list[StopLine] = []
    carpark_area: list[Area] = []
    road_divider: list[LineRecord] = []
    lane_divider: list[LineRecord] = []
    traffic_light: list[LineRecord] = []
    arcline_path_3: dict[str, list[ArcPath]] = {}
    connectivity: dict[str, Connection] = {}
    version: str | float | None = None


def read_map(path: Path) -> HDMap:
    """Returns the layers and the lane graph of one place; raises BrokenRecord.

    Layers of areas with holes have a second layer, `NAME_holes`: what lies in a hole is not part of the area. There is
    no lane graph where the map has lanes and no path along any, as before version 1.3.
    """
    expansion = read_json(path, Expansion, "the map is missing")
    unread = Unread(path)
    for table, count in read_table_sizes(path).items():
        if table not in (*Expansion.__struct_fields__, *_NOT_TABLES):
            unread.add(f"table '{table[:40]}'", count)
    geometry = _Geometry(path, expansion, unread)
    layers = {name: geometry.lines(records) for name, records in _lines(expansion).items()}
    for name, areas in _areas(expansion).items():
        layers[name], holes = geometry.areas(areas)
        if len(holes):
            layers[f"{name}_holes"] = holes
    graph = _graph(path, expansion, geometry, layers["stop_line"], unread)
    return HDMap(layers=layers, lanes=graph, unread=unread.warn())


def _graph(path: Path, expansion: Expansion, geometry: _Geometry, stops: Shapes, unread: Unread) -> LaneGraph | None:
    lanes = [*expansion.lane, *expansion.lane_connector]
    connectors = {lane.token for lane in expansion.lane_connector}
    arcs, connectivity = expansion.arcline_path_3, expansion.connectivity
    pathless = sum(not arcs.get(lane.token) for lane in lanes)
    if lanes and pathless == len(lanes):
        which = f"version {expansion.version}" if expansion.version else "no version"
        unread.add(f"lanes as a graph, since they have no arcline_path_3: the map has {which}, wanted 1.3", len(lanes))
        return None
    unread.add("lanes without a path in arcline_path_3, left out of the lane graph", pathless)
    if lanes and not connectivity:
        unread.add("successors of lanes, since the map has no connectivity", len(lanes))
    graph = lane_graph(path, lanes, connectors, arcs, connectivity, geometry.points)
    if not expansion.stop_line:
        return graph
    controlling = {stop.token for stop in expansion.stop_line if stop.stop_line_type in CONTROLLING}
    return replace(graph, has_traffic_control=controlled(graph.centerlines, stops, controlling))


def _areas(expansion: Expansion) -> dict[str, list[tuple[str, str]]]:
    """Layer -> (id, polygon's token). A drivable area is many polygons, each with an id of its own."""
    alike: dict[str, Sequence[Area | Lane | RoadSegment]] = {
        "crossing": expansion.ped_crossing,
        "walkway": expansion.walkway,
        "stop_line": expansion.stop_line,
        "carpark_area": expansion.carpark_area,
        "road_block": expansion.road_block,
        "road_segment": expansion.road_segment,
        "intersection": [segment for segment in expansion.road_segment if segment.is_intersection],
        "lane": expansion.lane,
        "lane_connector": expansion.lane_connector,
    }
    drivable = [token for area in expansion.drivable_area for token in area.polygon_tokens]
    return {"drivable_area": [(token, token) for token in dict.fromkeys(drivable)]} | {
        name: [(record.token, record.polygon_token or "") for record in records] for name, records in alike.items()
    }


def _lines(expansion: Expansion) -> dict[str, list[LineRecord]]:
    return {
        "lane_divider": expansion.lane_divider,
        "road_divider": expansion.road_divider,
        "traffic_light": expansion.traffic_light,
    }


class _Geometry:
    """Tokens to points."""

    def __init__(self, path: Path, expansion: Expansion, unread: Unread) -> None:
        self._path = path
        self._unread = unread
        self._row_of_node = {node.token: row for row, node in enumerate(expansion.node)}
        self._nodes = np.array([(node.x, node.y) for node in expansion.node], dtype=np.float64).reshape(-1, 2)
        self._polygons = {polygon.token: polygon for polygon in expansion.polygon}
        self._line_of = {line.token: line for line in expansion.line}
        bad = ~(np.abs(self._nodes) <= _FARTHEST_M).all(axis=1)
        if bad.any():
            token = expansion.node[int(np.argmax(bad))].token
            raise BrokenRecord(f"{path}: node {token} is not finite or beyond 1e9 m")

    def points(self, nodes: Sequence[str]) -> Matrix:
        """Returns (k, 2) of nodes, without the last where it is the first again."""
        try:
            rows = [self._row_of_node[node] for node in nodes]
        except KeyError as error:
            raise BrokenRecord(
                f"{self._path}: names node {str(error.args[0])[:80]!r}, which it does not have"
            ) from None
        return self._nodes[rows]

    def areas(self, records: Sequence[tuple[str, str]]) -> tuple[Shapes, Shapes]:
        """Returns the outlines and their holes, as ID/0, ID/1, ...; those of fewer than 3 corners are left out."""
        outlines: dict[str, Matrix] = {}
        holes: dict[str, Matrix] = {}
        for id, token in records:
            if not token:
                self._unread.add("areas without a polygon")
                continue
            polygon = self._polygons.get(token)
            if polygon is None:
                raise BrokenRecord(f"{self._path}: {id} names polygon {token[:80]!r}, which the map does not have")
            outlines[id] = _open(self.points(polygon.exterior_node_tokens))
            holes |= {f"{id}/{i}": _open(self.points(hole.node_tokens)) for i, hole in enumerate(polygon.holes)}
        return self._shapes(outlines), self._shapes(holes)

    def _shapes(self, rings: Mapping[str, Matrix]) -> Shapes:
        # the published maps have areas and lines without a single node, which say nothing
        self._unread.add("areas of 1 or 2 corners", sum(0 < len(ring) < 3 for ring in rings.values()))
        return Shapes.of("polygon", {id: ring for id, ring in rings.items() if len(ring) >= 3})

    def lines(self, records: Sequence[LineRecord]) -> Shapes:
        """Returns the lines; those without nodes, which the published maps have, are left out."""
        found = {}
        for record in records:
            line = self._line_of.get(record.line_token)
            if line is None:
                raise BrokenRecord(
                    f"{self._path}: {record.token} names line {record.line_token[:80]!r}, which the map does not have"
                )
            points = self.points(line.node_tokens)
            if len(points) >= 2:
                found[record.token] = points
            self._unread.add("lines of 1 point", int(len(points) == 1))
        return Shapes.of("line", found)


def _open(ring: Matrix) -> Matrix:
    return ring[:-1] if len(ring) > 1 and np.array_equal(ring[0], ring[-1]) else ring
