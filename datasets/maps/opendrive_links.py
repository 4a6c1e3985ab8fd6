"""Which lane follows which in OpenDRIVE: within a road, from road to road, and through junctions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from .opendrive_roads import End, Link, Road, contact_of
from .safe_xml import whole

__all__ = ["Connections", "LaneKey", "connections_of", "following"]

LaneKey = tuple[str, int, int]
"""Road, section, lane."""

Connections = Mapping[tuple[str, str], list[tuple[str, End | None, dict[int, list[int]]]]]
"""Junction and incoming road -> connecting road, the end of it where one enters, and lane -> lanes; no lanes at all:
each to the one with its number."""


def connections_of(path: Path, root: Element) -> Connections:
    """Returns the connections of all junctions; raises BrokenRecord."""
    found: dict[tuple[str, str], list[tuple[str, End | None, dict[int, list[int]]]]] = {}
    for junction in root.iterfind("junction"):
        for connection in junction.iterfind("connection"):
            lanes: dict[int, list[int]] = {}
            for link in connection.iterfind("laneLink"):
                lanes.setdefault(whole(path, link, "from"), []).append(whole(path, link, "to"))
            key = (junction.get("id", ""), connection.get("incomingRoad", ""))
            # a direct junction has no roads of its own: it names the road that one drives on to
            entered = connection.get("connectingRoad") or connection.get("linkedRoad") or ""
            found.setdefault(key, []).append((entered, contact_of(path, connection), lanes))
    return found


def following(roads: Mapping[str, Road], connections: Connections, key: LaneKey) -> Iterator[LaneKey]:
    """Yields the lanes that one drives on to at the end of this lane; those of unknown roads are left out."""
    road, section = roads[key[0]], key[1]
    lane = road.sections[section].lanes[key[2]]
    forward = road.forward(lane)
    after = lane.successors if forward else lane.predecessors
    beyond = section + (1 if forward else -1)
    if 0 <= beyond < len(road.sections):
        yield from ((road.id, beyond, id) for id in after if id in road.sections[beyond].lanes)
        return
    link = road.successor if forward else road.predecessor
    if link is None:
        return
    x, y, _ = road.place(np.array([road.length_m if forward else 0.0]), np.zeros(1))[0]
    for id, contact, lanes in _entrances(connections, link, road.id, lane.id, after):
        yield from _entered(roads, id, contact, lanes, x, y)


def _entrances(
    connections: Connections, link: Link, road: str, lane: int, after: tuple[int, ...]
) -> Iterator[tuple[str, End | None, tuple[int, ...]]]:
    """Yields each road that one may drive on to, the end of it where one enters, and its lanes."""
    if link.kind == "road":
        yield link.id, link.contact, after
        return
    for connecting, contact, lanes in connections.get((link.id, road), ()):
        yield connecting, contact, tuple(lanes.get(lane, ())) if lanes else (lane,)


def _entered(
    roads: Mapping[str, Road], id: str, contact: End | None, lanes: tuple[int, ...], x: float, y: float
) -> Iterator[LaneKey]:
    """The lanes of the road that begin at this end of it, or at the one that is nearer to where one comes from."""
    road = roads.get(id)
    if road is None or not road.sections:
        return
    at_start = (contact or road.nearer_end(x, y)) == "start"
    section = 0 if at_start else len(road.sections) - 1
    for number in lanes:
        lane = road.sections[section].lanes.get(number)
        # a lane that one leaves by at this end is a mistake in the file, or one driven both ways
        if lane is not None and road.forward(lane) == at_start:
            yield id, section, number
