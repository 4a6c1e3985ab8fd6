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


def composed(transform: ImageTransform, undistortion: Maps | None) -> Maps:
    """Returns where in the recorded picture the pixels of the crop come from, by all that is done to it.

    NaN where the crop is black: beyond the picture, or beyond the crop before it was turned. Beyond its outermost
    pixels' centres a picture goes on as they are, as where it is resized.
    """
    (height, width), (source_height, source_width) = transform.crop[2:], transform.source
    y, x = np.mgrid[:height, :width].astype(np.float64)
    if transform.rotate_deg % 360:
        c, s = cos(radians(transform.rotate_deg)), sin(radians(transform.rotate_deg))
        u, v = x - (width - 1) / 2, y - (height - 1) / 2
        x, y = _within(c * u - s * v + (width - 1) / 2, width), _within(s * u + c * v + (height - 1) / 2, height)
    if transform.flip:
        x = width - 1 - x
    x = (x + transform.crop[1] + 0.5) * (source_width / transform.resized[1]) - 0.5
    y = (y + transform.crop[0] + 0.5) * (source_height / transform.resized[0]) - 0.5
    x, y = (np.clip(_within(axis, n), 0, n - 1) for axis, n in ((x, source_width), (y, source_height)))
    if undistortion is None:
        return (x + 0 * y).astype(np.float32), (y + 0 * x).astype(np.float32)
    map_x, map_y = undistortion
    return _between(map_x, x, y), _between(map_y, x, y)


def reduced(maps: Maps, reduce: int) -> Maps:
    """Returns the maps between pictures that are so many times smaller, rounded up."""
    height, width = maps[0].shape
    x = np.minimum((np.arange(-(-width // reduce)) + 0.5) * reduce - 0.5, width - 1)
    y = np.minimum((np.arange(-(-height // reduce)) + 0.5) * reduce - 0.5, height - 1)
    found = [(_between(axis, *np.meshgrid(x, y)) + 0.5) / reduce - 0.5 for axis in maps]
    return found[0].astype(np.float32), found[1].astype(np.float32)


def _within(axis: Axis, n: int) -> Axis:
    """NaN beyond the edges of the outermost pixels."""
    return np.where((axis >= -0.5) & (axis <= n - 0.5), axis, np.nan)


def _between(values: NDArray[np.float32], x: Axis, y: Axis) -> NDArray[np.float32]:
    """Linear between the four values around each place; places within them, or NaN."""
    height, width = values.shape
    nowhere = np.isnan(x) | np.isnan(y)
    x, y = np.where(nowhere, 0, x), np.where(nowhere, 0, y)
    left, top = x.astype(np.intp), y.astype(np.intp)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    share_x, share_y = x - left, y - top
    wide = values.astype(np.float64)
    upper = wide[top, left] * (1 - share_x) + wide[top, right] * share_x
    lower = wide[bottom, left] * (1 - share_x) + wide[bottom, right] * share_x
    found = upper * (1 - share_y) + lower * share_y
    return np.where(nowhere, np.nan, found).astype(np.float32)
