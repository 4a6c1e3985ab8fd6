"""KITTI's detection metric: average precision over 40 or 11 recall points, from above, in 3D and in the picture.

After Geiger et al. 2012, Are we ready for autonomous driving?, and the evaluation code of the benchmark's development
kit as it is since 2019, when the number of recall points went from 11 to 40 (Simonelli et al. 2019).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from perceptum.errors import UsageError
from perceptum.features.classes import Classes
from perceptum.inputs import Frame, Labels, MissingRecord

from ..metric import Curve, Observation, Scores
from .detection_metric import DetectionMetric, FoundBoxes, LabelledBoxes
from .observed import per_class, stacked
from .picture_boxes import picture_boxes
from .rotated_overlap import rotated_overlaps

__all__ = ["KittiDetection"]

Matrix = NDArray[np.float64]
Numbers = NDArray[np.int64]

VIEWS = ("3D", "BEV", "2D")
"""What overlaps: bodies, rectangles seen from above, and boxes in the picture."""
DIFFICULTIES = ("easy", "moderate", "hard")
MIN_HEIGHT_PX = (40, 25, 25)
MAX_OCCLUSION = (0, 1, 2)
MAX_TRUNCATION = (0.15, 0.3, 0.5)
STRICT: Mapping[str, float] = MappingProxyType({"Car": 0.7, "Van": 0.7, "Truck": 0.7})
LOOSE: Mapping[str, float] = MappingProxyType({"Car": 0.5, "Van": 0.5, "Truck": 0.5})
OTHERS = {"strict": 0.5, "loose": 0.25}
"""What the rest of the classes must overlap, pedestrians and cyclists among them."""
NEIGHBOURS: Mapping[str, str] = MappingProxyType({"Van": "Car", "Person_sitting": "Pedestrian"})
"""Category -> the class for which it counts neither way."""
STEPS = 40
"""Recall is looked at in steps of 1 / STEPS."""


@dataclass(frozen=True)
class KittiDetection(DetectionMetric):
    """Each object takes the detection that overlaps it most, at each of 41 scores; what KITTI ignores is ignored."""

    recall_points: int = 40
    """40, at 1/40 to 1; or 11, at 0, 0.1 to 1, as before 2019."""
    overlap: Literal["strict", "loose"] = "strict"
    """What a detection must overlap from above and in 3D: 0.7 of cars, vans and trucks and 0.5 of others; loose: 0.5
    and 0.25. In the picture it is always the strict one."""
    min_overlap: float | tuple[float, ...] | None = None
    """That number itself, in all views, for all classes or for each."""
    camera: str = "image_2"
    """The picture in which heights are measured, where labels say how high objects are in it."""

    own_classes: ClassVar[Classes] = "kitti"

    def __post_init__(self) -> None:
        if self.recall_points not in (40, 11):
            raise UsageError(f"recall_points must be 40 or 11, got {self.recall_points}")
        if self.overlap not in OTHERS:
            raise UsageError(f"overlap must be {' or '.join(OTHERS)}, got '{self.overlap}'")
        self._least_overlaps()

    def observe(self, found: FoundBoxes, labelled: LabelledBoxes, frame: Frame) -> Observation:
        """Raises MissingRecord where labels have boxes in the picture of a camera that the frame does not have.

        A detection of which that picture shows nothing is left out: objects there are not labelled. Labels without
        boxes in a picture (of other datasets) have no difficulties: every object counts in all three.

        score, height_px (d,) float64, label (d,) int64; in_unlabelled (d,) float64, the largest share of a detection's
        box in the picture that one unlabelled area covers. object_label (g,) int64, object_neighbour (g,) bool, whether
        it is only a neighbour of that class, object_height_px, object_truncation (g,) float64, object_occlusion (g,)
        int64. pair_object, pair_detection (k,) int64, pair_overlap (k, 3) float64, by VIEWS: those that overlap at all.
        not_shown, with_difficulty (1,) int64.
        """
        everything = labelled.all
        label, neighbour, rows = self._objects(labelled)
        boxes = everything.boxes[rows].astype(np.float64)
        n = len(rows)
        object_height, truncation, occlusion = np.full(n, np.inf), np.zeros(n), np.zeros(n, np.int64)
        there, flat = found.boxes, None
        kept = np.arange(len(there))
        if everything.boxes_2d is not None:
            flat = picture_boxes(there, self._picture(frame))
            # one that is not finite is shown nowhere, and is wrong
            kept = np.flatnonzero(~np.isnan(flat[:, 0]) | ~np.isfinite(there).all(axis=1))
            flat, drawn = flat[kept], everything.boxes_2d[rows]
            object_height = drawn[:, 3] - drawn[:, 1]
            truncation = _known(everything.truncation, rows, truncation)
            occlusion = _known(everything.occlusion, rows, occlusion)
        overlaps = np.zeros((n, len(kept), len(VIEWS)))
        overlaps[..., 1], overlaps[..., 0] = rotated_overlaps(boxes, there[kept])
        height, in_unlabelled = np.full(len(kept), np.inf), np.zeros(len(kept))
        if flat is not None:
            overlaps[..., 2] = _flat_overlaps(drawn, flat)
            height = np.where(np.isnan(flat[:, 0]), np.inf, flat[:, 3] - flat[:, 1])
            in_unlabelled = _covered(flat, everything)
        pair_object, pair_detection = np.nonzero(overlaps.max(axis=2, initial=0) > 0)
        return {
            "score": found.scores[kept],
            "label": found.labels[kept],
            "height_px": height,
            "in_unlabelled": in_unlabelled,
            "object_label": label,
            "object_neighbour": neighbour,
            "object_height_px": object_height,
            "object_truncation": truncation,
            "object_occlusion": occlusion,
            "pair_object": pair_object,
            "pair_detection": pair_detection,
            "pair_overlap": overlaps[pair_object, pair_detection],
            "not_shown": np.array([len(there) - len(kept)], np.int64),
            "with_difficulty": np.array([flat is not None], np.int64),
        }

    def score(self, observations: Sequence[Observation]) -> Scores:
        """AP between 0 and 1, where KITTI's tables have per cent; NaN of a class without an object of the difficulty.

        Detections of equal score are taken in the order of the model. The summary has the means over classes, moderate
        in 3D first; classes that have no number are left out of them.
        """
        pool = _Pool.of(observations)
        strict, given = self._least_overlaps()
        titles = [f"{view} {DIFFICULTIES[difficulty]}" for difficulty in (1, 0, 2) for view in VIEWS]
        classes: dict[str, dict[str, float]] = {name: {} for name in self.classes}
        curves: dict[str, dict[str, Curve]] = {title: {} for title in titles}
        to_find = dict.fromkeys(DIFFICULTIES, 0)
        for number, name in enumerate(self.classes):
            for difficulty in (1, 0, 2):
                judged = pool.for_class(number, difficulty)
                to_find[DIFFICULTIES[difficulty]] += judged.to_find
                for view, of_view in enumerate(VIEWS):
                    title = f"{of_view} {DIFFICULTIES[difficulty]}"
                    least = strict[number] if of_view == "2D" else given[number]
                    if of_view == "2D" and not pool.with_difficulty:
                        # nothing was drawn in pictures
                        classes[name][title] = float("nan")
                        continue
                    precision = judged.precision(view, float(least))
                    classes[name][title] = self._average(precision) if judged.to_find else float("nan")
                    if judged.to_find:
                        recall = np.arange(STEPS + 1) / STEPS
                        curves[title][name] = Curve(recall, precision, "recall", "precision")
        summary = {title: _mean([numbers[title] for numbers in classes.values()]) for title in titles}
        counts = {
            "frames": len(observations),
            "objects": int(np.count_nonzero(~pool.neighbour)),
            **{f"objects that must be found, {name}": number for name, number in to_find.items()},
            "objects of a neighbouring class, which count neither way": int(np.count_nonzero(pool.neighbour)),
            "detections": len(pool.score),
            "detections that the picture does not show": pool.not_shown,
            "frames whose labels do not say how difficult objects are": len(observations) - pool.with_difficulty,
        }
        return Scores(summary, classes, {title: lines for title, lines in curves.items() if lines}, counts)

    def _least_overlaps(self) -> tuple[Matrix, Matrix]:
        """Returns what a detection must overlap, (c,) each: in the picture, and in the other views."""
        other = OTHERS[self.overlap]
        given = per_class("min_overlap", self.min_overlap, self.classes, STRICT, OTHERS["strict"])
        if self.overlap == "strict" or self.min_overlap is not None:
            return given, given
        return given, per_class("min_overlap", None, self.classes, LOOSE, other)

    def _objects(self, labelled: LabelledBoxes) -> tuple[Numbers, NDArray[np.bool_], Numbers]:
        """Returns the class of each object, whether it is only a neighbour of it, and its row of all labels; in the
        order of the log, which decides between objects that overlap the same detection."""
        everything = labelled.all
        label = np.full(len(everything), -1, np.int64)
        label[labelled.rows] = labelled.labels
        neighbour = np.zeros(len(everything), bool)
        for category, name in NEIGHBOURS.items():
            if name in self.classes:
                # a class of its own where the problem has one
                beside = (everything.category == category) & (label < 0)
                label[beside], neighbour[beside] = self.classes.index(name), True
        rows = np.flatnonzero(label >= 0)
        return label[rows], neighbour[rows], rows

    def _picture(self, frame: Frame) -> Any:
        if self.camera not in frame.log.source.cameras:
            known = ", ".join(frame.log.source.cameras) or "none"
            raise MissingRecord(
                f"{frame.log.source.location}: no camera '{self.camera}', in whose picture KITTI's difficulties are "
                f"measured; the log has {known}"
            )
        return frame.cameras[self.camera]

    def _average(self, precision: Matrix) -> float:
        points = precision[1:] if self.recall_points == STEPS else precision[:: STEPS // 10]
        return float(points.mean())


@dataclass(frozen=True, eq=False)
class _OfClass:
    """What all objects and detections are for one class and difficulty: words of the kernel, (g,) and (d,) int64."""

    pool: _Pool
    objects: Numbers
    detections: Numbers
    to_find: int

    def precision(self, view: int, min_overlap: float) -> Matrix:
        """Returns (STEPS + 1,) the best precision at each recall or any above it; 0 where that is not reached."""
        from ..kernels.kitti import HITS, count, match

        pool = self.pool
        overlap = np.ascontiguousarray(pool.pair_overlap[:, view])
        taken, hits = np.zeros(len(pool.score), bool), np.empty(len(self.objects))
        shared: list[Any] = [pool.begins, pool.pair_detection, overlap, self.objects, self.detections, pool.score]
        for_hits: list[Any] = [HITS, *shared, min_overlap, -np.inf, taken, hits]
        found, _ = match(*for_hits)
        at = _scores_at_recall(np.sort(hits[:found])[::-1], self.to_find)
        excused = pool.in_unlabelled > min_overlap if VIEWS[view] == "2D" else np.zeros(len(pool.score), bool)
        counts = np.empty((len(at), 3), np.int64)
        given: list[Any] = [*shared, min_overlap, excused, at, taken, hits, counts]
        count(*given)
        right, wrong, _ = counts.T
        precision = np.zeros(STEPS + 1)
        precision[: len(at)] = right / np.maximum(right + wrong, 1)
        return np.maximum.accumulate(precision[::-1])[::-1].copy()


@dataclass(frozen=True, eq=False)
class _Pool:
    """All frames' observations as one."""

    score: Matrix
    label: Numbers
    height_px: Matrix
    in_unlabelled: Matrix
    object_label: Numbers
    neighbour: NDArray[np.bool_]
    object_height_px: Matrix
    truncation: Matrix
    occlusion: Numbers
    begins: Numbers
    """(G + 1,) where each object's pairs begin."""
    pair_detection: Numbers
    pair_overlap: Matrix
    not_shown: int
    with_difficulty: int

    @classmethod
    def of(cls, observations: Sequence[Observation]) -> _Pool:
        none, numbers = np.empty(0), np.empty(0, np.int64)
        detections = np.array([len(one["score"]) for one in observations], np.int64)
        objects = np.array([len(one["object_label"]) for one in observations], np.int64)
        pairs = [len(one["pair_object"]) for one in observations]
        first_detection = np.repeat(np.cumsum(detections) - detections, pairs)
        first_object = np.repeat(np.cumsum(objects) - objects, pairs)
        of_object = stacked(observations, "pair_object", numbers) + first_object
        return cls(
            score=stacked(observations, "score", none),
            label=stacked(observations, "label", numbers),
            height_px=stacked(observations, "height_px", none),
            in_unlabelled=stacked(observations, "in_unlabelled", none),
            object_label=stacked(observations, "object_label", numbers),
            neighbour=stacked(observations, "object_neighbour", np.empty(0, bool)),
            object_height_px=stacked(observations, "object_height_px", none),
            truncation=stacked(observations, "object_truncation", none),
            occlusion=stacked(observations, "object_occlusion", numbers),
            begins=np.searchsorted(of_object, np.arange(int(objects.sum()) + 1)).astype(np.int64),
            pair_detection=stacked(observations, "pair_detection", numbers) + first_detection,
            pair_overlap=stacked(observations, "pair_overlap", np.empty((0, len(VIEWS)))),
            not_shown=sum(int(one["not_shown"][0]) for one in observations),
            with_difficulty=sum(int(one["with_difficulty"][0]) for one in observations),
        )

    def for_class(self, number: int, difficulty: int) -> _OfClass:
        from ..kernels.kitti import NOT_OF_CLASS, NOT_TO_FIND, TO_FIND

        low = self.object_height_px < MIN_HEIGHT_PX[difficulty]
        # NaN, which nobody knows, is nothing that is beyond a limit
        hidden = (self.occlusion > MAX_OCCLUSION[difficulty]) | (self.truncation > MAX_TRUNCATION[difficulty])
        objects = np.where(self.neighbour | low | hidden, NOT_TO_FIND, TO_FIND)
        objects[self.object_label != number] = NOT_OF_CLASS
        detections = np.where(self.label == number, TO_FIND, NOT_OF_CLASS)
        # also those of other classes: so KITTI's own code has it
        detections[self.height_px < MIN_HEIGHT_PX[difficulty]] = NOT_TO_FIND
        return _OfClass(self, objects, detections, int(np.count_nonzero(objects == TO_FIND)))


def _scores_at_recall(hits: Matrix, objects: int) -> Matrix:
    """Returns the scores, falling, at which recall is nearest to 0, 1/40, 2/40 and so on, (T <= 41,).

    hits: the scores of what is found, falling. objects: how many there are to find.
    """
    at, recall = [], 0.0
    for k, score in enumerate(hits.tolist()):
        last = k == len(hits) - 1
        here = (k + 1) / objects
        after = here if last else (k + 2) / objects
        if not last and after - recall < recall - here:
            continue
        at.append(score)
        recall += 1 / STEPS
    return np.array(at[: STEPS + 1], np.float64)


def _known(column: NDArray[Any] | None, rows: Numbers, otherwise: NDArray[Any]) -> NDArray[Any]:
    return otherwise if column is None else column[rows]


def _flat_overlaps(boxes: Matrix, others: Matrix) -> Matrix:
    """Returns (n, m) intersection over union of boxes u_min v_min u_max v_max; 0 of what is NaN."""
    both = _common(boxes, others)
    whole = _areas(boxes)[:, None] + _areas(others) - both
    return np.divide(both, whole, out=np.zeros_like(both), where=both > 0)


def _covered(boxes: Matrix, labels: Labels) -> Matrix:
    """Returns (n,) the largest share of each box that one unlabelled area covers; 0 of what is NaN."""
    areas = labels.unlabelled_2d
    if areas is None:
        return np.zeros(len(boxes))
    both = _common(boxes, areas)
    share = np.divide(both, _areas(boxes)[:, None], out=np.zeros_like(both), where=both > 0)
    most: Matrix = share.max(axis=1, initial=0)
    return most


def _common(boxes: Matrix, others: Matrix) -> Matrix:
    """Returns (n, m) the areas that boxes share; 0 of what is NaN."""
    size = np.minimum(boxes[:, None, 2:], others[:, 2:]) - np.maximum(boxes[:, None, :2], others[:, :2])
    return np.where((size > 0).all(axis=2), size[..., 0] * size[..., 1], 0.0)


def _areas(boxes: Matrix) -> Matrix:
    area: Matrix = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return area


def _mean(numbers: Sequence[float]) -> float:
    known = [number for number in numbers if not np.isnan(number)]
    return float(np.mean(known)) if known else float("nan")
