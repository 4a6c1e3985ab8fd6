"""OpenDRIVE's roads, lane sections and lanes as checked objects; what is not needed for lanes is not read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord

from .opendrive_curves import Cubics, Geometry, geometry_of, reference_line
from .safe_xml import number, whole

__all__ = ["Lane", "Link", "Road", "Section", "road_of"]

Floats = NDArray[np.float64]
End = Literal["start", "end"]

_LONGEST_M = 1e6


@dataclass(frozen=True)
class Link:
    """What comes before or after a road: a road at one of its ends, or a junction."""

    kind: Literal["road", "junction"]
    id: str
    contact: End


@dataclass(frozen=True)
class Lane:
    """One lane of one section; ids grow to the left of the reference line, 0 is the line itself."""

    id: int
    type: str
    width: Cubics
    """Over the distance from the section's start."""
    marked: bool
    """Whether its outer border is painted."""
    predecessors: tuple[int, ...]
    successors: tuple[int, ...]


@dataclass(frozen=True)
class Section:
    """A stretch of road with one set of lanes."""

    s: float
    end_s: float
    lanes: dict[int, Lane]


@dataclass(frozen=True)
class Road:
    """One road: its reference line, heights, sections and links."""

    id: str
    junction: str
    """Empty outside of junctions."""
    left_hand: bool
    length_m: float
    pieces: tuple[Geometry, ...]
    elevation: Cubics
    superelevation: Cubics
    lane_offset: Cubics
    sections: tuple[Section, ...]
    predecessor: Link | None
    successor: Link | None
    crosswalks: tuple[Element, ...]

    def forward(self, lane: int) -> bool:
        """Whether one drives along s on this lane."""
        return (lane < 0) != self.left_hand

    def place(self, s: Floats, t: Floats) -> Floats:
        """Returns (k, 3) points at s along the reference line and t to its left, superelevation taken in."""
        x, y, heading_rad = reference_line(self.pieces, s)
        roll_rad = self.superelevation.at(s)
        left = t * np.cos(roll_rad)
        z = self.elevation.at(s) + t * np.sin(roll_rad)
        return np.stack([x - left * np.sin(heading_rad), y + left * np.cos(heading_rad), z], axis=1)


def road_of(path: Path, element: Element) -> Road:
    """Returns a checked <road>; raises BrokenRecord."""
    id = element.get("id", "")
    length_m = number(path, element, "length")
    pieces = sorted((geometry_of(path, g) for g in element.iterfind("planView/geometry")), key=lambda g: g.s)
    if not pieces or not 0 <= length_m <= _LONGEST_M:
        raise BrokenRecord(
            f"{path}: road '{id}' has {len(pieces)} geometries and {length_m} m, wanted 1 and up to 1e6 m"
        )
    junction = element.get("junction", "-1")
    return Road(
        id=id,
        junction="" if junction == "-1" else junction,
        left_hand=element.get("rule") == "LHT",
        length_m=length_m,
        pieces=tuple(pieces),
        elevation=Cubics.of(path, element.findall("elevationProfile/elevation")),
        superelevation=Cubics.of(path, element.findall("lateralProfile/superelevation")),
        lane_offset=Cubics.of(path, element.findall("lanes/laneOffset")),
        sections=_sections(path, id, length_m, element.findall("lanes/laneSection")),
        predecessor=_link(element.find("link/predecessor")),
        successor=_link(element.find("link/successor")),
        crosswalks=tuple(o for o in element.iterfind("objects/object") if o.get("type") == "crosswalk"),
    )


def _link(element: Element | None) -> Link | None:
    if element is None:
        return None
    contact: End = "end" if element.get("contactPoint") == "end" else "start"
    kind: Literal["road", "junction"] = "junction" if element.get("elementType") == "junction" else "road"
    return Link(kind, element.get("elementId", ""), contact)


def _sections(path: Path, road: str, length_m: float, elements: Sequence[Element]) -> tuple[Section, ...]:
    ordered = sorted(((number(path, e, "s"), i, e) for i, e in enumerate(elements)), key=lambda row: row[:2])
    starts = [s for s, _, _ in ordered]
    if starts and not 0 <= starts[0] <= starts[-1] <= length_m + 1e-3:
        raise BrokenRecord(
            f"{path}: road '{road}' of {length_m} m has lane sections from {starts[0]} to {starts[-1]} m"
        )
    ends = [*starts[1:], length_m] if starts else []
    return tuple(Section(s, max(end, s), _lanes(path, e)) for (s, _, e), end in zip(ordered, ends, strict=True))


def _lanes(path: Path, section: Element) -> dict[int, Lane]:
    found: dict[int, Lane] = {}
    for side in ("left", "center", "right"):
        for element in section.iterfind(f"{side}/lane"):
            lane = _lane(path, element)
            if lane.id in found or (side == "left") != (lane.id > 0) or (side == "right") != (lane.id < 0):
                raise BrokenRecord(f"{path}: a lane section has lane {lane.id} to the {side}, or twice")
            found[lane.id] = lane
    for id in found:
        # the lanes between it and the reference line
        if id and id - (1 if id > 0 else -1) not in {*found, 0}:
            raise BrokenRecord(f"{path}: a lane section has lane {id} without the lane inside of it")
    return found


def _lane(path: Path, element: Element) -> Lane:
    marks = [mark.get("type", "none") for mark in element.iterfind("roadMark")]
    return Lane(
        id=whole(path, element, "id"),
        type=element.get("type", "none"),
        width=Cubics.of(path, element.findall("width"), "sOffset"),
        marked=any(mark != "none" for mark in marks),
        predecessors=tuple(whole(path, e, "id") for e in element.iterfind("link/predecessor")),
        successors=tuple(whole(path, e, "id") for e in element.iterfind("link/successor")),
    )
