"""Pictures of a tensor from decoded pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from perceptum.features.camera import ImageTransform, Resampler

__all__ = ["Finish", "Resampling"]


@dataclass(frozen=True)
class Finish:
    """How values are written."""

    layout: Literal["CHW", "HWC"]
    bgr: bool
    table: NDArray[np.float32] | None
    norm_at: Literal["end", "start"]
    dtype: str


class Resampling:
    """The nearest pixel, for now."""

    def __init__(
        self,
        transform: ImageTransform,
        resampler: Resampler,
        finish: Finish,
        *,
        undistortion: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None,
        compose: bool = False,
        reduce: int = 1,
    ) -> None:
        self.transform, self.finish, self.reduce = transform, finish, reduce
        self.rows = (0, -(-transform.source[0] // reduce))
        self.nbytes = 0

    def write(self, pixels: NDArray[np.uint8], out: NDArray[Any]) -> None:
        height, width = self.transform.size
        v, u = np.mgrid[:height, :width]
        places = np.linalg.inv(self.transform.matrix()) @ np.stack([u.ravel(), v.ravel(), np.ones(u.size)])
        x, y = np.rint((places[:2] + 0.5) / self.reduce - 0.5).astype(int)
        inside = (x >= 0) & (y >= 0) & (x < pixels.shape[1]) & (y < pixels.shape[0])
        shown = np.zeros((u.size, 3), np.uint8)
        shown[inside] = pixels[y[inside], x[inside]]
        channels = shown.reshape(height, width, 3).transpose(2, 0, 1)
        channels = channels[::-1] if self.finish.bgr else channels
        table = self.finish.table
        for channel in range(3):
            plane = channels[channel] if table is None else table[channel][channels[channel]]
            if self.finish.layout == "CHW":
                out[channel] = plane
            else:
                out[..., channel] = plane
