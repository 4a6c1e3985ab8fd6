"""3D detection: which boxes are around the vehicle."""

from __future__ import annotations

import importlib
import inspect
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from perceptum.errors import SpecError, UsageError
from perceptum.features import Row, Spec
from perceptum.features.classes import CLASS_LISTS, Classes, LabelClass, check_classes, class_of, classes_of
from perceptum.inputs import Frame, MissingRecord
from perceptum.inputs.poses import moved_boxes
from perceptum.plural import counted
from perceptum.spelling import did_you_mean

from .metric import JudgedProblem, Observation, Scores, taking
from .metrics import DETECTION_METRICS, DetectionMetric, FoundBoxes, LabelledBoxes
from .metrics.observed import in_order, text_array, text_of
from .problem import HasSpec

__all__ = ["Detection3d"]

_TARGETS = (
    ("gt_boxes", "float32", ("num_boxes", 9)),
    ("gt_labels", "int32", ("num_boxes",)),
    ("gt_num_boxes", "int32", (1,)),
    ("gt_valid", "uint8", (1,)),
)
_OPTIONAL = {"labels": 1, "velocity": 2, "attributes": 1}
"""Outputs that a detector may give beside boxes and scores -> their number of axes."""
_WHOLE_NUMBERS = ("int32", "int64")


class Detection3d(JudgedProblem):
    """The problem: which boxes are around the vehicle. Detectors choose their inputs.

    What they give, a row a box:
        boxes: (n, 7) float32: x y z (centre) length width height (m) yaw (rad about +z, from +x), at the frame's time.
            In the ego frame or in the primary lidar's axes: `frame_of(model, "boxes")` says which.
        scores: (n,) float32; the surer, the higher.
        labels: (n,) int32 or int64: places in the list of classes, from 0. May be left out where there is one class.
        velocity: (n, 2) float32, may be left out: m/s over ground, in the axes of the boxes; NaN where unknown.
        attributes: (n,) int32 or int64, may be left out: places in the metric's list; -1 for none.
    """

    name: ClassVar[str] = "detection3d"
    lower_is_better: ClassVar[frozenset[str]] = frozenset(
        f"{mean}{error}" for mean in ("", "m") for error in ("ATE", "ASE", "AOE", "AVE", "AAE")
    )

    metric: DetectionMetric
    classes: tuple[LabelClass, ...]
    """The classes in full, in the order of their numbers."""

    def __init__(
        self,
        *,
        metric: str | type[DetectionMetric] = "centres",
        classes: Classes | str | None = None,
        test_data: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        """metric: one of DETECTION_METRICS, or a class of one's own. classes: a list of classes by name, categories of
        the log joined by +, or as the features take them; None: the metric's own. options: those of the metric. Raises
        UsageError.
        """
        judge = _metric_named(metric)
        _check_options(metric if isinstance(metric, str) else metric.__name__, judge, options)
        whole = _classes(judge.own_classes if classes is None else classes)
        object.__setattr__(self, "classes", whole)
        object.__setattr__(self, "metric", judge(tuple(one.name for one in whole), **options))
        rows: list[dict[str, Any]] = [
            {"name": "boxes", "dtype": "float32", "shape": ["num_boxes", 7]},
            {"name": "scores", "dtype": "float32", "shape": ["num_boxes"]},
        ]
        if len(whole) > 1:
            rows.append({"name": "labels", "dtype": "int64", "shape": ["num_boxes"]})
        super().__init__(output_spec=rows, test_data=test_data)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Detection3d):
            return NotImplemented
        return super().__eq__(other) and (self.metric, self.classes) == (other.metric, other.classes)

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def takes(cls, options: Mapping[str, str]) -> Callable[..., Any]:
        """As every problem's; the options of the metric too."""
        own = [p for p in inspect.signature(cls).parameters.values() if p.name in ("metric", "classes")]
        return taking([*own, *_parameters(_metric_named(options.get("metric", "centres")))])

    @property
    def targets(self) -> Sequence[Any]:
        """gt_boxes, gt_labels, gt_num_boxes and gt_valid of the problem's classes, ego frame.

        They say which boxes are there. A metric takes their float64 values from the frame's labels, with what else it
        needs: points, velocity, attributes, difficulty.
        """
        params = {"classes": msgspec.to_builtins(self.classes), "frame": "ego"}
        return tuple(
            {"name": name, "dtype": dtype, "shape": list(shape), "params": params} for name, dtype, shape in _TARGETS
        )

    def observe(
        self, model: HasSpec, outputs: Mapping[str, NDArray[Any]], targets: Mapping[str, NDArray[Any]], frame: Frame
    ) -> Observation:
        """As `JudgedProblem.observe`; raises MissingRecord for a frame without labels too.

        Beside what the metric says: `time_ns` and `log`, by which frames are put in order; `no_class`, the categories
        of the labels of no class, a line each; `unreal`, (1,) how many labels are not finite or have no size. Texts are
        (k,) uint8, UTF-8.
        """
        # a box that is not finite is counted by the metric; moving it says nothing that a caller must hear
        with np.errstate(invalid="ignore", over="ignore"):
            found, labelled = self.found(model, outputs, frame), self.labelled_boxes(targets, frame)
            observed = self.metric.observe(found, labelled, frame)
        of_class = np.array([class_of(str(one), self.classes) >= 0 for one in labelled.all.category], bool)
        return {
            "time_ns": np.array([frame.time_ns], np.int64),
            "log": text_array(frame.log.source.name),
            "no_class": text_array("\n".join(labelled.all.category[~of_class].tolist())),
            "unreal": np.array([int(of_class.sum()) - len(labelled.rows)], np.int64),
            **observed,
        }

    def score(self, observations: Sequence[Observation]) -> Scores:
        """As `JudgedProblem.score`. Detections of equal score are ranked by the log and the time of their frames."""
        scores = self.metric.score(in_order(observations))
        left_out = Counter(name for one in observations for name in text_of(one["no_class"]).split("\n") if name)
        unreal = sum(int(one["unreal"][0]) for one in observations)
        counts = {
            **scores.counts,
            "labels of no class": sum(left_out.values()),
            **{f"labels of no class, {name}": number for name, number in sorted(left_out.items())},
            "labels that are not finite or have no size": unreal,
        }
        return replace(scores, counts=counts)

    def frame_scores(self, observation: Observation) -> dict[str, float]:
        return self.metric.frame_scores(observation)

    def found(self, model: HasSpec, outputs: Mapping[str, NDArray[Any]], frame: Frame) -> FoundBoxes:
        """Returns what a detector found, ego frame; raises UsageError where its outputs break the problem's spec.

        Boxes that are not finite are kept: each is a mistake. Raises MissingRecord where boxes are in the axes of a
        lidar of which the frame has no sweep.
        """
        boxes, scores = self._boxes_and_scores(outputs)
        n = len(boxes)
        if not np.isfinite(scores).all():
            row = int(np.argmin(np.isfinite(scores)))
            raise UsageError(f"output 'scores' is {scores[row]} in row {row}, wanted a number for every box")
        if (boxes[:, 3:6] < 0).any():
            row = int(np.argmax((boxes[:, 3:6] < 0).any(axis=1)))
            raise UsageError(
                f"output 'boxes' has a negative size, {boxes[row, 3:6].tolist()} (length width height) in row {row}"
            )
        labels = self._labels(outputs, n)
        velocity = np.full((n, 2), np.nan)
        if "velocity" in outputs:
            velocity = _shaped(outputs, "velocity", (n, 2)).astype(np.float64)
        attributes = self._attributes(outputs, n)
        if self.frame_of(model, "boxes") != "ego":
            ego_from_lidar = frame.ego_from_lidar
            boxes = moved_boxes(boxes, ego_from_lidar)
            velocity = velocity @ ego_from_lidar[:2, :2].T
        return FoundBoxes(boxes, scores, labels, velocity, attributes)

    def labelled_boxes(self, targets: Mapping[str, NDArray[Any]], frame: Frame) -> LabelledBoxes:
        """Returns the boxes of gt_boxes as the log has them, in float64.

        Raises MissingRecord where the frame has no labels, UsageError where the targets are not of this frame.
        """
        labels = frame.labels
        if labels is None or not targets["gt_valid"][0]:
            raise MissingRecord(f"{frame}: has no labels")
        of = {category: class_of(str(category), self.classes) for category in set(labels.category.tolist())}
        label = np.array([of[category] for category in labels.category.tolist()], np.int64)
        with np.errstate(over="ignore"):
            narrow = labels.boxes.astype(np.float32)
        # as the feature has it: looked at as float32, as it comes into tensors
        real = np.isfinite(narrow).all(axis=1) & (narrow[:, 3:6] > 0).all(axis=1)
        rows = np.flatnonzero((label >= 0) & real)
        wanted = int(targets["gt_num_boxes"][0])
        if len(rows) != wanted:
            raise UsageError(
                f"{frame}: has {counted(len(rows), 'labelled box', 'labelled boxes')} of the problem's classes, "
                f"gt_num_boxes says {wanted}: build the problem's own `targets` of this very frame"
            )
        velocity = np.full((len(rows), 2), np.nan) if labels.velocity is None else labels.velocity[rows]
        return LabelledBoxes(labels.boxes[rows].astype(np.float64), label[rows], velocity, rows, labels)

    def sure_boxes(
        self, model: HasSpec, outputs: Mapping[str, NDArray[Any]], frame: Frame, min_score: float = 0.3
    ) -> NDArray[np.floating[Any]]:
        """Returns the (n, 7) boxes of which a detector is sure enough, ego frame, whatever axes it answers in.

        outputs: what `model` answered to `frame`. Raises UsageError and MissingRecord as `found` does.
        """
        boxes, scores = self._boxes_and_scores(outputs)
        boxes = boxes[scores >= min_score]
        return boxes if self.frame_of(model, "boxes") == "ego" else moved_boxes(boxes, frame.ego_from_lidar)

    def _boxes_and_scores(self, outputs: Mapping[str, NDArray[Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
        absent = [row["name"] for row in self.outputs if row["name"] not in outputs]
        if absent:
            wanted = " and ".join(", ".join(row["name"] for row in self.outputs).rsplit(", ", 1))
            raise UsageError(f"a detector gives {wanted}, the outputs have no {', '.join(absent)}")
        boxes, scores = np.asarray(outputs["boxes"]), np.asarray(outputs["scores"])
        if boxes.ndim != 2 or boxes.shape[1] != 7 or scores.shape != boxes.shape[:1]:
            raise UsageError(
                f"a detector gives boxes (n, 7) and scores (n,), got boxes {boxes.shape} and scores {scores.shape}"
            )
        for name, array in (("boxes", boxes), ("scores", scores)):
            if array.dtype.kind != "f":
                raise UsageError(f"output '{name}' must be float32, got {array.dtype}")
        return boxes.astype(np.float64), scores.astype(np.float64)

    def _labels(self, outputs: Mapping[str, NDArray[Any]], n: int) -> NDArray[np.int64]:
        if "labels" not in outputs:
            return np.zeros(n, np.int64)
        labels = _whole(_shaped(outputs, "labels", (n,)), "labels")
        wrong = (labels < 0) | (labels >= len(self.classes))
        if wrong.any():
            raise UsageError(
                f"output 'labels' has the class {labels[wrong][0]}; there are {counted(len(self.classes), 'class')}, "
                f"0 to {len(self.classes) - 1}: {', '.join(one.name for one in self.classes)}"
            )
        return labels

    def _attributes(self, outputs: Mapping[str, NDArray[Any]], n: int) -> NDArray[np.int64]:
        known = self.metric.attributes
        if "attributes" not in outputs or not known:
            return np.full(n, -1, np.int64)
        attributes = _whole(_shaped(outputs, "attributes", (n,)), "attributes")
        wrong = (attributes < -1) | (attributes >= len(known))
        if wrong.any():
            raise UsageError(
                f"output 'attributes' has {attributes[wrong][0]}; it is -1 for none, or 0 to {len(known) - 1}: "
                f"{', '.join(known)}"
            )
        return attributes

    def _check(self, whose: str, inputs: Spec, outputs: Spec) -> None:
        """As every problem's; whole numbers may be int32 or int64, and what may be left out is looked at too."""
        as_ours = [
            Row.of({**row.to_dict(), "dtype": "int64"})
            if row.name in ("labels", "attributes") and row.dtype in _WHOLE_NUMBERS
            else row
            for row in outputs
        ]
        super()._check(whose, inputs, Spec.of(as_ours))
        for row in as_ours:
            if row.name in _OPTIONAL and len(row.shape) != _OPTIONAL[row.name]:
                axes = "(n, 2)" if row.name == "velocity" else "(n,)"
                raise UsageError(f"{whose}: output '{row.name}' is {list(row.shape)}, the problem says {axes}")


def _shaped(outputs: Mapping[str, NDArray[Any]], name: str, shape: tuple[int, ...]) -> NDArray[Any]:
    array = np.asarray(outputs[name])
    if array.shape != shape:
        raise UsageError(f"output '{name}' must be {shape}, a row a box, got {array.shape}")
    return array


def _whole(array: NDArray[Any], name: str) -> NDArray[np.int64]:
    if array.dtype.kind not in "iu":
        raise UsageError(f"output '{name}' must be int32 or int64, got {array.dtype}")
    return array.astype(np.int64)


def _metric_named(name: str | type[DetectionMetric]) -> type[DetectionMetric]:
    if not isinstance(name, str):
        return name
    if name not in DETECTION_METRICS:
        hint = did_you_mean(name, DETECTION_METRICS)
        raise UsageError(f"no metric '{name}' of 3D detection; there are {', '.join(sorted(DETECTION_METRICS))}{hint}")
    module, _, of = DETECTION_METRICS[name].partition(":")
    found: type[DetectionMetric] = getattr(importlib.import_module(module), of)
    return found


def _parameters(judge: type[DetectionMetric]) -> list[inspect.Parameter]:
    """Returns the options of a metric: its fields, but for the classes."""
    return [
        inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=one.default, annotation=one.type)
        for one in fields(judge)
        if one.name != "classes"
    ]


def _check_options(metric: str, judge: type[DetectionMetric], options: Mapping[str, Any]) -> None:
    takes = [one.name for one in _parameters(judge)]
    for name in options:
        if name not in takes:
            hint = did_you_mean(name, [*takes, "metric", "classes"])
            raise UsageError(f"metric '{metric}': no option '{name}'; it takes {', '.join(takes) or 'none'}{hint}")


def _classes(given: Classes | str) -> tuple[LabelClass, ...]:
    listed: Any = given
    if isinstance(given, str) and given not in CLASS_LISTS:
        listed = tuple(given.split("+"))
        hint = did_you_mean(given, CLASS_LISTS)
        if hint:
            raise UsageError(f"no list of classes '{given}'; there are {', '.join(CLASS_LISTS)}{hint}")
    try:
        if not isinstance(listed, str):
            listed = tuple(msgspec.convert(one, LabelClass) if isinstance(one, Mapping) else one for one in listed)
        check_classes("classes", listed)
    except (SpecError, msgspec.ValidationError) as error:
        raise UsageError(str(error)) from None
    return classes_of(listed)
