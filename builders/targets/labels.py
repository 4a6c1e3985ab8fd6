"""The labelled boxes of a frame, in the frame of reference: what all targets of boxes share."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from perceptum.features import ReferenceParams
from perceptum.features.classes import LabelClass, class_of, said_of_no_class
from perceptum.features.targets import LabelsParams
from perceptum.inputs import Frame, Labels, MissingRecord
from perceptum.plural import counted

from ..kernels.targets.boxes import keep
from ..reference import Reference
from ..sample import Sample
from ..stage import Stage, Stages

__all__ = ["BoxesInPlace", "LabelBoxes", "half_open"]

_log = logging.getLogger(__name__)

_PI = np.float32(np.pi)


class BoxesInPlace:
    """Boxes in the frame of reference, in the order of the log."""

    # not a frozen dataclass, which takes 2 us to make
    __slots__ = ("boxes", "label", "num_points", "track_id", "velocity")

    def __init__(
        self,
        boxes: NDArray[np.float64],
        velocity: NDArray[np.float64],
        label: NDArray[np.int32],
        track_id: NDArray[np.str_],
        num_points: NDArray[np.int64] | None,
    ) -> None:
        self.boxes = boxes
        """(N, 7): x y z (centre) length width height, metres, yaw in [-pi, pi). All of it is finite as float32 too, and
        no size is 0."""
        self.velocity = velocity
        """(N, 2): m/s, over ground; NaN where it is not known."""
        self.label = label
        """(N,): the class of each, from 0."""
        self.track_id = track_id
        """(N,)."""
        self.num_points = num_points
        """(N,): lidar points inside, as the log counted them; None where it did not."""

    def __len__(self) -> int:
        return len(self.boxes)

    def __repr__(self) -> str:
        return f"<BoxesInPlace: {len(self)} boxes>"


_NONE = BoxesInPlace(
    np.empty((0, 7)), np.empty((0, 2)), np.empty(0, np.int32), np.empty(0, np.str_), np.empty(0, np.int64)
)


class LabelBoxes(Stage):
    """Yields the boxes that are labelled at the frame's time, in the frame of reference, in the order of the log: those
    of the classes that are asked for, and in the range. What is left out is counted by reason in `dropped`.

    Shared by all targets of these boxes: stages.share(LabelBoxes, params.labels()).
    """

    def __init__(self, params: LabelsParams, stages: Stages) -> None:
        super().__init__()
        self.params = params
        self.title = f"labelled boxes ({params.frame})"
        self._stages = stages
        self.reference = stages.share(Reference, ReferenceParams.reference(params))
        self.classes: tuple[LabelClass, ...] = params.whole_classes()
        self._class_of: dict[str, int] = {}
        self._range = _range_of(params)
        self.labelled = False
        """Whether the frame has labels at all."""
        self.found = _NONE

    def run(self, sample: Sample) -> None:
        self.dropped = {}
        self.labelled, self.found = False, _NONE
        labels = sample.frame.labels
        if labels is None:
            self._report_none(sample.frame)
            return
        self.labelled = True
        self.found = self._in_place(sample.frame, labels)

    def _in_place(self, frame: Frame, labels: Labels) -> BoxesInPlace:
        label = self._classes_of(labels.category)
        classless = int(np.count_nonzero(label < 0))
        if self.params.min_points:
            if labels.num_points is None:
                self._report_no_points(frame)
            else:
                label[labels.num_points < self.params.min_points] = -1
        boxes, velocity = self._moved(labels)
        chosen = np.empty(len(boxes), np.int64)
        n, of_class, lost, flat = keep(boxes, velocity, label, *self._range, chosen)
        self.dropped = {
            "boxes of no class": classless,
            "boxes of fewer points than min_points": len(boxes) - classless - of_class,
            "non-finite boxes": lost,
            "boxes without a size": flat,
            "boxes out of range": of_class - lost - flat - n,
        }
        if len(boxes) and classless == len(boxes):
            self._report_no_class(frame, labels)
        if n == len(boxes):
            # the usual case: nothing is to be picked
            return BoxesInPlace(boxes, velocity, label, labels.track_id, labels.num_points)
        chosen = chosen[:n]
        num_points = None if labels.num_points is None else labels.num_points[chosen]
        return BoxesInPlace(boxes[:n], velocity[:n], label[:n], labels.track_id[chosen], num_points)

    def _moved(self, labels: Labels) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Boxes and velocities in the frame of reference, as they are labelled otherwise: arrays of one's own."""
        reference, known = self.reference, labels.velocity is not None
        velocity = np.array(labels.velocity, np.float64) if known else np.full((len(labels), 2), np.nan)
        # in the ego frame not even by the identity, which would change the last bit of a yaw
        if reference.is_ego and not reference.on_ground:
            return np.array(labels.boxes, dtype=np.float64), velocity
        # what is not finite is counted later
        with np.errstate(invalid="ignore", over="ignore"):
            boxes = reference.boxes(labels.boxes)
            if known:
                turned = reference.directions(np.column_stack([velocity, np.zeros(len(velocity))]))
                velocity = np.ascontiguousarray(turned[:, :2])
        return boxes, velocity

    def _classes_of(self, category: NDArray[np.str_]) -> NDArray[np.int32]:
        known, names = self._class_of, category.tolist()
        try:
            # 2.1 us for 50 boxes, 5.9 by way of a list
            return np.fromiter(map(known.__getitem__, names), np.int32, len(names))
        except KeyError:
            for name in set(names).difference(known):
                known[name] = class_of(name, self.classes)
            return self._classes_of(category)

    def _report_no_points(self, frame: Frame) -> None:
        if self._stages.first_time((LabelBoxes, "no points")):
            _log.warning(
                "%s: its labels do not say how many lidar points are in a box, so that min_points leaves none out "
                "(reported once)",
                frame.log.source.location,
            )

    def _report_none(self, frame: Frame) -> None:
        what = f"{frame.log.source.location}: {frame} has no labels"
        if self.params.required:
            raise MissingRecord(f"{what}, and the spec requires them")
        if self._stages.first_time((LabelBoxes, "none")):
            _log.warning(
                '%s: it has no boxes, and gt_valid is 0 (reported once; the param "required" makes it an error)', what
            )

    def _report_no_class(self, frame: Frame, labels: Labels) -> None:
        if self._stages.first_time((LabelBoxes, "no class", self.classes)):
            said = said_of_no_class(labels.category.tolist(), self.classes)
            _log.warning("%s: %s has %s, and %s", frame.log.source.location, frame, counted(len(labels), "box"), said)


def _range_of(params: LabelsParams) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns the lowest and the highest place, (3,) float32; without bounds where nothing is asked."""
    low, high = np.full((2, 3), [[-np.inf], [np.inf]], np.float32)
    if params.box_range is not None:
        axes = len(params.box_range_axes)
        low[:axes], high[:axes] = params.box_range[:axes], params.box_range[3 : 3 + axes]
    return low, high


def half_open(yaw: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns angles in [-pi, pi); what float32 rounds up to pi is -pi."""
    turned = yaw - 2 * np.pi * np.floor((yaw + np.pi) / (2 * np.pi))
    turned[turned.astype(np.float32) >= _PI] = -np.pi
    return turned
