"""What the ground is made of, by the number that the kernel `surface` gives."""

import numpy as np

__all__ = ["COLOURS", "REFLECTIVITY", "SURFACES"]

SURFACES = ("asphalt", "white mark", "yellow mark", "bike lane", "parking", "curb", "sidewalk", "forecourt")
COLOURS = np.array(
    [
        [84, 85, 88],
        [225, 225, 222],
        [214, 176, 60],
        [128, 72, 62],
        [96, 97, 100],
        [176, 176, 172],
        [150, 147, 142],
        [120, 132, 96],
    ],
    dtype=np.float64,
)
REFLECTIVITY = np.array([0.16, 0.85, 0.7, 0.2, 0.18, 0.38, 0.32, 0.36])
"""For 905 nm light."""
