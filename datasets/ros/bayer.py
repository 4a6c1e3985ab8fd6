"""Colours from a Bayer mosaic: the missing two of each pixel are the mean of their nearest neighbours."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = ["PATTERNS", "demosaic"]

PATTERNS: Mapping[str, str] = {
    "bayer_rggb8": "RGGB",
    "bayer_bggr8": "BGGR",
    "bayer_gbrg8": "GBRG",
    "bayer_grbg8": "GRBG",
}
"""Encoding -> the colours of the first two pixels of the first row, then of the second."""

Pixels = NDArray[np.uint8]


def demosaic(mosaic: Pixels, encoding: str) -> Pixels:
    """Returns (H, W, 3) uint8 RGB of a (H, W) mosaic, bilinear; halves are rounded up; the border is mirrored.

    A colour that a pixel has is kept; one that it lacks is the mean of the 2 or 4 nearest pixels that have it.
    """
    height, width = mosaic.shape
    # mirrored about the border pixel, so that the pattern goes on; a picture of one row has nothing to mirror
    padded = np.pad(mosaic, 1, mode="reflect" if min(height, width) > 1 else "edge").astype(np.uint16)
    near = {
        "here": padded[1:-1, 1:-1],
        "row": (padded[1:-1, :-2] + padded[1:-1, 2:] + 1) >> 1,
        "column": (padded[:-2, 1:-1] + padded[2:, 1:-1] + 1) >> 1,
        "cross": (padded[1:-1, :-2] + padded[1:-1, 2:] + padded[:-2, 1:-1] + padded[2:, 1:-1] + 2) >> 2,
        "corners": (padded[:-2, :-2] + padded[:-2, 2:] + padded[2:, :-2] + padded[2:, 2:] + 2) >> 2,
    }
    image = np.empty((height, width, 3), np.uint8)
    for at, colour in enumerate(PATTERNS[encoding]):
        cell = (slice(at // 2, None, 2), slice(at % 2, None, 2))
        for channel, mean in enumerate(_means(PATTERNS[encoding], at, colour)):
            image[(*cell, channel)] = near[mean][cell]
    return image


def _means(pattern: str, at: int, colour: str) -> tuple[str, str, str]:
    """Which mean gives red, green and blue at the pixel `at` of the two by two pattern."""
    if colour != "G":
        return ("here", "cross", "corners") if colour == "R" else ("corners", "cross", "here")
    # a green pixel has red to both sides, or above and below
    beside = pattern[at ^ 1]
    return ("row", "here", "column") if beside == "R" else ("column", "here", "row")
