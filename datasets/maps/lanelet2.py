"""Lanelet2 maps (.osm), read with the `lanelet2` library: lanes with boundaries, centrelines and successors, layers.

The world frame is east, north, up in metres: UTM about an origin, or the file's own local_x and local_y.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from perceptum.inputs import BrokenRecord, HDMap, LogError, Shapes
from perceptum.install import install_command

from ..reading.unread import Unread
from .lanelet2_lanes import Heights, lane_graph, points_of
from .lanelet2_unread import count_relations, count_unread
from .safe_xml import read_xml

__all__ = ["read_lanelet2"]


_WALKED = ("walkway", "shared_walkway", "stairs")
_NO_LANES = ("crosswalk", *_WALKED)
_PAINTED = ("line_thin", "line_thick", "pedestrian_marking", "zebra_marking")
_BORDERS = ("road_border", "curbstone", "guard_rail", "wall", "fence")
_FARTHEST_M = 1e9
_BROKEN = re.compile(r"rror parsing primitive (-?\d+)")
_MISSING = re.compile(r"Failed to get id (-?\d+) from map")


def read_lanelet2(path: str | os.PathLike[str], origin: tuple[float, float] | None = None) -> HDMap:
    """Returns the map.

    `origin`: latitude and longitude in degrees of the world's zero, for UTM; None: the nodes' own local_x and
    local_y tags, which Autoware writes. z is NaN where a node has no elevation.
    Layers: lane, crossing, walkway, area, carpark_area where there are some, and the holes of both (polygons),
    lane_divider, road_boundary, stop_line (lines). What is not read is in the map's `unread`, and a warning. Raises
    LogErrors.
    """
    file = Path(path)
    root = read_xml(file, "osm", "the map is missing")
    heights = frozenset(_nodes_with_height(root))
    unread = Unread(file)
    count_relations(root, unread)
    del root
    loaded = _load(file, origin)
    if origin is None:
        _to_local(file, loaded)
    _check(file, loaded)
    lanelets = sorted(loaded.laneletLayer, key=lambda lanelet: int(lanelet.id))
    lanes = [lanelet for lanelet in lanelets if _subtype(lanelet) not in _NO_LANES]
    lines = sorted(loaded.lineStringLayer, key=lambda line: int(line.id))
    walked = [lanelet for lanelet in lanelets if _subtype(lanelet) in _WALKED]
    crossed = [lanelet for lanelet in lanelets if _subtype(lanelet) == "crosswalk"]
    areas = sorted(loaded.areaLayer, key=lambda area: int(area.id))
    layers = {
        "lane": _rings(lanes, heights),
        "crossing": _rings(crossed, heights),
        "walkway": _rings(walked, heights),
        "area": _areas(areas, heights),
        "lane_divider": _lines(_beside(lanes, lines, _PAINTED), heights),
        "road_boundary": _lines((line for line in lines if _type(line) in _BORDERS), heights),
        "stop_line": _lines((line for line in lines if _type(line) == "stop_line"), heights),
    }
    if parking := [area for area in areas if _subtype(area) == "parking"]:
        layers["carpark_area"] = _areas(parking, heights)
    for name, own in (("area", areas), ("carpark_area", parking)):
        if holes := {f"{area.id}/{i}": hole for area in own for i, hole in enumerate(area.innerBoundPolygons())}:
            rings = {id: points_of(hole, heights) for id, hole in holes.items()}
            layers[f"{name}_holes"] = Shapes.of("polygon", rings)
    in_layers = {int(id) for name in ("lane_divider", "road_boundary", "stop_line") for id in layers[name].ids}
    count_unread(loaded, lanes, in_layers, unread)
    return HDMap(layers=layers, lanes=lane_graph(lanes, heights), unread=unread.warn())


def _library() -> Any:
    try:
        import lanelet2
        import lanelet2.core
        import lanelet2.io
        import lanelet2.projection
    except ImportError as error:
        raise LogError(f"reading Lanelet2 maps needs lanelet2: {install_command('lanelet2')}") from error
    return lanelet2


def _load(file: Path, origin: tuple[float, float] | None) -> Any:
    library = _library()
    latitude, longitude = origin if origin is not None else (0.0, 0.0)
    if not (abs(latitude) <= 90 and abs(longitude) <= 180):
        raise LogError(f"{file}: origin is {origin}, wanted latitude and longitude in degrees")
    at = library.io.Origin(float(latitude), float(longitude))
    # without an origin the projected places are not used, and any that takes all of the earth will do
    projector = library.projection.MercatorProjector(at) if origin is None else library.projection.UtmProjector(at)
    try:
        loaded, errors = library.io.loadRobust(str(file), projector)
    except RuntimeError as error:
        raise BrokenRecord(f"{file}: not a Lanelet2 map ({' '.join(str(error).split())[:160]})") from error
    serious = _serious(errors)
    if serious:
        raise BrokenRecord(f"{file}: {len(serious)} primitives are broken, the first: {serious[0]}")
    return loaded


def _serious(errors: Iterable[str]) -> list[str]:
    """What is wrong with the map beyond traffic rules of a kind that the library does not know.

    Those are not read, and a lanelet that refers to one is there without it.
    """
    found = [" ".join(text.split())[:160] for text in errors]
    parsed = [(match[1], text) for text in found if (match := _BROKEN.search(text)) is not None]
    rules = {id for id, text in parsed if "egulatory element" in text}
    return [text for id, text in parsed if id not in rules and _missing(text) not in rules]


def _missing(text: str) -> str:
    match = _MISSING.search(text)
    return match[1] if match is not None else ""


def _nodes_with_height(root: Element) -> Iterator[int]:
    for node in root.iterfind("node"):
        if any(tag.get("k") == "ele" for tag in node.iterfind("tag")) and node.get("id", "").lstrip("-").isdecimal():
            yield int(node.get("id", ""))


def _to_local(file: Path, loaded: Any) -> None:
    """Moves every point to its local_x and local_y."""
    for point in loaded.pointLayer:
        if "local_x" not in point.attributes or "local_y" not in point.attributes:
            raise BrokenRecord(
                f"{file}: node {point.id} has no local_x and local_y; say where the world's zero is with "
                "origin=(latitude, longitude)"
            )
        try:
            point.x, point.y = float(point.attributes["local_x"]), float(point.attributes["local_y"])
        except ValueError as error:
            raise BrokenRecord(f"{file}: node {point.id} has local_x or local_y that is not a number") from error


def _check(file: Path, loaded: Any) -> None:
    for point in loaded.pointLayer:
        if not (abs(point.x) <= _FARTHEST_M and abs(point.y) <= _FARTHEST_M and abs(point.z) <= _FARTHEST_M):
            raise BrokenRecord(f"{file}: node {point.id} is at {point.x}, {point.y}, {point.z}, wanted within 1e9 m")
    for lanelet in loaded.laneletLayer:
        if len(lanelet.leftBound) < 2 or len(lanelet.rightBound) < 2:
            raise BrokenRecord(f"{file}: lanelet {lanelet.id} has a bound of less than 2 points")


def _attribute(thing: Any, name: str) -> str:
    return str(thing.attributes[name]) if name in thing.attributes else ""


def _subtype(thing: Any) -> str:
    return _attribute(thing, "subtype")


def _type(thing: Any) -> str:
    return _attribute(thing, "type")


def _rings(lanelets: Iterable[Any], heights: Heights) -> Shapes:
    """The left bound forth and the right one back."""
    rings = {}
    for lanelet in lanelets:
        left, right = points_of(lanelet.leftBound, heights), points_of(lanelet.rightBound, heights)
        rings[str(lanelet.id)] = np.concatenate([left, right[::-1]])
    return Shapes.of("polygon", rings)


def _areas(areas: Iterable[Any], heights: Heights) -> Shapes:
    return Shapes.of("polygon", {str(area.id): points_of(area.outerBoundPolygon(), heights) for area in areas})


def _lines(lines: Iterable[Any], heights: Heights) -> Shapes:
    return Shapes.of("line", {str(line.id): points_of(line, heights) for line in lines if len(line) > 1})


def _beside(lanes: Iterable[Any], lines: Iterable[Any], types: tuple[str, ...]) -> Iterator[Any]:
    """The lines of these types that bound a lane."""
    bounds = {int(bound.id) for lane in lanes for bound in (lane.leftBound, lane.rightBound)}
    return (line for line in lines if int(line.id) in bounds and _type(line) in types)
