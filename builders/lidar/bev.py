"""What the bird's-eye views share: where a cell lies in the tensor, for every layout and flip."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perceptum.features.lidar import BevParams
from perceptum.features.map import SquareParams
from perceptum.features.radar import RadarBevParams

__all__ = ["MOST", "Placement"]

MOST = {np.dtype(np.uint8): 255.0, np.dtype(np.float32): 2.0**24}
"""Counts stop where the dtype stops counting exactly."""


class Placement:
    """Element = base + x * stride_x + y * stride_y + channel * stride_c (+ t * stride_t) of the flat tensor.

    Where time is an axis of memory, a channel is a height slice of one time.
    """

    def __init__(self, params: BevParams | RadarBevParams | SquareParams) -> None:
        x, y, _ = params.grid.size
        sizes, order = params.dims(), params.order()
        strides, step = {"T": 0}, 1
        for axis in reversed(order):
            strides[axis] = step
            step *= sizes[axis]
        self.stride_t = strides["T"]
        self.base = 0
        for axis, flipped in (("X", params.flip_x), ("Y", params.flip_y)):
            if flipped:
                self.base += (sizes[axis] - 1) * strides[axis]
                strides[axis] = -strides[axis]
        self.size_xy = np.array([x, y], dtype=np.int64)
        self.strides = np.array([strides["X"], strides["Y"], strides["C" if "C" in order else "Z"]], dtype=np.int64)

    def channel(self, index: int) -> NDArray[np.int64]:
        """Returns base, stride of x, stride of y of one channel."""
        return np.array([self.base + index * self.strides[2], self.strides[0], self.strides[1]], dtype=np.int64)
