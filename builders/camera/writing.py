"""Pictures into tensors."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features.camera import ImageNorm, table_of

from .picture import Picture, bench

__all__ = ["Writing", "red_first"]

_BEYOND = 64
_NOT_TURNED = np.zeros((0, 3), np.int64)


def red_first(norm: ImageNorm | None, *, bgr: bool) -> NDArray[np.float32]:
    """Returns (3, 256) float32: what each value of red, of green and of blue becomes."""
    table = table_of(norm)
    return np.ascontiguousarray(table[::-1]) if bgr else table


class Writing:
    """Writes pictures of one size: (3, H, W) or (H, W, 3), with 0 below and to the right up to `whole`.

    place: how pictures of bytes are turned before, as the kernel wants it; None: not at all.
    """

    def __init__(
        self,
        size: tuple[int, int],
        whole: tuple[int, int],
        *,
        planes: bool,
        bgr: bool,
        norm: ImageNorm | None,
        place: NDArray[np.int64] | None = None,
    ) -> None:
        self._size = size
        self._place = _NOT_TURNED if place is None else place
        colours = [2, 1, 0] if bgr else [0, 1, 2]
        step, row = (1, whole[1]) if planes else (3, 3 * whole[1])
        first = [colour * whole[0] * whole[1] if planes else colour for colour in colours]
        self.places = np.array([*first, step, row, *whole], np.int64)
        self._norm, self._bgr, self._planes = norm, bgr, planes

    def write(self, picture: Picture, out: NDArray[Any]) -> None:
        from ..kernels.picture.writing import write_bytes, write_floats, write_scaled

        # a view of it that is flat, not a copy
        assert out.flags.c_contiguous
        where = picture.values, picture.begin, picture.stride, *self._size
        to = out.reshape(-1)
        if picture.values.dtype == np.float32:
            write_floats(*where, self.places, to)
            return
        row: NDArray[np.uint8] = bench.take("turned row", 3 * self._size[1] + _BEYOND)
        if out.dtype == np.uint8:
            write_bytes(*where, self._place, row, self.places, to)
        else:
            table, steps, stepwise = _scaling(self._norm, self._bgr, self._planes)
            write_scaled(*where, self._place, row, table, steps, stepwise, self.places, to)


@cache
def _scaling(norm: ImageNorm | None, bgr: bool, planes: bool) -> tuple[NDArray[np.float32], NDArray[np.float32], bool]:
    """Returns the table, the steps that give the same, and whether they do: (3, 256) and (3, 5, 16) float32."""
    from ..kernels.picture.writing import write_scaled

    table = red_first(norm, bgr=bgr)
    channels = _steps(norm)
    if planes:
        # by colour
        steps = np.repeat(channels[:: -1 if bgr else 1, :, None], 16, axis=2)
    else:
        # by place, as channels come one after the other
        steps = channels[np.arange(48) % 3].reshape(3, 16, 5).transpose(0, 2, 1)
    steps = np.ascontiguousarray(steps)
    # every value of every colour: what a processor without multiply and add as one makes of it may differ
    ramp = np.repeat(np.arange(256, dtype=np.uint8), 3)
    writing = Writing((1, 256), (1, 256), planes=planes, bgr=bgr, norm=norm)
    found = [np.empty(768, np.float32) for _ in range(2)]
    for stepwise, out in enumerate(found):
        write_scaled(ramp, 0, 768, 1, 256, _NOT_TURNED, ramp, table, steps, bool(stepwise), writing.places, out)
    return table, steps, found[0].tobytes() == found[1].tobytes()


def _steps(norm: ImageNorm | None) -> NDArray[np.float32]:
    """Returns (3, 5) float32, by channel: a and more of a, the mean, b and more of b, as `show_planes` takes them."""
    steps = np.zeros((3, 5), np.float32)
    a, b = 1.0, np.ones(3)
    if norm is not None:
        a = 1.0 if norm.scale == "1" else 1 / 255
        steps[:, 2] = norm.mean
        b = 1 / np.array(norm.std, np.float32).astype(np.float64)
    for column, number in ((0, a), (3, b)):
        steps[:, column] = number
        steps[:, column + 1] = number - steps[:, column].astype(np.float64)
    return steps
