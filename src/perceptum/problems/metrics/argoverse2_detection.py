"""Argoverse 2's detection metric: AP over four distances of centres, three errors of what was found, and CDS.

After Argoverse 2, section 4 and its 3D detection challenge; numbers are those of av2 0.3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from perceptum.features.classes import Classes
from perceptum.inputs import Frame, MissingRecord
from perceptum.inputs.poses import box_corners

from ..metric import Observation, Scores
from .detection_metric import DetectionMetric, FoundBoxes, LabelledBoxes
from .observed import check_counts, frame_of_rows, per_class, precision_curves, seen, stacked

__all__ = ["Argoverse2Detection", "within_roi"]

Matrix = NDArray[np.float64]
Numbers = NDArray[np.int64]

DISTANCES_M = (0.5, 1.0, 2.0, 4.0)
ERRORS_AT = 2
"""Errors are of what is found within DISTANCES_M[ERRORS_AT]."""
ERRORS = ("ATE", "ASE", "AOE")
WORST = np.array([2.0, 1.0, np.pi])
"""Each error where nothing is found; errors count as shares of it."""
RECALL = np.linspace(0, 1, 101)
RANGE_M = 150.0
ROI_M = 5.0
_EPSILON = np.finfo(np.float64).eps


@dataclass(frozen=True)
class Argoverse2Detection(DetectionMetric):
    """Each object goes to the surest of the detections of its class that it is the nearest one to."""

    range_m: float | tuple[float, ...] | None = None
    """How far a centre may be from the vehicle, for all classes or for each; None: 150 m."""
    min_points: int = 1
    """Labels of fewer lidar points do not count; 0: all do."""
    most_boxes: int = 100
    """Of a frame's detections of one class within range only so many of the highest scores count."""

    roi: bool = False
    """Whether only those boxes count, found and labelled, of which a corner is within 5 m of the map's drivable area:
    the challenge's rule, for which the log must have a map."""

    own_classes: ClassVar[Classes] = "argoverse2"

    def __post_init__(self) -> None:
        self._ranges()
        check_counts(self.min_points, self.most_boxes)

    def observe(self, found: FoundBoxes, labelled: LabelledBoxes, frame: Frame) -> Observation:
        """pred_, gt_: boxes (n, 7) float64, ego frame; label (n,) int64; in_roi (n,) bool; pred_score (n,) float64;
        gt_points (m,) int64: lidar points, -1 where they were not counted. Raises MissingRecord where the drivable area
        is asked for and the log has none."""
        points = labelled.all.num_points
        return {
            "pred_boxes": found.boxes,
            "pred_score": found.scores,
            "pred_label": found.labels,
            "pred_in_roi": self._in_roi(found.boxes, frame),
            "gt_boxes": labelled.boxes,
            "gt_label": labelled.labels,
            "gt_in_roi": self._in_roi(labelled.boxes, frame),
            "gt_points": np.full(len(labelled.rows), -1) if points is None else points[labelled.rows],
        }

    def score(self, observations: Sequence[Observation]) -> Scores:
        """As `JudgedProblem.score`: a class of which nothing is labelled has an AP of 0 and the worst errors, as
        Argoverse 2 counts; without any labelled box all numbers are NaN."""
        pool = _Pool.of(observations, self._ranges(), self.min_points, self.most_boxes)
        judged = [_judge(pool, number) for number in range(len(self.classes))]
        return Scores(
            summary=_summary(judged, any(one.objects for one in judged)),
            classes={name: one.numbers() for name, one in zip(self.classes, judged, strict=True)},
            curves=precision_curves(
                DISTANCES_M,
                RECALL,
                {name: one.precision for name, one in zip(self.classes, judged, strict=True) if one.objects},
            ),
            counts=pool.counts,
        )

    def frame_scores(self, observation: Observation) -> dict[str, float]:
        """The same numbers, over those classes only of which something is labelled or found in the frame."""
        pool = _Pool.of([observation], self._ranges(), self.min_points, self.most_boxes)
        there = np.union1d(pool.pred["label"], pool.gt["label"]).tolist()
        return _summary([_judge(pool, number) for number in there], bool(there))

    def _in_roi(self, boxes: Matrix, frame: Frame) -> NDArray[np.bool_]:
        return within_roi(boxes, frame) if self.roi else np.ones(len(boxes), bool)

    def _ranges(self) -> Matrix:
        return per_class("range_m", self.range_m, self.classes, {}, RANGE_M)


@dataclass(frozen=True, eq=False)
class _Judged:
    """How one class did."""

    objects: int
    detections: int
    precision: Matrix
    """(limits, 101) at each of RECALL."""
    errors: Matrix
    """(3,)"""

    def numbers(self) -> dict[str, float]:
        aps = self.precision.mean(axis=1)
        ap = float(aps.mean())
        cds = ap * float(np.mean(1 - self.errors / WORST))
        by_limit = {f"AP@{limit:g}m": float(one) for limit, one in zip(DISTANCES_M, aps, strict=True)}
        return {"AP": ap, **dict(zip(ERRORS, self.errors.tolist(), strict=True)), "CDS": cds, **by_limit}


@dataclass(frozen=True, eq=False)
class _Pool:
    """All frames' boxes that count; detections frame by frame, in falling score within each, with what they took."""

    pred: Mapping[str, NDArray[Any]]
    gt: Mapping[str, NDArray[Any]]
    taken: Numbers
    """(n,) the row of the object that a detection is the first one at, or -1."""
    away_m: Matrix
    """(n,) how far it is."""
    counts: Mapping[str, int]

    @classmethod
    def of(cls, observations: Sequence[Observation], range_m: Matrix, min_points: int, most_boxes: int) -> _Pool:
        from ..kernels.matching import match_first

        pred, gt = _all(observations, "pred"), _all(observations, "gt")
        frames = len(observations)
        group = pred["label"] * frames + frame_of_rows(observations, "pred_boxes")
        gt_group = gt["label"] * frames + frame_of_rows(observations, "gt_boxes")
        # a box that is not of numbers lies nowhere: it takes nothing, and counts as a mistake
        real = np.isfinite(pred["boxes"]).all(axis=1)
        places = np.where(real[:, None], pred["boxes"][:, :3], np.nan)
        near = (_length(places) < range_m[pred["label"]]) | ~real
        gt_near = _length(gt["boxes"][:, :3]) < range_m[gt["label"]]
        gt_seen = seen(gt["points"], min_points)
        gt_keep = gt_near & gt_seen & gt["in_roi"]
        # by group, in falling score; of equal scores the earlier one comes first
        order = np.lexsort((-pred["score"], group))
        order = order[near[order]]
        order, over = _first_of_each(order, group, most_boxes)
        outside = int((~pred["in_roi"][order]).sum())
        order = order[pred["in_roi"][order]]
        objects = np.flatnonzero(gt_keep)
        objects = objects[np.argsort(gt_group[objects], kind="stable")]
        groups = np.arange(len(range_m) * frames + 1)
        taken, away_m = np.empty(len(order), np.int64), np.empty(len(order))
        match_first(
            places[order],
            group[order],
            np.ascontiguousarray(gt["boxes"][objects, :3]),
            np.searchsorted(gt_group[objects], groups),
            taken,
            away_m,
        )
        counts = {
            "frames": frames,
            "objects": len(objects),
            "detections": len(order),
            "detections that are not finite": int((~real).sum()),
            "detections out of range": int((~near).sum()),
            "detections over the limit of a frame and class": over,
            "detections away from the drivable area": outside,
            "labels out of range": int((~gt_near).sum()),
            "labels of too few points": int((gt_near & ~gt_seen).sum()),
            "labels away from the drivable area": int((gt_near & gt_seen & ~gt["in_roi"]).sum()),
        }
        # back to the order of frames, which ranks equal scores
        back = np.argsort(order, kind="stable")
        return cls(
            pred={name: column[order[back]] for name, column in pred.items()},
            gt={name: column[objects] for name, column in gt.items()},
            taken=taken[back],
            away_m=away_m[back],
            counts=counts,
        )


def within_roi(boxes: Matrix, frame: Frame, within_m: float = ROI_M) -> NDArray[np.bool_]:
    """Returns (n,) bool: whether a corner of a box, ego frame, is in the map's drivable area or that near to it, seen
    from above. Boxes that are not finite are: they are mistakes, and stay so.

    The distance is that to the map's polygons, where av2 looks at cells of 0.1 m: they differ within two of them.
    Raises MissingRecord where the log has no drivable area.
    """
    from ..kernels.areas import near_polygons

    areas = None if frame.map is None else frame.map.layers.get("drivable_area")
    if areas is None:
        raise MissingRecord(f"{frame}: roi=true looks at the drivable area, and the log has no map with one")
    real = np.isfinite(boxes).all(axis=1)
    corners = box_corners(boxes[real]).reshape(-1, 3)
    turn, place = frame.world_from_ego[:3, :3], frame.world_from_ego[:3, 3]
    places = np.ascontiguousarray((corners @ turn.T + place)[:, :2])
    inside = np.zeros(len(places), bool)
    if len(places):
        low, high = places.min(axis=0) - within_m, places.max(axis=0) + within_m
        chosen = areas.near(*low, *high).astype(np.int64)
        # a map's arrays may be read-only, for which a kernel would be compiled once more
        near_polygons(places, np.array(areas.points), np.array(areas.starts), chosen, within_m, inside)
    found = np.ones(len(boxes), bool)
    found[real] = inside.reshape(-1, 8).any(axis=1)
    return found


def _first_of_each(order: Numbers, group: Numbers, most: int) -> tuple[Numbers, int]:
    """Returns those rows of `order`, sorted by group, that are among the first ones of it, and how many are not."""
    own = group[order]
    begin = np.searchsorted(own, own)
    keep = np.arange(len(order)) - begin < most
    return order[keep], int((~keep).sum())


def _all(observations: Sequence[Observation], side: str) -> dict[str, NDArray[Any]]:
    empty: dict[str, NDArray[Any]] = {
        "boxes": np.zeros((0, 7)),
        "label": np.zeros(0, np.int64),
        "in_roi": np.zeros(0, bool),
        **({"score": np.zeros(0)} if side == "pred" else {"points": np.zeros(0, np.int64)}),
    }
    return {name: stacked(observations, f"{side}_{name}", none) for name, none in empty.items()}


def _length(xyz: Matrix) -> Matrix:
    length: Matrix = np.sqrt((xyz**2).sum(axis=1))
    return length


def _judge(pool: _Pool, number: int) -> _Judged:
    rows = np.flatnonzero(pool.pred["label"] == number)
    rows = rows[np.argsort(-pool.pred["score"][rows], kind="stable")]
    objects = int((pool.gt["label"] == number).sum())
    taken, away_m = pool.taken[rows], pool.away_m[rows]
    precision = np.zeros((len(DISTANCES_M), len(RECALL)))
    errors = WORST.copy()
    if objects and len(rows):
        for k, limit in enumerate(DISTANCES_M):
            precision[k] = _curve((taken >= 0) & (away_m < limit), objects)
        hit = (taken >= 0) & (away_m < DISTANCES_M[ERRORS_AT])
        if hit.any():
            errors = _errors(pool.pred["boxes"][rows[hit]], pool.gt["boxes"][taken[hit]]).mean(axis=0)
    return _Judged(objects, len(rows), precision, errors)


def _curve(hit: NDArray[np.bool_], objects: int) -> Matrix:
    """Returns precision at each of RECALL: the best of what has that recall or more; 0 beyond what is reached."""
    right = np.cumsum(hit)
    precision = right / (np.arange(1, len(hit) + 1) + _EPSILON)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return np.interp(RECALL, right / objects, best, right=0)


def _errors(a: Matrix, b: Matrix) -> Matrix:
    """Returns (k, 3): how far apart the centres are, 1 - overlap of the sizes, and the angle between, [0, pi]."""
    overlap = np.minimum(a[:, 3:6], b[:, 3:6]).prod(axis=1) / np.maximum(a[:, 3:6], b[:, 3:6]).prod(axis=1)
    # from -pi to pi, each for itself
    yaw_a, yaw_b = (np.arctan2(np.sin(one[:, 6]), np.cos(one[:, 6])) for one in (a, b))
    turn = np.abs(yaw_a - yaw_b)
    turn = np.where(turn >= np.pi, np.pi - turn % np.pi, turn)
    return np.stack([_length(a[:, :3] - b[:, :3]), 1 - overlap, turn], axis=1)


def _summary(judged: Sequence[_Judged], says: bool) -> dict[str, float]:
    """says: whether there is anything to be judged by; without, all is NaN."""
    names = {"CDS": "CDS", "mAP": "AP", **{f"m{error}": error for error in ERRORS}}
    if not says:
        return dict.fromkeys(names, float("nan"))
    each = [one.numbers() for one in judged]
    return {name: float(np.mean([numbers[of] for numbers in each])) for name, of in names.items()}
