"""py123d's map of one log: layers and the lane graph, global frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import HDMap, LaneGraph, Matrix, Shapes

from ..reading.unread import Unread

__all__ = ["map_of"]


_POLYGONS = {
    "GENERIC_DRIVABLE": "drivable_area",
    "CROSSWALK": "crossing",
    "WALKWAY": "walkway",
    "CARPARK": "carpark_area",
    "INTERSECTION": "intersection",
    "STOP_ZONE": "stop_line",
    "SPEED_BUMP": "speed_bump",
}
_LANES = ("LANE", "LANE_GROUP")
"""A group only says which of its lanes cross an intersection."""
_CONTROLLING = ("TRAFFIC_LIGHT", "STOP_SIGN", "YIELD_SIGN")
_LINES = {"ROAD_LINE": "lane_divider", "ROAD_EDGE": "road_boundary"}


def map_of(api: Any) -> HDMap:
    """Returns the map; the layers are those that the library has. z is NaN in a map without heights."""
    found = _map_of(api)
    if not api.map_has_z:
        lanes = [] if found.lanes is None else [found.lanes.centerlines]
        lanes += [] if found.lanes is None else [found.lanes.left_boundaries, found.lanes.right_boundaries]
        for shapes in (*found.layers.values(), *lanes):
            # the library fills in 0
            shapes.points[:, 2] = np.nan
    return found


def _map_of(api: Any) -> HDMap:
    there = {layer.name: layer for layer in api.available_map_layers}
    unread = Unread("the map of py123d")
    for name in there:
        if name not in (*_POLYGONS, *_LINES, *_LANES):
            unread.add(f"layer {name[:40]}")
    layers = {
        **{ours: _shapes("polygon", api, there[theirs]) for theirs, ours in _POLYGONS.items() if theirs in there},
        **{ours: _shapes("line", api, there[theirs]) for theirs, ours in _LINES.items() if theirs in there},
    }
    if "LANE" not in there:
        return HDMap(layers=layers, unread=unread.warn())
    lanes = list(api.get_all_map_objects_in_layer(there["LANE"]))
    layers["lane"] = Shapes.of("polygon", {str(lane.object_id): _ring(lane) for lane in lanes})
    graph = _graph(lanes, _controlled(api, there, lanes))
    return HDMap(layers=layers, lanes=graph, unread=unread.warn())


def _shapes(kind: Literal["polygon", "line"], api: Any, layer: Any) -> Shapes:
    found: Iterable[Any] = api.get_all_map_objects_in_layer(layer)
    if kind == "line":
        return Shapes.of(kind, {str(thing.object_id): _points(thing.polyline_3d) for thing in found})
    return Shapes.of(kind, {str(thing.object_id): _open(_points(thing.outline_3d)) for thing in found})


def _points(line: Any) -> Matrix:
    return np.array(line.array, dtype=np.float64)[:, :3]


def _open(ring: Matrix) -> Matrix:
    """Without the last corner, where it is the first again."""
    return ring[:-1] if len(ring) > 1 and np.array_equal(ring[0], ring[-1]) else ring


def _ring(lane: Any) -> Matrix:
    return np.concatenate([_points(lane.left_boundary_3d), _points(lane.right_boundary_3d)[::-1]])


def _graph(lanes: list[Any], has_traffic_control: NDArray[np.bool_] | None) -> LaneGraph:
    """Lanes outside of this map are left out of successors, and are -1 as neighbours."""
    row = {lane.object_id: i for i, lane in enumerate(lanes)}
    after = [(i, row[next_id]) for i, lane in enumerate(lanes) for next_id in lane.successor_ids if next_id in row]
    beside = [[row.get(lane.left_lane_id, -1), row.get(lane.right_lane_id, -1)] for lane in lanes]
    return LaneGraph(
        centerlines=Shapes.of("line", {str(lane.object_id): _points(lane.centerline_3d) for lane in lanes}),
        left_boundaries=Shapes.of("line", {str(lane.object_id): _points(lane.left_boundary_3d) for lane in lanes}),
        right_boundaries=Shapes.of("line", {str(lane.object_id): _points(lane.right_boundary_3d) for lane in lanes}),
        successors=np.array(after, dtype=np.int64).reshape(-1, 2),
        neighbors=np.array(beside, dtype=np.int64).reshape(-1, 2),
        is_intersection=np.array([_crosses(lane) for lane in lanes], dtype=np.bool_),
        lane_type=np.array([lane.lane_type.name for lane in lanes], dtype=np.str_),
        has_traffic_control=has_traffic_control,
        speed_limit_mps=_speed_limits(lanes),
    )


def _speed_limits(lanes: list[Any]) -> Matrix | None:
    said = [getattr(lane, "speed_limit_mps", None) for lane in lanes]
    limits = np.array([np.nan if limit is None else limit for limit in said], dtype=np.float64)
    return limits if np.isfinite(limits).any() else None


def _controlled(api: Any, there: Mapping[str, Any], lanes: list[Any]) -> NDArray[np.bool_] | None:
    """The lanes of stop zones and of intersections that have a light or a sign; None where the map has neither."""
    if "STOP_ZONE" not in there and "INTERSECTION" not in there:
        return None
    stopped: set[Any] = set()
    crossed: set[Any] = set()
    for zone in api.get_all_map_objects_in_layer(there["STOP_ZONE"]) if "STOP_ZONE" in there else ():
        if zone.stop_zone_type.name in _CONTROLLING:
            stopped.update(getattr(zone, "lane_ids", None) or ())
    for crossing in api.get_all_map_objects_in_layer(there["INTERSECTION"]) if "INTERSECTION" in there else ():
        if crossing.intersection_type.name in _CONTROLLING:
            crossed.add(crossing.object_id)
    groups = [lane.lane_group for lane in lanes]
    has_control = [
        lane.object_id in stopped or (group is not None and group.intersection_id in crossed)
        for lane, group in zip(lanes, groups, strict=True)
    ]
    return np.array(has_control, dtype=np.bool_)


def _crosses(lane: Any) -> bool:
    group = lane.lane_group
    return group is not None and group.intersection_id is not None
