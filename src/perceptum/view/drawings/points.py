"""lidar_points, radar_points, and the classes of points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .colors import color_of
from .drawing import OnGround, Reach
from .ground import Ground
from .kind import Kind, NotDrawn

__all__ = ["LIDAR_POINTS", "RADAR_POINTS", "SEGMENTATION", "places_of"]

_LOW_M, _HIGH_M = -2.5, 3.0


def _draw_lidar(ground: Ground, kind: Kind) -> str:
    points = places_of(kind, "lidar_points")
    names = list(kind.params.columns)
    if "z" in names:
        ground.dots(points, points[:, names.index("z")], 0.5, cmap="turbo", vmin=_LOW_M, vmax=_HIGH_M)
    else:
        ground.dots(points, "#444444", 0.5)
    return f"{len(points)} points"


def _draw_radar(ground: Ground, kind: Kind) -> str:
    points = places_of(kind, "radar_points")
    names = list(kind.params.columns)
    ground.dots(points, "#c2185b", 8)
    if {"vx_comp", "vy_comp"} <= set(names):
        along = points[:, [_place(kind, "vx_comp"), _place(kind, "vy_comp")]]
        ground.arrows(points[:, :2], along, "#1f4e79", 0.6)
        ground.name("a second of its motion over ground", "#1f4e79")
    return f"{len(points)} detections"


def _draw_classes(ground: Ground, kind: Kind) -> str:
    params, classes = kind.params, kind["gt_segmentation"]
    points = kind.behind["lidar_points"]["lidar_points"]
    if len(points) != len(classes):
        raise NotDrawn(f"its {len(classes)} rows are not those of the {len(points)} points")
    names = [one.name for one in params.whole_classes()]
    of_none = (classes < params.label_base) | (classes >= params.label_base + len(names))
    ground.dots(points[of_none], "#c8c8c8", 0.4)
    ground.name(f"no class ({np.count_nonzero(of_none)})", "#c8c8c8")
    for number, name in enumerate(names):
        own = classes == number + params.label_base
        if own.any():
            ground.dots(points[own], color_of(number), 1.5)
            ground.name(f"{name} ({np.count_nonzero(own)})", color_of(number))
    return f"{len(points)} points, {np.count_nonzero(~of_none)} of a class"


def places_of(kind: Kind, feature: str) -> NDArray[Any]:
    """Returns the rows, x and y first; those that are padded, which are 0 throughout, are left out."""
    rows = kind[feature]
    names = list(kind.params.columns)
    if names[:2] != ["x", "y"]:
        raise NotDrawn(f"its columns, {' '.join(names)}, do not begin with x and y")
    real: NDArray[Any] = rows[(rows != 0).any(axis=1)]
    return real


def _place(kind: Kind, name: str) -> int:
    return list(kind.params.columns).index(name)


def _reach(params: Any) -> Reach | None:
    given = params.range
    return None if given is None else (given[0], given[1], given[3], given[4])


def _points_of(params: Any, rows: Sequence[Any]) -> dict[str, dict[str, Any]]:
    """The points that are of these classes, one by one."""
    import msgspec

    own = {**msgspec.to_builtins(params.lidar), "frame": params.frame, "ground": params.ground}
    own |= {"ground_z": params.ground_z, "range": params.range, "max_points": params.max_points}
    return {"lidar_points": {**own, "columns": ["x", "y", "z"]}}


LIDAR_POINTS = OnGround(draw=_draw_lidar, reach=_reach, needs=("lidar_points",))
RADAR_POINTS = OnGround(draw=_draw_radar, reach=_reach, needs=("radar_points",))
SEGMENTATION = OnGround(draw=_draw_classes, reach=_reach, behind=_points_of)
