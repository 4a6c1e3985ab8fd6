"""SemanticKITTI: labels/NNNNNN.label beside a sequence's velodyne/, a class and an instance for each point."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord

from ..reading.files import read_array

__all__ = ["POINT_CLASSES", "read_label_file"]

_LABEL_BYTES = 4

POINT_CLASSES: Mapping[int, str] = {
    0: "unlabeled",
    1: "outlier",
    10: "car",
    11: "bicycle",
    13: "bus",
    15: "motorcycle",
    16: "on-rails",
    18: "truck",
    20: "other-vehicle",
    30: "person",
    31: "bicyclist",
    32: "motorcyclist",
    40: "road",
    44: "parking",
    48: "sidewalk",
    49: "other-ground",
    50: "building",
    51: "fence",
    52: "other-structure",
    60: "lane-marking",
    70: "vegetation",
    71: "trunk",
    72: "terrain",
    80: "pole",
    81: "traffic-sign",
    99: "other-object",
    252: "moving-car",
    253: "moving-bicyclist",
    254: "moving-person",
    255: "moving-motorcyclist",
    256: "moving-on-rails",
    257: "moving-bus",
    258: "moving-truck",
    259: "moving-other-vehicle",
}
"""As SemanticKITTI's own configuration names them."""


def read_label_file(path: Path, points: int) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Returns class and instance, (points,) each, views of the file's bytes; raises MissingRecord or BrokenRecord."""
    encoded = read_array(path, "the sweep has no labels")
    if len(encoded) != _LABEL_BYTES * points:
        raise BrokenRecord(
            f"{path}: {len(encoded)} bytes, wanted {_LABEL_BYTES * points} for the {points} points of the sweep"
        )
    halves = encoded.view("<u2").astype(np.uint16, copy=False).reshape(-1, 2)
    return halves[:, 0], halves[:, 1]
