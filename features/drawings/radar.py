"""Radar tensors."""

from __future__ import annotations

from typing import Any

from .lidar import points

__all__ = ["radar_points"]


def radar_points(params: Any) -> str:
    """The same as for points, and which sign a speed along the ray has."""
    ray = [
        "sensor o . . . . *--->  moves away:   v_radial > 0",
        "sensor o . . <---*      comes nearer: v_radial < 0",
    ]
    return "\n".join([points(params), "", *ray])
