"""nuScenes' detection metric: mAP over four distances of centres, five errors of what was found, and NDS.

After nuScenes: A multimodal dataset for autonomous driving, section 3.1, and the detection task's page; numbers are
those of nuscenes-devkit 1.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from perceptum.features.classes import Classes
from perceptum.inputs import Frame
from perceptum.inputs.poses import moved_boxes

from ..metric import Observation, Scores
from .detection_metric import DetectionMetric, FoundBoxes, LabelledBoxes
from .observed import check_counts, frame_of_rows, per_class, precision_curves, seen, stacked

__all__ = ["NuscenesDetection"]

Matrix = NDArray[np.float64]
Numbers = NDArray[np.int64]

RANGE_M: Mapping[str, float] = MappingProxyType(
    {
        **dict.fromkeys(("car", "truck", "bus", "trailer", "construction_vehicle"), 50.0),
        **dict.fromkeys(("pedestrian", "motorcycle", "bicycle"), 40.0),
        **dict.fromkeys(("traffic_cone", "barrier"), 30.0),
    }
)
DISTANCES_M = (0.5, 1.0, 2.0, 4.0)
ERRORS_AT = 2
"""Errors are of what is found within DISTANCES_M[ERRORS_AT]."""
ERRORS = ("ATE", "ASE", "AOE", "AVE", "AAE")
WITHOUT: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"traffic_cone": ("AOE", "AVE", "AAE"), "barrier": ("AVE", "AAE")}
)
"""Errors that a class does not have."""
HALF_TURN = ("barrier",)
"""Classes whose front and back are not told apart."""
IN_RACKS = ("bicycle", "motorcycle")
"""Classes that do not count where they stand in a bicycle rack, found or labelled."""
RACK = "static_object.bicycle_rack"
RECALL = np.linspace(0, 1, 101)
FIRST = 11
"""Of RECALL: only recall above 0.1 counts."""
MIN_PRECISION = 0.1
MAP_WEIGHT = 5


@dataclass(frozen=True)
class NuscenesDetection(DetectionMetric):
    """In falling score, each detection of a class takes the nearest free object of it, at four limits of distance."""

    range_m: float | tuple[float, ...] | None = None
    """How far, seen from above, a centre may be from the vehicle, for all classes or for each; None: nuScenes' own, and
    50 m for classes that it does not have."""
    min_points: int = 1
    """Labels of fewer lidar and radar points do not count; 0: all do."""
    most_boxes: int = 500
    """Of a frame's detections only so many of the highest scores count."""

    own_classes: ClassVar[Classes] = "nuscenes"
    attributes: ClassVar[tuple[str, ...]] = (
        "pedestrian.moving",
        "pedestrian.sitting_lying_down",
        "pedestrian.standing",
        "cycle.with_rider",
        "cycle.without_rider",
        "vehicle.moving",
        "vehicle.parked",
        "vehicle.stopped",
    )

    def __post_init__(self) -> None:
        self._ranges()
        check_counts(self.min_points, self.most_boxes)

    def observe(self, found: FoundBoxes, labelled: LabelledBoxes, frame: Frame) -> Observation:
        """Everything in axes that are level as the world's are, about the vehicle: distances there are those of a map.

        pred_, gt_: boxes (n, 7), velocity (n, 2), float64; label, attribute (-1: none or unknown), int64; in_rack,
        bool; pred_score (n,) float64; gt_points (m,) int64: lidar and radar points, -1 where they were not counted;
        over_limit (1,): detections beyond `most_boxes`.
        """
        level_from_ego = np.array(frame.world_from_ego)
        level_from_ego[:3, 3] = 0
        kept = np.sort(np.argsort(-found.scores, kind="stable")[: self.most_boxes])
        there = labelled.all
        racks = moved_boxes(there.boxes[there.category == RACK], level_from_ego)
        pred, gt = moved_boxes(found.boxes[kept], level_from_ego), moved_boxes(labelled.boxes, level_from_ego)
        turn = level_from_ego[:2, :2].T
        return {
            "pred_boxes": pred,
            "pred_score": found.scores[kept],
            "pred_label": found.labels[kept],
            "pred_velocity": found.velocity[kept] @ turn,
            "pred_attribute": found.attributes[kept],
            "pred_in_rack": _inside(pred, racks) & self._may_be_in_racks(found.labels[kept]),
            "gt_boxes": gt,
            "gt_label": labelled.labels,
            "gt_velocity": labelled.velocity @ turn,
            "gt_attribute": self._attributes_of(labelled),
            "gt_points": _points_of(labelled),
            "gt_in_rack": _inside(gt, racks) & self._may_be_in_racks(labelled.labels),
            "over_limit": np.array([len(found.scores) - len(kept)], np.int64),
        }

    def score(self, observations: Sequence[Observation]) -> Scores:
        """As `JudgedProblem.score`: a class of which nothing is labelled has an AP of 0 and errors of 1, as nuScenes
        counts; without any labelled box all numbers are NaN."""
        pool = _Pool.of(observations, self._ranges(), self.min_points)
        judged = [self._judge(pool, number) for number in range(len(self.classes))]
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
        pool = _Pool.of([observation], self._ranges(), self.min_points)
        there = np.union1d(pool.pred["label"], pool.gt["label"]).tolist()
        return _summary([self._judge(pool, number) for number in there], bool(there))

    def _ranges(self) -> Matrix:
        return per_class("range_m", self.range_m, self.classes, RANGE_M, 50.0)

    def _may_be_in_racks(self, labels: Numbers) -> NDArray[np.bool_]:
        return np.array([name in IN_RACKS for name in self.classes], bool)[labels]

    def _attributes_of(self, labelled: LabelledBoxes) -> Numbers:
        names = labelled.all.attributes
        if names is None:
            return np.full(len(labelled.rows), -1)
        number = {name: k for k, name in enumerate(self.attributes)}
        return np.array([number.get(name, -1) for name in names[labelled.rows].tolist()], np.int64)

    def _judge(self, pool: _Pool, number: int) -> _Judged:
        from ..kernels.matching import match_nearest

        name = self.classes[number]
        rows, taken, objects = pool.of_class(number)
        match_nearest(
            pool.pred_xy[rows],
            pool.pred_frame[rows],
            pool.gt_xy[objects.rows],
            objects.first,
            np.array(DISTANCES_M),
            taken,
        )
        scores, n = pool.pred_score[rows], len(objects.rows)
        curves = [_curve(hit >= 0, scores, n) for hit in taken]
        hit = taken[ERRORS_AT]
        errors = np.ones(len(ERRORS))
        if n and (hit >= 0).any():
            found, there = rows[hit >= 0], objects.rows[hit[hit >= 0]]
            each = _errors(pool, found, there, np.pi if name in HALF_TURN else 2 * np.pi)
            errors = _mean_errors(each, scores[hit >= 0], curves[ERRORS_AT][1])
        errors[[ERRORS.index(error) for error in WITHOUT.get(name, ())]] = np.nan
        return _Judged(n, len(rows), np.stack([precision for precision, _ in curves]), errors)


@dataclass(frozen=True, eq=False)
class _Judged:
    """How one class did."""

    objects: int
    detections: int
    precision: Matrix
    """(limits, 101) at each of RECALL."""
    errors: Matrix
    """(5,), NaN where the class has none."""

    def aps(self) -> Matrix:
        """(limits,)"""
        above = np.maximum(self.precision[:, FIRST:] - MIN_PRECISION, 0)
        return np.asarray(above.mean(axis=1) / (1 - MIN_PRECISION))

    def numbers(self) -> dict[str, float]:
        aps = self.aps()
        by_limit = {f"AP@{limit:g}m": float(ap) for limit, ap in zip(DISTANCES_M, aps, strict=True)}
        return {"AP": float(aps.mean()), **dict(zip(ERRORS, self.errors.tolist(), strict=True)), **by_limit}


@dataclass(frozen=True, eq=False)
class _Objects:
    rows: Numbers
    """(m,) of the pool's, sorted by frame."""
    first: Numbers
    """(frames + 1,)"""


@dataclass(frozen=True, eq=False)
class _Pool:
    """All frames' boxes that count."""

    frames: int
    pred: Mapping[str, NDArray[Any]]
    gt: Mapping[str, NDArray[Any]]
    pred_xy: Matrix
    gt_xy: Matrix
    pred_score: Matrix
    pred_frame: Numbers
    gt_frame: Numbers
    counts: Mapping[str, int]

    @classmethod
    def of(cls, observations: Sequence[Observation], range_m: Matrix, min_points: int) -> _Pool:
        pred, gt = _all(observations, "pred"), _all(observations, "gt")
        # a box that is not of numbers lies nowhere: it takes nothing, and counts as a mistake
        real = np.isfinite(pred["boxes"]).all(axis=1)
        pred_xy = np.where(real[:, None], pred["boxes"][:, :2], np.nan)
        gt_xy = gt["boxes"][:, :2]
        near = _near(pred_xy, range_m[pred["label"]]) | ~real
        gt_near, gt_seen = _near(gt_xy, range_m[gt["label"]]), seen(gt["points"], min_points)
        keep, gt_keep = near & ~pred["in_rack"], gt_near & gt_seen & ~gt["in_rack"]
        counts = {
            "frames": len(observations),
            "objects": int(gt_keep.sum()),
            "detections": int(keep.sum()),
            "detections that are not finite": int((~real).sum()),
            "detections out of range": int((~near).sum()),
            "detections in bicycle racks": int((near & pred["in_rack"]).sum()),
            "detections over the limit of a frame": sum(int(one["over_limit"][0]) for one in observations),
            "labels out of range": int((~gt_near).sum()),
            "labels of too few points": int((gt_near & ~gt_seen).sum()),
            "labels in bicycle racks": int((gt_near & gt_seen & gt["in_rack"]).sum()),
        }
        chosen = {name: column[keep] for name, column in pred.items()}
        return cls(
            frames=len(observations),
            pred=chosen,
            gt={name: column[gt_keep] for name, column in gt.items()},
            pred_xy=np.ascontiguousarray(pred_xy[keep]),
            gt_xy=np.ascontiguousarray(gt_xy[gt_keep]),
            pred_score=chosen["score"],
            pred_frame=frame_of_rows(observations, "pred_boxes")[keep],
            gt_frame=frame_of_rows(observations, "gt_boxes")[gt_keep],
            counts=counts,
        )

    def of_class(self, number: int) -> tuple[Numbers, Numbers, _Objects]:
        """Returns the detections' rows in falling score, room for what each takes, and the objects."""
        rows = np.flatnonzero(self.pred["label"] == number)
        # of equal scores the later one comes first, as the devkit has them
        rows = rows[np.argsort(self.pred_score[rows], kind="stable")[::-1]]
        # frame by frame already
        objects = np.flatnonzero(self.gt["label"] == number)
        first = np.searchsorted(self.gt_frame[objects], np.arange(self.frames + 1))
        return rows, np.full((len(DISTANCES_M), len(rows)), -1), _Objects(objects, first)


def _all(observations: Sequence[Observation], side: str) -> dict[str, NDArray[Any]]:
    empty: dict[str, NDArray[Any]] = {
        "boxes": np.zeros((0, 7)),
        "label": np.zeros(0, np.int64),
        "velocity": np.zeros((0, 2)),
        "attribute": np.zeros(0, np.int64),
        "in_rack": np.zeros(0, bool),
        **({"score": np.zeros(0)} if side == "pred" else {"points": np.zeros(0, np.int64)}),
    }
    return {name: stacked(observations, f"{side}_{name}", none) for name, none in empty.items()}


def _near(xy: Matrix, range_m: Matrix) -> NDArray[np.bool_]:
    near: NDArray[np.bool_] = np.sqrt(xy[:, 0] ** 2 + xy[:, 1] ** 2) < range_m
    return near


def _points_of(labelled: LabelledBoxes) -> Numbers:
    lidar, radar = labelled.all.num_points, labelled.all.num_radar_points
    if lidar is None:
        return np.full(len(labelled.rows), -1)
    return (lidar if radar is None else lidar + radar)[labelled.rows]


def _inside(boxes: Matrix, racks: Matrix) -> NDArray[np.bool_]:
    """Returns (n,): whether a box's centre is in one of the racks, (k, 7), their faces included."""
    away = boxes[:, None, :3] - racks[None, :, :3]
    cos, sin = np.cos(racks[:, 6]), np.sin(racks[:, 6])
    along, across = away[..., 0] * cos + away[..., 1] * sin, away[..., 1] * cos - away[..., 0] * sin
    own = np.stack([along, across, away[..., 2]], axis=-1)
    return np.asarray((np.abs(own) <= racks[:, 3:6] / 2).all(axis=-1).any(axis=-1))


def _curve(hit: NDArray[np.bool_], scores: Matrix, objects: int) -> tuple[Matrix, Matrix]:
    """Returns precision and score at each of RECALL; 0 beyond what is reached."""
    if not hit.any():
        return np.zeros(len(RECALL)), np.zeros(len(RECALL))
    right = np.cumsum(hit).astype(np.float64)
    recall = right / objects
    precision = right / np.arange(1, len(hit) + 1)
    return np.interp(RECALL, recall, precision, right=0), np.interp(RECALL, recall, scores, right=0)


def _errors(pool: _Pool, found: Numbers, there: Numbers, period_rad: float) -> Matrix:
    """Returns (k, 5): the errors of detections and the objects that they took; NaN where the label does not say."""
    a, b = pool.pred["boxes"][found], pool.gt["boxes"][there]
    apart = a[:, :2] - b[:, :2]
    common = np.minimum(a[:, 3:6], b[:, 3:6]).prod(axis=1)
    union = a[:, 3:6].prod(axis=1) + b[:, 3:6].prod(axis=1) - common
    turn = (b[:, 6] - a[:, 6] + period_rad / 2) % period_rad - period_rad / 2
    moving = pool.pred["velocity"][found] - pool.gt["velocity"][there]
    attribute = pool.gt["attribute"][there]
    wrong = np.where(attribute < 0, np.nan, pool.pred["attribute"][found] != attribute)
    return np.stack(
        [
            np.sqrt(apart[:, 0] ** 2 + apart[:, 1] ** 2),
            1 - common / union,
            np.abs(turn),
            np.sqrt(moving[:, 0] ** 2 + moving[:, 1] ** 2),
            wrong,
        ],
        axis=1,
    )


def _mean_errors(each: Matrix, scores: Matrix, score_at: Matrix) -> Matrix:
    """Returns (5,): the running means of the errors, down to the score of each recall, averaged over recall from above
    0.1 to what is reached; 1 where that is not more.

    each: (k, 5) in falling score. score_at: (101,) the score at each of RECALL.
    """
    reached = np.flatnonzero(score_at)
    last = int(reached[-1]) if len(reached) else 0
    if last < FIRST:
        return np.ones(each.shape[1])
    known = ~np.isnan(each)
    count = known.cumsum(axis=0)
    running = np.divide(np.where(known, each, 0).cumsum(axis=0), count, out=np.zeros_like(each), where=count > 0)
    running[:, ~known.any(axis=0)] = 1
    wanted = score_at[FIRST : last + 1][::-1]
    return np.array([np.interp(wanted, scores[::-1], column[::-1]).mean() for column in running.T])


def _summary(judged: Sequence[_Judged], says: bool) -> dict[str, float]:
    """says: whether there is anything to be judged by; without, all is NaN."""
    if not says:
        return dict.fromkeys(("NDS", "mAP", *(f"m{name}" for name in ERRORS)), float("nan"))
    mean_ap = float(np.mean([one.aps().mean() for one in judged]))
    table = np.stack([one.errors for one in judged])
    known = ~np.isnan(table)
    errors = np.divide(
        np.where(known, table, 0).sum(axis=0),
        known.sum(axis=0),
        out=np.full(len(ERRORS), np.nan),
        where=known.any(axis=0),
    )
    scores = np.maximum(0, 1 - errors[~np.isnan(errors)])
    nds = (MAP_WEIGHT * mean_ap + scores.sum()) / (MAP_WEIGHT + len(scores))
    return {"NDS": float(nds), "mAP": mean_ap, **{f"m{n}": float(e) for n, e in zip(ERRORS, errors, strict=True)}}
