"""What the rules of a Lanelet2 map say of its lanes: which way they turn, lights and signs, how fast."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import Matrix

__all__ = ["controlled", "speed_limits_mps", "turns"]

_TURNS = ("left", "right", "straight", "uturn")
_STOPPING_SIGNS = ("de205", "de206", "usR1-1", "usR1-2")
"""Yield and stop."""
_SPEED = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(km/h|kmh|kph|mph|m/s|mps)?\s*", re.IGNORECASE)
_SIGN = re.compile(r"de274-(\d+)")
_MPS = {"m/s": 1.0, "mps": 1.0, "mph": 0.44704}


def turns(lanes: Sequence[Any]) -> NDArray[np.str_] | None:
    """Returns (n,) the lanes' turn_direction, "" where they have none of ours; None where no lane has one."""
    if not any("turn_direction" in lane.attributes for lane in lanes):
        return None
    said = [_tag(lane, "turn_direction") for lane in lanes]
    return np.array([word if word in _TURNS else "" for word in said], dtype=np.dtype("U8"))


def _tag(thing: Any, name: str) -> str:
    return str(thing.attributes[name]) if name in thing.attributes else ""


def controlled(lanes: Sequence[Any]) -> NDArray[np.bool_] | None:
    """Returns (n,) whether a lane has a light, a stop or yield sign, or must give way by a rule of the map.

    None where no lane has any rule: the map does not say.
    """
    if not any(len(lane.regulatoryElements) for lane in lanes):
        return None
    return np.array([any(_stops(lane, rule) for rule in lane.regulatoryElements) for lane in lanes], dtype=np.bool_)


def _stops(lane: Any, rule: Any) -> bool:
    subtype = _tag(rule, "subtype")
    if subtype == "right_of_way":
        return any(int(other.id) == int(lane.id) for other in rule.yieldLanelets())
    if subtype == "traffic_sign":
        return str(rule.type()) in _STOPPING_SIGNS
    return subtype in ("traffic_light", "all_way_stop")


def speed_limits_mps(lanes: Sequence[Any]) -> Matrix | None:
    """Returns (n,) metres per second: the lane's tag, or else the slowest of its rules; None where no lane has one.

    A number without a unit is in km/h, as the format says. NaN where a lane says nothing that is a speed.
    """
    limits = np.array([_limit_mps(lane) for lane in lanes], dtype=np.float64)
    return limits if np.isfinite(limits).any() else None


def _limit_mps(lane: Any) -> float:
    if said := _tag(lane, "speed_limit"):
        return _speed_mps(said)
    rules = [_speed_mps(str(rule.type())) for rule in lane.speedLimits()]
    return min((limit for limit in rules if np.isfinite(limit)), default=np.nan)


def _speed_mps(text: str) -> float:
    """Metres per second of `30`, `30 km/h`, `20 mph`, or the German sign `de274-60`; NaN for anything else."""
    if sign := _SIGN.fullmatch(text):
        return float(sign[1]) / 3.6
    match = _SPEED.fullmatch(text)
    return float(match[1]) * _MPS.get((match[2] or "").lower(), 1 / 3.6) if match else np.nan
