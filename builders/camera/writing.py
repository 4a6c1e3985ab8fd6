"""Pictures into tensors."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features.camera import ImageNorm, table_of

from .picture import Picture

__all__ = ["Writing", "red_first"]


def red_first(norm: ImageNorm | None, *, bgr: bool) -> NDArray[np.float32]:
    """Returns (3, 256) float32: what each value of red, of green and of blue becomes."""
    table = table_of(norm)
    return np.ascontiguousarray(table[::-1]) if bgr else table


class Writing:
    """Writes pictures of one size: (3, H, W) or (H, W, 3), with 0 below and to the right up to `whole`."""

    def __init__(
        self, size: tuple[int, int], whole: tuple[int, int], *, planes: bool, bgr: bool, norm: ImageNorm | None
    ) -> None:
        self._size = size
        colours = [2, 1, 0] if bgr else [0, 1, 2]
        step, row = (1, whole[1]) if planes else (3, 3 * whole[1])
        first = [colour * whole[0] * whole[1] if planes else colour for colour in colours]
        self._places = np.array([*first, step, row, *whole], np.int64)
        self._norm, self._bgr = norm, bgr

    def write(self, picture: Picture, out: NDArray[Any]) -> None:
        from ..kernels.picture.writing import write_bytes, write_floats, write_scaled

        where = picture.values, picture.begin, picture.stride, *self._size
        to = out.reshape(-1)
        if picture.values.dtype == np.float32:
            write_floats(*where, self._places, to)
        elif out.dtype == np.uint8:
            write_bytes(*where, self._places, to)
        else:
            write_scaled(*where, *_scaling(self._norm, self._bgr), self._places, to)


@cache
def _scaling(norm: ImageNorm | None, bgr: bool) -> tuple[NDArray[np.float32], NDArray[np.float32], bool]:
    """Returns the table, the steps that give the same, and whether they do: (3, 256) and (3, 5) float32."""
    from ..kernels.picture.writing import write_scaled

    table, steps = red_first(norm, bgr=bgr), _steps(norm, bgr=bgr)
    # every value of every colour: what a processor without multiply and add as one makes of it may differ
    ramp = np.repeat(np.arange(256, dtype=np.uint8), 3)
    found = np.empty((3, 256), np.float32)
    places = np.array([0, 256, 512, 1, 256, 1, 256], np.int64)
    write_scaled(ramp, 0, 768, 1, 256, table, steps, True, places, found.reshape(-1))
    return table, steps, found.tobytes() == table.tobytes()


def _steps(norm: ImageNorm | None, *, bgr: bool) -> NDArray[np.float32]:
    """Returns (3, 5) float32, red first: what `show` takes."""
    steps = np.zeros((3, 5), np.float32)
    a, b = 1.0, np.ones(3)
    if norm is not None:
        a = 1.0 if norm.scale == "1" else 1 / 255
        steps[:, 2] = norm.mean
        b = 1 / np.array(norm.std, np.float32).astype(np.float64)
    for column, number in ((0, a), (3, b)):
        steps[:, column] = number
        steps[:, column + 1] = number - steps[:, column].astype(np.float64)
    return np.ascontiguousarray(steps[::-1]) if bgr else steps
