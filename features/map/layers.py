"""The layers of a map, and how a parameter names them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from types import MappingProxyType

from ..errors import SpecError

__all__ = ["LAYERS", "LayerTerm", "check_layers", "check_names", "hint_for", "terms_of"]

LAYERS = (
    "drivable_area",
    "road_segment",
    "road_block",
    "lane",
    "lane_connector",
    "intersection",
    "crossing",
    "walkway",
    "stop_line",
    "carpark_area",
    "driveway",
    "speed_bump",
    "area",
    "lane_divider",
    "road_divider",
    "road_boundary",
    "stop_sign",
    "traffic_light",
    "lane_centerline",
    "lane_boundary",
)
"""The names that maps have layers by, whatever their dataset calls them; a map of one's own may have others.

lane_centerline and lane_boundary are lines of the lane graph, of maps without layers of these names."""

_PUBLISHED: Mapping[str, str] = MappingProxyType(
    {
        "ped_crossing": "crossing",
        "pedestrian_crossing": "crossing",
        "pedestrian_crossings": "crossing",
        "crosswalk": "crossing",
        "crosswalks": "crossing",
        "generic_drivable_areas": "drivable_area",
        "driveable_area": "drivable_area",
        "lanes_polygons": "lane",
        "lane_segments": "lane",
        "junction": "intersection",
        "stop_polygons": "stop_line",
        "sidewalk": "walkway",
        "parking": "carpark_area",
        "divider": "road_divider+lane_divider",
        "road_line": "lane_divider",
        "road_edge": "road_boundary",
        "curb": "road_boundary",
        "curbs": "road_boundary",
        "baseline_paths": "lane_centerline",
        "arcline_path_3": "lane_centerline",
        "centerline": "lane_centerline",
    }
)
"""What other tools and datasets call a layer -> our name."""

_NEAR = 0.85
"""Likeness, as difflib counts it, from which on a name is taken for a misspelt one.

traffic_sign is like traffic_light by 0.8."""

_TERM = re.compile(r"(?P<layer>[A-Za-z]\w*)(?:\*(?P<value>[0-9.eE+-]+))?")


@dataclass(frozen=True)
class LayerTerm:
    """One layer of a channel, and the value that its cells get."""

    layer: str
    value: float = 1.0


def terms_of(channel: str) -> tuple[LayerTerm, ...]:
    """Returns what a channel shows, in order: "lane_divider+road_divider", "lane+stop_line*0.5". Raises SpecError."""
    found = []
    for part in re.split(r"\+(?=[A-Za-z])", channel):
        match = _TERM.fullmatch(part.strip())
        if match is None:
            raise SpecError(
                f"layers: {channel!r} is not a layer, nor several, such as 'lane_divider+road_divider' or "
                "'lane+stop_line*0.5'"
            )
        found.append(LayerTerm(match["layer"], _value(channel, match["value"])))
    names = [term.layer for term in found]
    if len(set(names)) != len(names):
        raise SpecError(f"layers: {channel!r} has a layer twice")
    return tuple(found)


def _value(channel: str, said: str | None) -> float:
    try:
        value = 1.0 if said is None else float(said)
    except ValueError:
        value = 0.0
    if not (isfinite(value) and 0 < value <= 1):
        raise SpecError(f"layers: {channel!r} has the value {said}, wanted a number above 0 and at most 1")
    return value


def check_layers(channels: tuple[str, ...]) -> None:
    """Raises SpecError where channels are not one or more, each once, or one is not made of layers."""
    if not channels:
        raise SpecError("layers must be one or more, such as 'drivable_area', got none")
    terms = [terms_of(channel) for channel in channels]
    if len(set(terms)) != len(terms):
        raise SpecError(f"layers must be one or more, each once, got {list(channels)}")
    check_names("layers", (term.layer for own in terms for term in own))


def check_names(what: str, names: Iterable[str], others: Iterable[str] = ()) -> None:
    """Raises SpecError for a name that is not a layer's but close to one: a map of one's own may have any other.

    what: the parameter. others: names that are allowed besides.
    """
    known = {*LAYERS, *others}
    for name in names:
        if name in known or name.removesuffix("_holes") in known:
            continue
        # as ped_crossing; others of the published names, as curb, a map of one's own may well have
        is_ours = _PUBLISHED.get(name, "?") in name
        if is_ours or difflib.get_close_matches(name, known, 1, _NEAR):
            hint = hint_for(name, known)
            raise SpecError(f"{what}: no map has a layer '{name}'; {hint}docs/maps.md lists the names")


def hint_for(name: str, known: Iterable[str]) -> str:
    """Returns "did you mean ...? " for a name that another tool has for a layer, or that is like one; else nothing."""
    near = [_PUBLISHED[name]] if name in _PUBLISHED else difflib.get_close_matches(name, sorted(known), 1)
    return f"did you mean '{near[0]}'? " if near else ""
