"""Where the cells of a square lie in the world, for kernels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..kernels.map.raster import PLACE
from ..kernels.map.square import place_square
from .around import MapAround

__all__ = ["Square"]

_TALLEST_M = 100.0
"""How far above and below the vehicle what a map shows may lie."""


class Square:
    """The cells of a range of the frame of reference."""

    def __init__(self, range: tuple[float, ...], cell: float, *, centre: bool, margin_m: float) -> None:
        """centre: the centre of cell 0 is at u = v = 0, not its lower corner. margin_m: what lies so near to the square
        counts too."""
        self._range = np.array(range, dtype=np.float64)
        self._cell, self._at_centre, self._margin_m = float(cell), 0.5 if centre else 0.0, float(margin_m)
        self._place = np.zeros(PLACE)

    def place(self, around: MapAround) -> NDArray[np.float64]:
        """Returns the numbers by which kernels find where a frame's map lies in the cells, (PLACE,) float64: see
        `kernels.map.raster`. They hold until it is called again."""
        reference = around.reference
        level = float(reference.level_z)
        # an array of their own: those of a log may be read-only, which would be another kernel
        poses = (np.array(reference.ref_from_ego), np.array(around.world_from_ego))
        place_square(*poses, self._range, self._cell, self._at_centre, level, _TALLEST_M, self._margin_m, self._place)
        return self._place
