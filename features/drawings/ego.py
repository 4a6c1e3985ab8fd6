"""Tensors of the ego vehicle."""

from __future__ import annotations

from typing import Any

from .axes import aligned

__all__ = ["ego_axes", "ego_motion", "ego_reference", "ego_state"]


def ego_axes(params: Any) -> str:
    """The vehicle's axes."""
    return "\n".join(
        [
            "The vehicle's axes, seen from above:",
            "",
            "           ^ x forward",
            "           |",
            "y left <---o  z up, towards you",
            "",
            "ego_pose @ [x, y, z, 1] is where a point of the ego frame lies in the world.",
        ]
    )


def ego_motion(params: Any) -> str:
    """[time, row, column]. Wants `num_past`, `include_now`, `oldest_first`, `direction`, `frame`."""
    first = 0 if params.include_now else 1
    order = range(first, first + params.num_past)
    times = [str(k) for k in (reversed(order) if params.oldest_first else order)]
    shown = ", ".join(times if len(times) <= 6 else [*times[:3], "...", times[-1]])
    there, here = ("the past", "now") if params.direction == "ref_from_past" else ("now", "the past")
    return "\n".join(
        [
            "tensor[time, row, column], times counted back from the frame's own: " + shown,
            "",
            "            tensor[time]               [x, y, z, 1]",
            "| r r r x |",
            f"| r r r y |   @   a place by the axes ({params.frame}) of {there}",
            f"| r r r z |   =   the same place by the axes of {here}",
            "| 0 0 0 1 |",
        ]
    )


def ego_reference(params: Any) -> str:
    """[row, column]. Wants `frame`, `part`, `inverse`."""
    here, there = f"the axes that tensors are in ({params.frame})", "the ego frame"
    if params.part == "change":
        there = f"the same axes ({params.frame}) before augmentation"
    source, target = (here, there) if params.inverse else (there, here)
    return f"tensor @ [x, y, z, 1]\n\ntakes a place by {source}\nto where it lies by {target}"


def ego_state(params: Any) -> str:
    """[column]. Wants `columns`."""
    lines = aligned([["[column]", "number"], *([str(k), name] for k, name in enumerate(params.columns))])
    return "\n".join(lines)
