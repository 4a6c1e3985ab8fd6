"""OpenDRIVE's roads, lane sections and lanes as checked objects; where a file says nothing, the standard's defaults."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from xml.etree.ElementTree import Element

import numpy as np

from perceptum.inputs import BrokenRecord

from .opendrive_curves import Cubics, Floats, Geometry, geometry_of, reference_line
from .safe_xml import number, whole, word, yes

__all__ = ["Lane", "Link", "Road", "Section", "contact_of", "road_of"]

End = Literal["start", "end"]

_LONGEST_M = 1e6
_MPS = {"m/s": 1.0, "km/h": 1 / 3.6, "mph": 0.44704}


@dataclass(frozen=True)
class Link:
    """What comes before or after a road: a road at one of its ends, or a junction."""

    kind: Literal["road", "junction"]
    id: str
    contact: End | None
    """None: the file does not say; the end that lies nearer is meant."""


@dataclass(frozen=True)
class Lane:
    """One lane of one section; ids grow to the left of the reference line, 0 is the line itself."""

    id: int
    type: str
    width: Cubics
    """Over the distance from the section's start."""
    border: Cubics
    """Where the lane has no widths: how far its outer border is from the reference line, over the same distance."""
    marks: tuple[tuple[float, bool], ...]
    """Distances from the section's start, increasing: from there on its outer border is painted, or is not."""
    is_level: bool
    """Whether it stays level where the road is banked."""
    direction: str
    """standard, reversed or both."""
    predecessors: tuple[int, ...]
    successors: tuple[int, ...]
    limits_mps: tuple[float, ...]
    """The speed limits of the lane itself, NaN where one says that there is none."""


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
    signals: tuple[Element, ...]
    """Those beside the road, and references to those of other roads."""
    limits_mps: tuple[tuple[float, float], ...]
    """From where along s on which speed limit holds, increasing; NaN for none."""

    def forward(self, lane: Lane) -> bool:
        """Whether one drives along s on this lane."""
        return ((lane.id < 0) != self.left_hand) != (lane.direction == "reversed")

    def nearer_end(self, x: float, y: float) -> End:
        """Returns the end of the reference line that is nearer to a place."""
        ends = self.place(np.array([0.0, self.length_m]), np.zeros(2))
        start_m, end_m = np.hypot(ends[:, 0] - x, ends[:, 1] - y)
        return "end" if end_m < start_m else "start"

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
        left_hand=word(path, element, "rule", ("RHT", "LHT")) == "LHT",
        length_m=length_m,
        pieces=tuple(pieces),
        elevation=Cubics.of(path, element.findall("elevationProfile/elevation")),
        superelevation=Cubics.of(path, element.findall("lateralProfile/superelevation")),
        lane_offset=Cubics.of(path, element.findall("lanes/laneOffset")),
        sections=_sections(path, id, length_m, element.findall("lanes/laneSection")),
        predecessor=_link(path, element.find("link/predecessor")),
        successor=_link(path, element.find("link/successor")),
        crosswalks=tuple(o for o in element.iterfind("objects/object") if o.get("type") == "crosswalk"),
        signals=tuple(s for s in element.iterfind("signals/*") if s.tag in ("signal", "signalReference")),
        limits_mps=tuple(
            sorted((number(path, t, "s", 0.0), _limit_mps(t.find("speed"))) for t in element.iterfind("type"))
        ),
    )


def _limit_mps(speed: Element | None) -> float:
    """Metres per second of a <speed>; NaN for `no limit`, `undefined`, and what is not a speed."""
    try:
        limit = float(speed.get("max", "")) if speed is not None else math.nan
    except ValueError:
        limit = math.nan
    unit = _MPS.get(speed.get("unit", "m/s") if speed is not None else "", math.nan)
    return limit * unit if 0 < limit < _LONGEST_M else math.nan


def _link(path: Path, element: Element | None) -> Link | None:
    if element is None:
        return None
    is_junction = word(path, element, "elementType", ("road", "junction")) == "junction"
    return Link("junction" if is_junction else "road", element.get("elementId", ""), contact_of(path, element))


def contact_of(path: Path, element: Element) -> End | None:
    """Returns the end of the other road at which a link arrives; None where it does not say. Raises BrokenRecord."""
    text = word(path, element, "contactPoint", ("start", "end"))
    return None if text is None else "end" if text == "end" else "start"


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
    widths = element.findall("width")
    return Lane(
        id=whole(path, element, "id"),
        type=element.get("type") or "none",
        width=Cubics.of(path, widths, "sOffset"),
        # where a file has both, the standard wants the widths
        border=Cubics.of(path, [] if widths else element.findall("border"), "sOffset"),
        marks=_marks(path, element),
        is_level=yes(path, element, "level", False),
        direction=word(path, element, "direction", ("standard", "reversed", "both")) or "standard",
        predecessors=tuple(whole(path, e, "id") for e in element.iterfind("link/predecessor")),
        successors=tuple(whole(path, e, "id") for e in element.iterfind("link/successor")),
        limits_mps=tuple(_limit_mps(e) for e in element.iterfind("speed")),
    )


def _marks(path: Path, lane: Element) -> tuple[tuple[float, bool], ...]:
    """Each road mark holds until the next one begins; two at one place are one line beside the other."""
    painted: dict[float, bool] = {}
    for mark in lane.iterfind("roadMark"):
        start = number(path, mark, "sOffset", 0.0)
        painted[start] = painted.get(start, False) or mark.get("type", "none") != "none"
    return tuple(sorted(painted.items()))
