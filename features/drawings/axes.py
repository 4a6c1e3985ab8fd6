"""What all drawings have: axes, their ends, and lines of words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["AS_A_PICTURE", "aligned", "arrows", "axes_of", "ends", "few", "frame"]

_AHEAD_AND_LEFT = {"x": ("behind", "ahead"), "y": ("right", "left")}
"""Axis of the ego frame -> what lies at its low and at its high end."""


AS_A_PICTURE = "seen as a picture: row 0 above, column 0 on the left"


def arrows(down: str, down_grows: bool, across: str, across_grows: bool) -> Sequence[str]:
    """Returns three lines: the way in which both axes grow, from where they meet."""
    level = f"o--> {across}" if across_grows else f"{across} <--o"
    at = level.index("o")
    stem = " " * at + "|"
    return [level, stem, f"{' ' * at}v {down}"] if down_grows else [f"{' ' * at}^ {down}", stem, level]


def ends(params: Any, axis: str, grows: bool) -> tuple[str, str]:
    """Returns where the first and the last cell along an axis begin and end."""
    at = "xyz".index(axis)
    turns = params.grid.coordinates == "cylinder"
    name = {"x": "distance", "y": "azimuth"}[axis] if turns else axis
    low, high = (f"{name} = {bound:g}" for bound in (params.grid.range[at], params.grid.range[at + 3]))
    if params.frame != "lidar" and not turns:
        low, high = (f"{bound} {side}" for bound, side in zip((low, high), _AHEAD_AND_LEFT[axis], strict=True))
    return (low, high) if grows else (high, low)


def axes_of(params: Any) -> list[str]:
    """Returns the axes of places, seen from above."""
    return ["      ^ x", "      |     seen from above, z towards you", "y <---o", "", *frame(params)]


def frame(params: Any) -> list[str]:
    if params.frame == "lidar":
        return ["In the primary lidar's own axes: where x looks is how it is mounted", "(nuScenes: to the right)."]
    above = ", from the ground on" if params.frame == "ego_ground" else ""
    return [f"In the vehicle's axes: x forward, y left, z up{above}."]


def few(names: Sequence[str], most: int) -> list[str]:
    """Returns the names, of more than `most` the first ones and two dots."""
    return list(names) if len(names) <= most else [*names[: most - 1], ".."]


def aligned(rows: Iterable[Sequence[str]]) -> list[str]:
    """Returns lines of columns that are as wide as they need be."""
    table = list(rows)
    wide = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return ["  ".join(cell.ljust(size) for cell, size in zip(row, wide, strict=True)).rstrip() for row in table]
