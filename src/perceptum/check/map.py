"""What the map of a log says: areas that cross themselves, points that are not finite."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import numpy as np

from perceptum.inputs import HDMap, LogError, Shapes, Source
from perceptum.install import install_command
from perceptum.plural import counted

from .records import NOT_CHECKED, wants_a_library

__all__ = ["map_problems"]

_LANE_LINES = ("centerlines", "left_boundaries", "right_boundaries")


def map_problems(source: Source) -> Iterator[tuple[str, str]]:
    """Yields kind and line: one per shape; without shapely, one that says that areas were not looked at closer."""
    try:
        hdmap = source.read_map()
    except LogError as error:
        yield NOT_CHECKED if wants_a_library(error) else "map", str(error)
        return
    if hdmap is None:
        return
    areas = [shapes for shapes in hdmap.layers.values() if shapes.kind == "polygon" and len(shapes)]
    has_shapely = find_spec("shapely") is not None
    if areas and not has_shapely:
        yield NOT_CHECKED, f"areas of the map: that needs shapely: {install_command('map')}"
    yield from (("map", line) for line in _lines(hdmap, has_shapely))


def _lines(hdmap: HDMap, has_shapely: bool) -> Iterator[str]:
    for name, shapes in hdmap.layers.items():
        yield from (f"{name} {line}" for line in _unfinite(shapes))
        if shapes.kind == "polygon" and has_shapely:
            yield from (f"{name} {line}" for line in _crossing(shapes))
    for name in _LANE_LINES if hdmap.lanes is not None else ():
        yield from (f"lane {name} {line}" for line in _unfinite(getattr(hdmap.lanes, name), known=1))


def _unfinite(shapes: Shapes, known: int = 0) -> Iterator[str]:
    """Yields a line per shape; not for those of `known` points: a lane without a boundary has one that is NaN."""
    bad = np.flatnonzero(~np.isfinite(shapes.points[:, :2]).all(axis=1))
    among = np.unique(np.searchsorted(shapes.starts, bad, side="right") - 1)
    for index in among[np.diff(shapes.starts)[among] > known]:
        yield f"{shapes.ids[index]}: has a corner that is not finite"


def _crossing(shapes: Shapes) -> Iterator[str]:
    import shapely

    for id, points in zip(shapes.ids, (shapes[i] for i in range(len(shapes))), strict=True):
        if len(points) < 3:
            yield f"{id}: an area of {counted(len(points), 'corner')}, wanted at least 3"
        elif np.isfinite(points[:, :2]).all():
            area = shapely.Polygon(points[:, :2])
            if not area.is_valid:
                yield f"{id}: is not a simple area ({shapely.is_valid_reason(area)})"
