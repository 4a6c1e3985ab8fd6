"""What OpenDRIVE says of who may drive on, and how fast: signals beside a road, speeds of roads and lanes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import Matrix

from .opendrive_links import LaneKey
from .opendrive_roads import Road, Section
from .safe_xml import number, whole

__all__ = ["controlled", "speed_limits_mps"]

_STOPPING = ("205", "206")
"""Of signs that do not change: give way and stop, as Germany and the standard number them."""
_COUNTRIES = ("", "-1", "de", "deu", "opendrive")


def controlled(file: Path, roads: Mapping[str, Road], lanes: Sequence[LaneKey]) -> NDArray[np.bool_] | None:
    """Returns (n,) whether a signal that changes, or a sign to stop or give way, is beside a lane and holds for it.

    None where the file has no signals. Raises BrokenRecord.
    """
    if not any(road.signals for road in roads.values()):
        return None
    stopping = {signal.get("id", "") for road in roads.values() for signal in road.signals if _stops(signal)}
    found: set[LaneKey] = set()
    for road in roads.values():
        for signal in road.signals:
            if signal.get("id", "") in stopping:
                found.update(_lanes_of(file, road, signal))
    return np.array([key in found for key in lanes], dtype=np.bool_)


def _stops(signal: Element) -> bool:
    if signal.tag != "signal":
        return False
    if signal.get("dynamic") == "yes":
        return True
    return signal.get("type") in _STOPPING and signal.get("country", "").lower() in _COUNTRIES


def _lanes_of(file: Path, road: Road, signal: Element) -> Iterator[LaneKey]:
    """Yields the lanes of the section that the signal stands in, of the directions and numbers that it holds for."""
    s, facing = number(file, signal, "s", 0.0), signal.get("orientation", "none")
    ranges = [sorted((whole(file, v, "fromLane"), whole(file, v, "toLane"))) for v in signal.iterfind("validity")]
    index = max((i for i, section in enumerate(road.sections) if section.s <= s), default=0)
    for id, lane in road.sections[index].lanes.items() if road.sections else ():
        faces = facing not in ("+", "-") or road.forward(lane) == (facing == "+")
        if faces and (not ranges or any(low <= id <= high for low, high in ranges)):
            yield road.id, index, id


def speed_limits_mps(roads: Mapping[str, Road], lanes: Iterable[LaneKey]) -> Matrix | None:
    """Returns (n,) the slowest limit along each lane, of the lane or else of its road; None where the file has none."""
    limits = np.array([_limit_mps(roads[road], section, id) for road, section, id in lanes], dtype=np.float64)
    return limits if np.isfinite(limits).any() else None


def _limit_mps(road: Road, index: int, id: int) -> float:
    section = road.sections[index]
    own = [limit for limit in section.lanes[id].limits_mps if np.isfinite(limit)]
    return min(own or _along(road, section), default=np.nan)


def _along(road: Road, section: Section) -> list[float]:
    """The limits of the road that hold somewhere along a section."""
    begun = [*road.limits_mps, (np.inf, np.nan)]
    return [
        limit
        for (s, limit), (end, _) in pairwise(begun)
        if np.isfinite(limit) and s < section.end_s and end > section.s
    ]
