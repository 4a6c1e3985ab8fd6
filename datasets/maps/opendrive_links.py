"""Which lane follows which in OpenDRIVE: within a road, from road to road, and through junctions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree.ElementTree import Element

from .opendrive_roads import End, Link, Road
from .safe_xml import whole

__all__ = ["Connections", "LaneKey", "connections_of", "following"]

LaneKey = tuple[str, int, int]
"""Road, section, lane."""

Connections = Mapping[tuple[str, str], list[tuple[str, End, dict[int, list[int]]]]]
"""Junction and incoming road -> connecting road, the end of it where one enters, and lane -> lanes."""


def connections_of(path: Path, root: Element) -> Connections:
    """Returns the connections of all junctions; raises BrokenRecord."""
    found: dict[tuple[str, str], list[tuple[str, End, dict[int, list[int]]]]] = {}
    for junction in root.iterfind("junction"):
        for connection in junction.iterfind("connection"):
            lanes: dict[int, list[int]] = {}
            for link in connection.iterfind("laneLink"):
                lanes.setdefault(whole(path, link, "from"), []).append(whole(path, link, "to"))
            contact: End = "end" if connection.get("contactPoint") == "end" else "start"
            key = (junction.get("id", ""), connection.get("incomingRoad", ""))
            found.setdefault(key, []).append((connection.get("connectingRoad", ""), contact, lanes))
    return found


def following(roads: Mapping[str, Road], connections: Connections, key: LaneKey) -> Iterator[LaneKey]:
    """Yields the lanes that one drives on to at the end of this lane; those of unknown roads are left out."""
    road, section = roads[key[0]], key[1]
    forward = road.forward(key[2])
    lane = road.sections[section].lanes[key[2]]
    after = lane.successors if forward else lane.predecessors
    beyond = section + (1 if forward else -1)
    if 0 <= beyond < len(road.sections):
        yield from ((road.id, beyond, id) for id in after if id in road.sections[beyond].lanes)
        return
    link = road.successor if forward else road.predecessor
    if link is not None and link.kind == "road":
        yield from _entered(roads, link.id, link.contact, after)
    elif link is not None:
        yield from _through(roads, connections, link, road.id, key[2])


def _through(
    roads: Mapping[str, Road], connections: Connections, link: Link, road: str, lane: int
) -> Iterator[LaneKey]:
    for connecting, contact, lanes in connections.get((link.id, road), ()):
        yield from _entered(roads, connecting, contact, tuple(lanes.get(lane, ())))


def _entered(roads: Mapping[str, Road], id: str, contact: End, lanes: tuple[int, ...]) -> Iterator[LaneKey]:
    """The lanes of the road that begin at this end of it."""
    road = roads.get(id)
    if road is None or not road.sections:
        return
    section = 0 if contact == "start" else len(road.sections) - 1
    for lane in lanes:
        # a lane that one leaves by at this end is a mistake in the file, or one driven both ways
        if lane in road.sections[section].lanes and road.forward(lane) == (contact == "start"):
            yield id, section, lane
