"""What a Lanelet2 map holds besides what its reader takes: rules, and lines and polygons by their type."""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import Any
from xml.etree.ElementTree import Element

from ..reading.unread import Unread

__all__ = ["count_relations", "count_unread"]


def count_relations(root: Element, unread: Unread) -> None:
    """Adds the file's relations that are neither a lanelet nor an area; the library does not load all of them."""
    for relation in root.iterfind("relation"):
        tags = {tag.get("k", ""): tag.get("v", "") for tag in relation.iterfind("tag")}
        kind = tags.get("type", "")
        if kind == "regulatory_element":
            unread.add(f"regulatory elements of subtype '{tags.get('subtype', '')[:40]}'")
        elif kind not in ("lanelet", "multipolygon"):
            unread.add(f"relations of type '{kind[:40]}'")


def count_unread(loaded: Any, lanes: Iterable[Any], in_layers: Set[int], unread: Unread) -> None:
    """Adds the lines that bound nothing and are in no layer, the polygons, and lanes that are driven both ways."""
    bounds = {int(line.id) for lanelet in loaded.laneletLayer for line in (lanelet.leftBound, lanelet.rightBound)}
    bounds |= {int(line.id) for area in loaded.areaLayer for line in area.outerBound}
    bounds |= {int(line.id) for area in loaded.areaLayer for ring in area.innerBounds for line in ring}
    for line in loaded.lineStringLayer:
        if int(line.id) not in bounds and int(line.id) not in in_layers:
            unread.add(f"lines of type '{_attribute(line, 'type')}'")
    for polygon in loaded.polygonLayer:
        unread.add(f"polygons of type '{_attribute(polygon, 'type')}'")
    for lane in lanes:
        if _attribute(lane, "one_way") in ("no", "false"):
            unread.add("one_way 'no' of a lane, read as one-way")


def _attribute(thing: Any, name: str) -> str:
    return str(thing.attributes[name])[:40] if name in thing.attributes else ""
