"""gt_boxes, gt_labels, gt_velocity_mask, gt_num_boxes and gt_valid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features.targets import BoxColumn, BoxesParams

from ..sample import Sample
from ..stage import Clearing, Filler, Stages
from ..written import Written
from .labels import BoxesInPlace, LabelBoxes, half_open

__all__ = ["TargetBoxes"]

_OF_BOX = {"x": 0, "y": 1, "z": 2, "length": 3, "width": 4, "height": 5}
_OF_VELOCITY = {"vx": 0, "vy": 1}


class TargetBoxes(Filler):
    def __init__(self, params: BoxesParams, stages: Stages) -> None:
        super().__init__()
        self.title = "target boxes"
        self.params: BoxesParams = params
        self.labels = stages.share(LabelBoxes, params.labels())
        self.needs = (self.labels,)
        self._n = 0

    def run(self, sample: Sample) -> None:
        there, most = len(self.labels.found), self.params.max_boxes
        self._n = there if most is None else min(there, most)
        self.dropped = {"boxes over max_boxes": there - self._n}

    def sizes(self) -> Mapping[str, int]:
        return {"num_boxes": self._n}

    def clearing(self, feature: str) -> Clearing:
        return "own" if feature in ("gt_boxes", "gt_velocity_mask") else "whole"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        if feature == "gt_num_boxes":
            out[0] = self._n
        elif feature == "gt_valid":
            out[0] = self.labels.labelled
        else:
            self._fill_rows(feature, out[: min(self._n, len(out))])
            if feature == "gt_labels":
                out[self._n :] = -1
            else:
                written.clear_rows(min(self._n, len(out)), out)

    def _fill_rows(self, feature: str, rows: NDArray[Any]) -> None:
        found, n = self.labels.found, len(rows)
        if feature == "gt_labels":
            np.add(found.label[:n], self.params.label_base, out=rows)
        elif feature == "gt_velocity_mask":
            rows[:] = ~np.isnan(found.velocity[:n, 0])
        else:
            for at, name in enumerate(self.params.columns):
                rows[:, at] = self._column(name, found)[:n]

    def _column(self, name: BoxColumn, found: BoxesInPlace) -> NDArray[Any]:
        """(N,) of a column, float64 or int32."""
        boxes = found.boxes
        if name in _OF_VELOCITY:
            velocity = found.velocity[:, _OF_VELOCITY[name]]
            return np.where(np.isnan(velocity), 0, velocity)
        if name == "label":
            return found.label + self.params.label_base
        if name == "z" and self.params.centre == "bottom":
            return boxes[:, 2] - boxes[:, 5] / 2
        if name in ("yaw", "sin_yaw", "cos_yaw"):
            yaw = boxes[:, 6] if self.params.heading == "from_x" else half_open(-boxes[:, 6] - np.pi / 2)
            return np.sin(yaw) if name == "sin_yaw" else np.cos(yaw) if name == "cos_yaw" else yaw
        return boxes[:, _OF_BOX[name]]
