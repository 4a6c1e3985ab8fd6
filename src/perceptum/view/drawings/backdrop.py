"""Points behind what is drawn, so that one sees whether it lies where it should."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .ground import BACKDROP, Ground
from .kind import Kind

__all__ = ["draw_points_behind", "points_behind"]


def points_behind(params: Any, rows: Sequence[Any]) -> dict[str, dict[str, Any]]:
    """Returns lidar points in the same axes, by the same draw."""
    return {"lidar_points": {"columns": ["x", "y", "z"], "frame": params.frame}}


def draw_points_behind(ground: Ground, kind: Kind) -> None:
    if "lidar_points" in kind.behind:
        ground.dots(kind.behind["lidar_points"]["lidar_points"], BACKDROP, 0.25, zorder=0)
