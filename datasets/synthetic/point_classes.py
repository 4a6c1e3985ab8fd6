"""What the points of the synthetic lidar are of: the labelled things by their category, all else by its surface."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .solids import CATEGORIES, Paint
from .surfaces import SURFACES

__all__ = ["CLASS_OF_SURFACE", "POINT_CLASSES"]

_GROUND: Mapping[str, str] = {
    "asphalt": "road",
    "white mark": "lane marking",
    "yellow mark": "lane marking",
    "bike lane": "road",
    "parking": "parking",
    "curb": "curb",
    "sidewalk": "sidewalk",
    "forecourt": "terrain",
}
_STANDING: Mapping[Paint, str] = {
    Paint.WALL: "building",
    Paint.TRUNK: "trunk",
    Paint.CROWN: "vegetation",
    Paint.METAL: "pole",
    Paint.SIGN: "traffic sign",
}
_NAMES = ("unlabelled", *CATEGORIES, *dict.fromkeys([*_GROUND.values(), *_STANDING.values()]))

POINT_CLASSES: Mapping[int, str] = dict(enumerate(_NAMES))
"""Code -> class; those of labelled things are their number among the categories, plus 1."""

CLASS_OF_SURFACE = np.array(
    [_NAMES.index(_GROUND[surface]) for surface in SURFACES]
    + [_NAMES.index(_STANDING.get(p, "unlabelled")) for p in Paint],
    dtype=np.uint8,
)
"""(surfaces + paints,) the class of what has no label of its own: the ground by its surface, then things by paint."""
