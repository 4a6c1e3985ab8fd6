"""What an OpenDRIVE file holds besides what its reader takes: elements by where they lie, lanes by their type."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from xml.etree.ElementTree import Element

from ..reading.unread import Unread
from .opendrive_objects import outline_of
from .opendrive_roads import Road
from .safe_xml import yes

__all__ = ["count_unread"]

_READ: Mapping[str, tuple[str, ...]] = {
    "OpenDRIVE": ("header", "road", "junction"),
    "header": (),
    "road": ("link", "planView", "elevationProfile", "lateralProfile", "lanes", "objects", "signals", "surface"),
    "link": ("predecessor", "successor"),
    "planView": ("geometry",),
    "geometry": ("line", "arc", "spiral", "poly3", "paramPoly3"),
    "elevationProfile": ("elevation",),
    "lateralProfile": ("superelevation",),
    "lanes": ("laneOffset", "laneSection"),
    "laneSection": ("left", "center", "right"),
    **dict.fromkeys(("left", "center", "right"), ("lane",)),
    "lane": ("link", "width", "border", "roadMark", "speed"),
    "objects": ("object",),
    "object": ("outlines", "outline"),
    "outlines": ("outline",),
    "outline": ("cornerRoad", "cornerLocal"),
    "junction": ("connection",),
    "connection": ("laneLink",),
}
"""Element -> those of its children that are read, or looked into; all others are counted."""


def count_unread(file: Path, root: Element, roads: Mapping[str, Road], taken: tuple[str, ...], unread: Unread) -> None:
    """Adds what is not read; `taken` are the types of lanes that are. Raises BrokenRecord."""
    todo = [root]
    for element in todo:
        for child in element:
            if child.tag == "object" and child.get("type") != "crosswalk":
                unread.add(f"objects of type '{child.get('type', '')[:40]}'")
            elif child.tag in _READ.get(element.tag, ()):
                todo.append(child)
            else:
                unread.add(f"{element.tag[:40]}/{child.tag[:40]}")
        _count_attributes(file, element, unread)
    for road in roads.values():
        _count_lanes(road, taken, unread)


def _count_attributes(file: Path, element: Element, unread: Unread) -> None:
    """Adds what an attribute says of an element, and is not read of it."""
    kind = element.get("type") or "default"
    if element.tag == "junction" and kind not in ("default", "direct"):
        unread.add(f"junctions of type '{kind[:40]}'")
    elif element.tag == "laneSection" and yes(file, element, "singleSide", False):
        unread.add("singleSide of a lane section, read as for both sides")
    elif element.tag == "object":
        outline = outline_of(file, element)
        unread.add("further outlines of a crosswalk", sum(o is not outline for o in element.iter("outline")))


def _count_lanes(road: Road, taken: tuple[str, ...], unread: Unread) -> None:
    is_banked = bool(road.superelevation.coefficients.any())
    for lane in (lane for section in road.sections for id, lane in section.lanes.items() if id):
        if lane.type not in taken:
            unread.add(f"lanes of type '{lane.type[:40]}'")
        elif not len(lane.width.starts) and not len(lane.border.starts):
            unread.add("lanes without width and border")
        if lane.is_level and is_banked:
            unread.add("level of a lane on a banked road, read as banked")
        if lane.direction == "both":
            unread.add("direction 'both' of a lane, read as standard")
