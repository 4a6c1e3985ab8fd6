"""Targets that are not seen from above."""

from __future__ import annotations

from typing import Any

from .axes import aligned, axes_of, few

__all__ = ["boxes", "segmentation"]


def segmentation(params: Any) -> str:
    """[row]: which number each point has. Wants `source`, `label_base`, `no_class` and `whole_classes()`."""
    names = [one.name for one in params.whole_classes()]
    shown = [f"{number + params.label_base} {name}" for number, name in enumerate(names[:3])]
    last = [f"{len(names) - 1 + params.label_base} {names[-1]}"] if len(names) > 3 else []
    numbers = ", ".join([*shown, *(["..."] if len(names) > 4 else []), *last])
    by = "the box that it lies in" if params.source == "boxes" else "the log's own label"
    said = [f"row k is point k of lidar_points: its class, by {by}", numbers, f"{params.no_class} of no class"]
    return "\n".join([*said, "", *axes_of(params)])


def boxes(params: Any) -> str:
    """[box, column], and what the sizes and the yaw of a box are. Wants `columns`, `centre` and `heading`."""
    names = few(params.column_names(), 6)
    dots = ["." for _ in names]
    rows = aligned([["", *names], ["box 0", *dots], ["box 1", *dots], ["..."] + [""] * len(dots), ["box n-1", *dots]])
    at = "the middle of its bottom face" if params.centre == "bottom" else "its middle"
    turns = "counterclockwise from x" if params.heading == "from_x" else "clockwise from -y"
    box = [
        "      +------ length ------+",
        "      |                    |",
        "width |         o          |--> yaw",
        "      |                    |",
        "      +--------------------+",
        "",
        f"x y z is o, {at};",
        f"the yaw is the heading of its length, {turns}.",
    ]
    return "\n".join([*rows, "", *box, "", *axes_of(params)])
