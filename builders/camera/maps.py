"""Where the pixels of a picture come from, place by place."""

from __future__ import annotations

from math import cos, radians, sin
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from perceptum.features.camera import ImageTransform

__all__ = ["Maps", "composed", "reduced"]

Maps: TypeAlias = tuple[NDArray[np.float32], NDArray[np.float32]]
"""x and y, px, (H, W) each, of pixels whose centres lie at whole numbers; NaN: from nowhere."""

Axis: TypeAlias = NDArray[np.float64]

_AS_THEY_ARE = (np.empty((0, 0), np.float32),) * 2


def composed(transform: ImageTransform, undistortion: Maps | None) -> Maps:
    """Returns where in the recorded picture the pixels of the crop come from, by all that is done to it.

    NaN where the crop is black: beyond the picture, or beyond the crop before it was turned. Beyond its outermost
    pixels' centres a picture goes on as they are, as where it is resized.
    """
    from ..kernels.picture.places import compose

    (height, width), (source_height, source_width) = transform.crop[2:], transform.source
    scales = np.array([source_height / transform.resized[0], source_width / transform.resized[1]])
    angle = radians(transform.rotate_deg)
    turn = np.array([cos(angle), sin(angle)]) if transform.rotate_deg % 360 else np.empty(0)
    found = np.empty((height, width), np.float32), np.empty((height, width), np.float32)
    maps = _AS_THEY_ARE if undistortion is None else tuple(map(np.ascontiguousarray, undistortion))
    begins = np.array(transform.crop[:2], np.int64)
    compose(source_height, source_width, scales, begins, transform.flip, turn, maps[0], maps[1], *found)
    return found


def reduced(maps: Maps, reduce: int) -> Maps:
    """Returns the maps between pictures that are so many times smaller, rounded up."""
    height, width = maps[0].shape
    x = np.minimum((np.arange(-(-width // reduce)) + 0.5) * reduce - 0.5, width - 1)
    y = np.minimum((np.arange(-(-height // reduce)) + 0.5) * reduce - 0.5, height - 1)
    found = [(_between(axis, *np.meshgrid(x, y)) + 0.5) / reduce - 0.5 for axis in maps]
    return found[0].astype(np.float32), found[1].astype(np.float32)


def _between(values: NDArray[np.float32], x: Axis, y: Axis) -> NDArray[np.float32]:
    """Linear between the four values around each place within them."""
    height, width = values.shape
    left, top = x.astype(np.intp), y.astype(np.intp)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    share_x, share_y = x - left, y - top
    wide = values.astype(np.float64)
    upper = wide[top, left] * (1 - share_x) + wide[top, right] * share_x
    lower = wide[bottom, left] * (1 - share_x) + wide[bottom, right] * share_x
    found: NDArray[np.float32] = (upper * (1 - share_y) + lower * share_y).astype(np.float32)
    return found
