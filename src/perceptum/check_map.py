"""What the map of a log says: areas that cross themselves, points that are not finite."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from perceptum.inputs import LogError, Shapes, Source

__all__ = ["map_problems"]


def map_problems(source: Source) -> Iterator[str]:
    """Yields a line per shape; without shapely, areas are not looked at closer."""
    try:
        hdmap = source.read_map()
    except LogError as error:
        yield str(error)
        return
    for name, shapes in hdmap.layers.items() if hdmap is not None else ():
        yield from (f"{name} {line}" for line in _unfinite(shapes))
        if shapes.kind == "polygon":
            yield from (f"{name} {line}" for line in _crossing(shapes))


def _unfinite(shapes: Shapes) -> Iterator[str]:
    bad = np.flatnonzero(~np.isfinite(shapes.points[:, :2]).all(axis=1))
    for index in np.unique(np.searchsorted(shapes.starts, bad, side="right") - 1):
        yield f"{shapes.ids[index]}: has a corner that is not finite"


def _crossing(shapes: Shapes) -> Iterator[str]:
    try:
        import shapely
    except ImportError:
        return
    for id, points in zip(shapes.ids, (shapes[i] for i in range(len(shapes))), strict=True):
        if len(points) < 3:
            yield f"{id}: an area of {len(points)} corners, wanted at least 3"
        elif np.isfinite(points[:, :2]).all():
            area = shapely.Polygon(points[:, :2])
            if not area.is_valid:
                yield f"{id}: is no simple area ({shapely.is_valid_reason(area)})"
