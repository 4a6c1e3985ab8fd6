"""lidar_range_image: its first channel, as the sensor sees it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .drawing import Picture, Pictures
from .kind import Kind

__all__ = ["RANGE_IMAGE"]


def _pictures(kind: Kind) -> Sequence[Picture]:
    real = kind["lidar_range_image_mask"].astype(bool)
    names = kind.params.channels
    title = names[0] if len(names) == 1 else f"{names[0]}, not the {len(names) - 1} other channels"
    return [Picture(title, np.where(real, kind["lidar_range_image"][0], np.nan))]


RANGE_IMAGE = Pictures(pictures=_pictures, needs=("lidar_range_image", "lidar_range_image_mask"))
