"""Places of the world in a frame of reference, without large coordinates."""

from __future__ import annotations

import math
from typing import Any

from perceptum.inputs.kernel import inner

__all__ = ["NUMBERS", "placed"]

NUMBERS = 16
"""What places a point: where the ego is in the world (3), ref_from_world without that (9, row by row), what is added
then (3), and the world's z of level ground (1)."""


@inner
def placed(numbers: Any, x: float, y: float, z: float) -> tuple[float, float, float]:
    """Returns a place of the world in the frame of reference; one whose z is NaN lies on level ground."""
    # subtracted before it is turned: coordinates near 5e6 m cost no precision
    x, y = x - numbers[0], y - numbers[1]
    z = (numbers[15] if math.isnan(z) else z) - numbers[2]
    return (
        numbers[3] * x + numbers[4] * y + numbers[5] * z + numbers[12],
        numbers[6] * x + numbers[7] * y + numbers[8] * z + numbers[13],
        numbers[9] * x + numbers[10] * y + numbers[11] * z + numbers[14],
    )
