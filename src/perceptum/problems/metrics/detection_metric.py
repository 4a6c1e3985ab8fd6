"""What a metric of detected boxes is given of a frame, and what it answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from perceptum.features.classes import Classes
from perceptum.inputs import Frame, Labels

from ..metric import Observation, Scores

__all__ = ["DetectionMetric", "FoundBoxes", "LabelledBoxes"]

Matrix = NDArray[np.float64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class FoundBoxes:
    """What a model found in one frame, checked: every class is one of the list, no score is NaN, no size negative."""

    boxes: Matrix
    """(n, 7) float64: x y z (centre) length width height (m) yaw (rad), ego frame at the frame's time."""
    scores: Matrix
    """(n,) float64, in the model's order."""
    labels: Numbers
    """(n,) int64: places in the list of classes."""
    velocity: Matrix
    """(n, 2) float64: m/s over ground, ego frame; NaN where the model does not say it."""
    attributes: Numbers
    """(n,) int64: places in the metric's list of attributes; -1: none, or the model does not say it."""


@dataclass(frozen=True, eq=False)
class LabelledBoxes:
    """The labelled boxes of one frame that are of a class, in float64, in the order of the log."""

    boxes: Matrix
    """(m, 7) float64 as those of FoundBoxes, ego frame."""
    labels: Numbers
    """(m,) int64: places in the list of classes."""
    velocity: Matrix
    """(m, 2) float64, ego frame; NaN where it is not known."""
    rows: Numbers
    """(m,) int64: their rows in `all`."""
    all: Labels
    """All labels of the frame, those of no class too: what a metric ignores may be among them."""


@dataclass(frozen=True)
class DetectionMetric(ABC):
    """Judges boxes, scores and classes: each frame is observed alone, all observations are scored together.

    A metric's options are its fields, behind `classes`; `Detection3d(metric="kitti", recall_points=11)` hands them on.
    """

    classes: tuple[str, ...]
    """The names of the classes, in the order of their numbers."""

    own_classes: ClassVar[Classes]
    """The list of classes that is judged where the problem names none."""
    attributes: ClassVar[tuple[str, ...]] = ()
    """The names of what the output `attributes` says by number; none: the metric does not look at it."""
    lower_is_better: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def observe(self, found: FoundBoxes, labelled: LabelledBoxes, frame: Frame) -> Observation:
        """Returns what the frame says: arrays of numbers, of the same names in every frame. Raises LogError where the
        log lacks what the metric needs, UsageError where the found boxes break a rule of the metric."""

    @abstractmethod
    def score(self, observations: Sequence[Observation]) -> Scores:
        """Returns the scores over frames, as `JudgedProblem.score`."""

    def frame_scores(self, observation: Observation) -> dict[str, float]:
        """Returns the numbers by which one frame is compared with others."""
        return dict(self.score([observation]).summary)
