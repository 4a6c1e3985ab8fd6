"""Pictures made smaller by the mean of their pixels."""

from __future__ import annotations

from typing import Any

import numpy as np

from .kernel import kernel

__all__ = ["box_mean"]


@kernel
def box_mean(image: Any, reduce: int, out: Any) -> None:
    """Writes the means of reduce x reduce pixels, halves rounded up; at the edges of as many as there are.

    image: (H, W, 3) uint8. out: (ceil(H / reduce), ceil(W / reduce), 3) uint8. Both without gaps.
    """
    height, width = image.shape[0], image.shape[1]
    for row in range(out.shape[0]):
        top, bottom = row * reduce, min((row + 1) * reduce, height)
        for column in range(out.shape[1]):
            left, right = column * reduce, min((column + 1) * reduce, width)
            red, green, blue = 0, 0, 0
            for v in range(top, bottom):
                for u in range(left, right):
                    red += image[v, u, 0]
                    green += image[v, u, 1]
                    blue += image[v, u, 2]
            count = (bottom - top) * (right - left)
            out[row, column, 0] = np.uint8((2 * red + count) // (2 * count))
            out[row, column, 1] = np.uint8((2 * green + count) // (2 * count))
            out[row, column, 2] = np.uint8((2 * blue + count) // (2 * count))
