"""Segmentation of lidar points: the class of each."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from perceptum.errors import UsageError
from perceptum.features import Row, Spec, canonical
from perceptum.features.lidar import CloudParams
from perceptum.features.lidar.points import PointsParams
from perceptum.features.resolve import resolve_row
from perceptum.features.targets import SegmentationParams
from perceptum.inputs import Frame
from perceptum.plural import counted

from .metric import JudgedProblem, Observation, Scores
from .problem import HasSpec
from .target_row import target_row

__all__ = ["LidarSegmentation"]

_CLASSES, _SCORES = "point_classes", "point_scores"
_POINTS = "lidar_points"
_MOST_CLASSES = 253
"""So many that every pair of classes has a number of 16 bits."""


@dataclass(frozen=True)
class LidarSegmentation(JudgedProblem):
    """The problem: which class each lidar point is of. Judged by the mean IoU, as nuScenes' lidarseg does.

    What a model gives, a row for each row of lidar_points with the points of the params, in their order:
        point_classes: (N,) int32 or int64: a class by its number, as gt_segmentation counts them; or its `no_class`,
            which is wrong wherever a point has a class.
        point_scores, instead, with answers="scores": (N, C) float32: of each class, without `no_class`; the highest
            one counts, of equal ones the first.
    A model whose own lidar_points have a fixed number of rows gives as many: what is behind the last point is not
    looked at, and points that did not fit are counted as missed. A model that takes no lidar_points brings its answers
    back to the points itself.
    """

    name: ClassVar[str] = "lidar_segmentation"

    params: str | Mapping[str, Any] = "nuscenes_lidarseg"
    """The points and classes: parameters of gt_segmentation, or the name of a preset."""
    answers: Literal["classes", "scores"] = "classes"
    _points: SegmentationParams = field(init=False, repr=False, compare=False)
    _names: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.answers not in ("classes", "scores"):
            raise UsageError(f"answers must be classes or scores, got '{self.answers}'")
        params = target_row("gt_segmentation", self.params).params
        assert isinstance(params, SegmentationParams)
        names = tuple(one.name for one in params.whole_classes())
        if params.label_base <= params.no_class < params.label_base + len(names):
            raise UsageError(
                f"params of gt_segmentation: no_class {params.no_class} is the number of class "
                f"'{names[params.no_class - params.label_base]}' too"
            )
        if len(names) > _MOST_CLASSES:
            raise UsageError(f"params of gt_segmentation: at most {_MOST_CLASSES} classes, got {len(names)}")
        object.__setattr__(self, "_points", params)
        object.__setattr__(self, "_names", names)
        output: dict[str, Any] = {"name": _CLASSES, "dtype": "int64", "shape": ["num_points"]}
        if self.answers == "scores":
            output = {"name": _SCORES, "dtype": "float32", "shape": ["num_points", len(self.classes)]}
        object.__setattr__(self, "output_spec", (output,))
        super().__post_init__()

    @property
    def targets(self) -> Sequence[Any]:
        """gt_segmentation."""
        return (target_row("gt_segmentation", self.params).row.to_dict(),)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of their numbers."""
        return self._names

    def labelled(self, targets: Mapping[str, NDArray[Any]], frame: Frame) -> bool:
        """Whether a point has a class; with classes by boxes, whether the frame has boxes, or could have."""
        params = self._points
        if params.source == "boxes":
            return frame.labels is not None
        return bool((targets["gt_segmentation"] != params.no_class).any())

    def observe(
        self, model: HasSpec, outputs: Mapping[str, NDArray[Any]], targets: Mapping[str, NDArray[Any]], frame: Frame
    ) -> Observation:
        """confusion: (C, C + 1) int64: points by their class, and by what was said, the last column for no class.
        of_no_class, not_answered: (1,) int64, points."""
        from .kernels.segmentation import confuse

        params, truth = self._points, targets["gt_segmentation"]
        said = self._answer(outputs, params)
        cut = self._check_rows(model, len(said), len(truth))
        classes = len(self._names)
        table = np.zeros((4, (classes + 1) * (classes + 2)), np.int64)
        given: list[Any] = [np.require(truth[:cut], np.int32, ["C", "W"]), said[:cut]]
        given += [params.label_base, classes, params.no_class, table]
        confuse(*given)
        whole = table.sum(axis=0).reshape(classes + 1, classes + 2)
        if whole[:, -1].any():
            self._refuse(said[:cut])
        confusion = whole[:classes, :-1]
        if cut < len(truth):
            # points that did not fit into the model have no answer
            behind = truth[cut:][truth[cut:] != params.no_class] - params.label_base
            confusion[:, classes] += np.bincount(behind, minlength=classes)
        return {
            "confusion": confusion,
            "of_no_class": np.array([len(truth) - confusion.sum()], np.int64),
            "not_answered": np.array([len(truth) - cut], np.int64),
        }

    def score(self, observations: Sequence[Observation]) -> Scores:
        """IoU of each class over all points of all frames; NaN of a class that no point is of, neither by the labels
        nor by the model. Points of no class are left out; saying nothing of a point that has one is a miss."""
        names = self.classes
        confusion = sum((one["confusion"] for one in observations), np.zeros((len(names), len(names) + 1), np.int64))
        right, there, said = np.diag(confusion), confusion.sum(axis=1), confusion[:, :-1].sum(axis=0)
        iou, recall, precision = (_share(right, of) for of in (there + said - right, there, said))
        points = int(there.sum())
        summary = {
            "mIoU": _mean(iou),
            "FWIoU": float((there[there > 0] * iou[there > 0]).sum() / points) if points else float("nan"),
            "accuracy": int(right.sum()) / points if points else float("nan"),
        }
        classes = {
            name: {"IoU": float(iou[i]), "precision": float(precision[i]), "recall": float(recall[i])}
            for i, name in enumerate(names)
        }
        counts = {
            "frames": len(observations),
            "points": points,
            "points of no class": sum(int(one["of_no_class"][0]) for one in observations),
            "points of which nothing was said": int(confusion[:, -1].sum()),
            "points that did not fit into the model": sum(int(one["not_answered"][0]) for one in observations),
        }
        return Scores(summary, classes, counts=counts)

    def _answer(self, outputs: Mapping[str, NDArray[Any]], params: SegmentationParams) -> NDArray[np.int64]:
        """Returns (N,) int64, the class of each row by its number."""
        name = _CLASSES if self.answers == "classes" else _SCORES
        if name not in outputs:
            raise UsageError(f"a model of {self.name} gives '{name}', the outputs have {', '.join(outputs) or 'none'}")
        said = np.asarray(outputs[name])
        if self.answers == "classes":
            if said.ndim != 1 or said.dtype.kind not in "iu":
                raise UsageError(f"output '{name}' must be (n,) int32 or int64, got {said.shape} {said.dtype}")
            return np.require(said, np.int64, ["C", "W"])
        classes = len(self._names)
        if said.ndim != 2 or said.shape[1] != classes or said.dtype.kind != "f":
            raise UsageError(f"output '{name}' must be (n, {classes}) float32, got {said.shape} {said.dtype}")
        unreal = ~np.isfinite(said.sum(axis=1, dtype=np.float64))
        if unreal.any():
            row = int(np.argmax(unreal))
            raise UsageError(f"output '{name}' has {said[row].tolist()} in row {row}, wanted numbers")
        return np.asarray(said.argmax(axis=1) + params.label_base, np.int64)

    def _refuse(self, said: NDArray[np.int64]) -> None:
        """Raises UsageError for the first class that does not exist."""
        first, last, none = (
            self._points.label_base,
            self._points.label_base + len(self._names) - 1,
            self._points.no_class,
        )
        row = int(np.argmax(((said < first) | (said > last)) & (said != none)))
        raise UsageError(
            f"output '{_CLASSES}' has the class {said[row]} in row {row}; there are "
            f"{counted(len(self._names), 'class')}, {first} to {last}, and {none} for none"
        )

    def _check_rows(self, model: HasSpec, rows: int, points: int) -> int:
        """Returns how many points have an answer; raises UsageError where the rows are not those of the points."""
        fixed = [row["shape"][0] for row in model.inputs if row["name"].partition("__")[0] == _POINTS]
        sizes = [size for size in fixed if isinstance(size, int)]
        if rows == points or rows in sizes:
            return min(rows, points)
        raise UsageError(
            f"output '{_CLASSES if self.answers == 'classes' else _SCORES}' has {counted(rows, 'row')}, and the frame "
            f"{counted(points, 'point')}: it must have a row for each"
        )

    def _check(self, whose: str, inputs: Spec, outputs: Spec) -> None:
        """As every problem's; classes may be int32 or int64, and the model's lidar_points must be the problem's."""
        as_ours = [
            Row.of({**row.to_dict(), "dtype": "int64"}) if row.name == _CLASSES and row.dtype == "int32" else row
            for row in outputs
        ]
        super()._check(whose, inputs, Spec.of(as_ours))
        schema = canonical()
        own = [row for row in inputs if row.name.partition("__")[0] == _POINTS]
        wanted = _which(self._points, self._points.cloud())
        given = [resolve_row(schema, row).params for row in own]
        if own and not any(isinstance(one, PointsParams) and _which(one, one.cloud()) == wanted for one in given):
            raise UsageError(
                f"{whose}: the points of its input '{own[0].name}' are not those of the problem's gt_segmentation; "
                "sweeps, range, what is removed and the frame of reference must be the same"
            )


def _which(params: PointsParams | SegmentationParams, cloud: CloudParams) -> Hashable:
    """Returns what decides which points there are, and in which order."""
    key = cloud.count_key()
    if params.range is None:
        # all points, in whatever axes
        key = msgspec.structs.replace(key, frame="ego", ground=CloudParams().ground, ground_z=None)
    return key, params.range, params.max_points


def _share(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    """Returns part / whole; NaN where there is no whole."""
    share: NDArray[np.float64] = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
    return share


def _mean(numbers: NDArray[np.float64]) -> float:
    known = numbers[~np.isnan(numbers)]
    return float(known.mean()) if len(known) else float("nan")
