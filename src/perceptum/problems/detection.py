"""3D detection: boxes with scores, judged by the distance of their centres."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.errors import UsageError
from perceptum.features import ReferenceFrame, Row
from perceptum.inputs import Frame, Labels
from perceptum.inputs.poses import moved_boxes

from .problem import HasSpec, Problem

__all__ = ["Detection", "Score"]

Boxes = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Score:
    """What a model got right."""

    found: int = 0
    """Detections that lie on an object of their own."""
    detections: int = 0
    objects: int = 0

    @property
    def precision(self) -> float:
        """found / detections; NaN without detections."""
        return self.found / self.detections if self.detections else float("nan")

    @property
    def recall(self) -> float:
        """found / objects; NaN without objects."""
        return self.found / self.objects if self.objects else float("nan")

    def __add__(self, other: Score) -> Score:
        return Score(self.found + other.found, self.detections + other.detections, self.objects + other.objects)


@dataclass(frozen=True)
class Detection(Problem):
    """The problem: which boxes stand around the vehicle. Detectors take what inputs they want."""

    output_spec: Sequence[Row | Mapping[str, Any]] = field(
        default=(
            {"name": "boxes", "dtype": "float32", "shape": ["num_boxes", 7]},
            {"name": "scores", "dtype": "float32", "shape": ["num_boxes"]},
        )
    )
    """boxes: x y z (centre) length width height (m) yaw (rad), at the reference time. scores: in [0, 1].

    A detector may give its boxes in the ego frame or in the primary lidar's axes: `boxes_frame(model)` says which."""
    match_m: float = 2.0
    """A detection may be so far from its object, between centres seen from above."""
    range_m: float = 40.0
    """Objects and detections further than this from the vehicle do not count."""
    min_points: int = 20
    """Objects with fewer lidar points need not be found, and finding them is not a mistake."""
    min_score: float = 0.3

    def boxes_frame(self, model: HasSpec) -> ReferenceFrame:
        """Returns the axes in which a detector gives its boxes; raises UsageError where that is not known."""
        return self.frame_of(model, "boxes")

    def sure_boxes(self, model: HasSpec, outputs: Mapping[str, NDArray[Any]], frame: Frame) -> Boxes:
        """Returns the (n, 7) boxes of which a detector is sure enough, ego frame, whatever axes it answers in.

        outputs: what `model` answered to `frame`. Raises UsageError as `boxes_frame` and `answer` do, MissingRecord
            where boxes are in the axes of a lidar of which the frame has no sweep.
        """
        boxes, scores = self.answer(outputs)
        boxes = boxes[scores >= self.min_score]
        return boxes if self.boxes_frame(model) == "ego" else moved_boxes(boxes, frame.ego_from_lidar)

    def judge(self, outputs: Mapping[str, NDArray[Any]], labels: Labels, frame: ReferenceFrame = "ego") -> Score:
        """Returns what a frame's outputs got right: in falling score, each detection takes the nearest free object.

        frame: the axes of the boxes, as `boxes_frame(model)` says; they are turned into the ego frame, as the labels
            are. A detection whose centre is not a number is wrong; one whose score is none is not a detection. Raises
            UsageError where boxes and scores are not there or do not have their shapes, LogError where the frame of
            the labels has no lidar to turn by.
        """
        boxes, scores = self.answer(outputs)
        labels = labels.in_frame("ego")
        if frame != "ego":
            boxes = moved_boxes(boxes, labels.lidar_mounting())
        keep = (scores >= self.min_score) & (self._near(boxes) | ~np.isfinite(boxes[:, :2]).all(axis=1))
        boxes = boxes[keep][np.argsort(-scores[keep], kind="stable")]
        objects = labels.boxes[self._near(labels.boxes)]
        counts = np.ones(len(labels), bool) if labels.num_points is None else labels.num_points >= self.min_points
        counts = counts[self._near(labels.boxes)]
        taken = self._match(boxes, objects)
        found = sum(1 for t in taken if t is not None and counts[t])
        excused = sum(1 for t in taken if t is not None and not counts[t])
        return Score(found, len(boxes) - excused, int(counts.sum()))

    def answer(self, outputs: Mapping[str, NDArray[Any]]) -> tuple[Boxes, Boxes]:
        """Returns boxes (n, 7) and scores (n,) of a frame's outputs; raises UsageError where they are not such."""
        absent = [row["name"] for row in self.outputs if row["name"] not in outputs]
        if absent:
            raise UsageError(f"a detector gives boxes and scores, the outputs have no {', '.join(absent)}")
        boxes, scores = np.asarray(outputs["boxes"]), np.asarray(outputs["scores"])
        if boxes.ndim != 2 or boxes.shape[1] != 7 or scores.shape != boxes.shape[:1]:
            raise UsageError(
                f"a detector gives boxes (n, 7) and scores (n,), got boxes {boxes.shape} and scores {scores.shape}"
            )
        return boxes, scores

    def _near(self, boxes: Boxes) -> NDArray[np.bool_]:
        near: NDArray[np.bool_] = np.hypot(boxes[:, 0], boxes[:, 1]) <= self.range_m
        return near

    def _match(self, boxes: Boxes, objects: Boxes) -> list[int | None]:
        """Returns per box the object that it takes, or None."""
        free = np.ones(len(objects), bool)
        taken: list[int | None] = []
        for box in boxes:
            away = np.hypot(objects[:, 0] - box[0], objects[:, 1] - box[1])
            away[~free] = np.inf
            best = int(np.argmin(away)) if len(away) else -1
            hit = best >= 0 and away[best] <= self.match_m
            taken.append(best if hit else None)
            if hit:
                free[best] = False
        return taken
