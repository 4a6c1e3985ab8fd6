"""The worst frames of an evaluation, drawn: points, labels, and what each detector said."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from perceptum.builders import BuildError, InputBuilder
from perceptum.errors import NeuropodError, UsageError
from perceptum.inputs import Dataset, Frame, LogError

from .page import MOST_WORST
from .result import Evaluation

__all__ = ["draw_worst"]


def draw_worst(evaluation: Evaluation, dataset: Dataset, models: Mapping[str, Any]) -> dict[int, bytes]:
    """Returns PNG pictures of the worst frames of all models, by the frame's number among all.

    Each shows the boxes of all models that are detectors. There is none of a frame that has no lidar, none at all of
    models that are no detectors, and none where matplotlib is not installed: a page without pictures is still a page.
    """
    positions = {row["index"] for name in models for row in evaluation.worst(name, MOST_WORST)}
    found: dict[int, bytes] = {}
    for position in sorted(positions):
        try:
            png = _picture(dataset[position], models)
        except ImportError:
            return {}
        if png is not None:
            found[position] = png
    return found


def _picture(frame: Frame, models: Mapping[str, Any]) -> bytes | None:
    from perceptum.view import Scene, predicted_boxes

    boxes = {}
    for name, model in models.items():
        try:
            boxes[name] = predicted_boxes(model, frame)
        # what it fails on is counted already; a model that is no detector has no boxes
        except (UsageError, LogError, BuildError, NeuropodError):
            continue
    if not boxes:
        return None
    try:
        points = InputBuilder(["lidar_points"]).build(frame)["lidar_points"]
    except (LogError, BuildError):
        points = np.zeros((0, 3), np.float32)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "frame.png"
        Scene(frame, points, boxes).draw(path)
        return path.read_bytes()
