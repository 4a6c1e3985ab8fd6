"""The two kinds of array that every reader, record and builder speaks of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Matrix", "Times"]

Matrix = NDArray[np.float64]
"""Geometry, of any shape: transforms (4, 4), intrinsics (3, 3), points (N, 3)."""

Times = NDArray[np.int64]
"""(N,) nanoseconds."""
