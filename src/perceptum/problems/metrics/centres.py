"""Precision and recall at one score: a box is right that lies on an object of its own, whatever its class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from perceptum.features.classes import Classes, LabelClass
from perceptum.inputs import Frame

from ..metric import Observation, Scores
from .detection_metric import DetectionMetric, FoundBoxes, LabelledBoxes

__all__ = ["Centres"]


@dataclass(frozen=True)
class Centres(DetectionMetric):
    """In falling score, each detection takes the nearest free object, of whatever class."""

    match_m: float = 2.0
    """A detection may be so far from its object, between centres seen from above."""
    range_m: float = 40.0
    """Objects and detections further than this from the vehicle do not count."""
    min_points: int = 20
    """Objects with fewer lidar points need not be found, and finding them is not a mistake."""
    min_score: float = 0.3

    own_classes: ClassVar[Classes] = (LabelClass(name="object", of=("*",)),)

    def observe(self, found: FoundBoxes, labelled: LabelledBoxes, frame: Frame) -> Observation:
        """found, detections, objects: (1,) int64 each. A detection whose centre is not a number is wrong."""
        return {name: np.array([number], np.int64) for name, number in self.counts(found, labelled).items()}

    def counts(self, found: FoundBoxes, labelled: LabelledBoxes) -> dict[str, int]:
        """Returns how many detections lie on an object of their own, how many there are, and how many objects."""
        from ..kernels.matching import match_nearest

        boxes = found.boxes
        keep = (found.scores >= self.min_score) & (self._near(boxes) | ~np.isfinite(boxes[:, :2]).all(axis=1))
        boxes = boxes[keep][np.argsort(-found.scores[keep], kind="stable")]
        near = self._near(labelled.boxes)
        objects = labelled.boxes[near]
        points = labelled.all.num_points
        must = np.ones(len(objects), bool) if points is None else (points[labelled.rows] >= self.min_points)[near]
        taken = np.full((1, len(boxes)), -1)
        match_nearest(
            np.ascontiguousarray(boxes[:, :2]),
            np.zeros(len(boxes), np.int64),
            np.ascontiguousarray(objects[:, :2]),
            np.array([0, len(objects)]),
            # one that is just so far away is a match
            np.array([np.nextafter(self.match_m, np.inf)]),
            taken,
        )
        hit = taken[0][taken[0] >= 0]
        right = int(must[hit].sum())
        return {
            "found": right,
            "detections": len(boxes) - (len(hit) - right),
            "objects": int(must.sum()),
        }

    def score(self, observations: Sequence[Observation]) -> Scores:
        found, detections, objects = (
            sum(int(one[name][0]) for one in observations) for name in ("found", "detections", "objects")
        )
        precision, recall = _share(found, detections), _share(found, objects)
        return Scores(
            {"F1": _share(2 * found, detections + objects), "precision": precision, "recall": recall},
            counts={"frames": len(observations), "objects": objects, "detections": detections, "found": found},
        )

    def _near(self, boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
        near: NDArray[np.bool_] = np.hypot(boxes[:, 0], boxes[:, 1]) <= self.range_m
        return near


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
