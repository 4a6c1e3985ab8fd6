"""Numbers of a file in float64: float32 as published, widened before any arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["widened"]


def widened(values: NDArray[Any]) -> NDArray[np.float64]:
    """Returns the values as float64; a signalling NaN, as damaged files hold, is a NaN like others and no warning."""
    with np.errstate(invalid="ignore"):
        return np.asarray(values, dtype=np.float64)
