"""What judges the models of a problem: each frame is observed alone, and all observations are scored together.

Observations are arrays by name and nothing else, so that they can be written to a file, come from another process, and
be scored again without running a model.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import Frame

from .problem import HasSpec, Problem

__all__ = ["Curve", "JudgedProblem", "Observation", "Scores", "taking"]

Observation = dict[str, NDArray[Any]]
"""What one frame says for a metric: what was found, what was there, which belongs to which. The names are the same in
every frame of a problem."""


@dataclass(frozen=True)
class Curve:
    """A line for a page: precision over recall, errors over time."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    """(n,) as x."""
    x_label: str
    y_label: str


@dataclass(frozen=True)
class Scores:
    """What a model is worth, by one metric, over all frames that were observed."""

    summary: Mapping[str, float]
    """Number by its usual name (mAP, NDS, mIoU), the one that decides first. NaN where nothing says anything of it."""
    classes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Class -> number by name, the same names for every class."""
    curves: Mapping[str, Mapping[str, Curve]] = field(default_factory=dict)
    """Title -> label (a class) -> line."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """What went into it and what was left out, in words: frames, objects, predictions, labels of no class."""

    @property
    def main(self) -> str:
        """The name of the number that decides."""
        return next(iter(self.summary))

    def to_dict(self) -> dict[str, Any]:
        """Returns plain data; numbers that are not finite are None, curves are left out."""
        return {
            "summary": _plain(self.summary),
            "classes": {name: _plain(numbers) for name, numbers in self.classes.items()},
            "counts": dict(self.counts),
        }


class JudgedProblem(Problem, ABC):
    """A problem with a metric. A team's own is one class of these in one file."""

    name: ClassVar[str] = ""
    lower_is_better: ClassVar[frozenset[str]] = frozenset()
    """Those numbers of `Scores.summary`, `classes` and `frame_scores` that are errors; of all others more is better."""

    @classmethod
    def takes(cls, options: Mapping[str, str]) -> Callable[..., Any]:
        """Returns a callable with the parameters that the options behind a problem's name are read by, as annotated:
        those that its class is made with, but for the specs and test data. options: the texts that were given."""
        own = inspect.signature(cls).parameters.values()
        return taking([p for p in own if p.name not in inspect.signature(Problem).parameters])

    @property
    @abstractmethod
    def targets(self) -> Sequence[Any]:
        """The spec rows of the canonical features that are the labels, as an InputBuilder takes them with
        `training=True`. They are built once a frame, for all models."""

    def labelled(self, targets: Mapping[str, NDArray[Any]], frame: Frame) -> bool:
        """Returns whether a frame has labels to be judged by. On one that has none no model is run, and it is counted.

        As it is, the targets' own flags say it, gt_valid and gt_map_valid; a problem that finds its labels elsewhere
        looks there.
        """
        flags = [array for name, array in targets.items() if name.partition("__")[0].endswith("_valid")]
        return all(bool(np.all(flag)) for flag in flags)

    @abstractmethod
    def observe(
        self, model: HasSpec, outputs: Mapping[str, NDArray[Any]], targets: Mapping[str, NDArray[Any]], frame: Frame
    ) -> Observation:
        """Returns what a frame says of a model.

        outputs: what the model answered, checked for names and types here. targets: what was built of `targets`.
        Raises UsageError, which names the output, where the outputs break the problem's spec: wrong shape, NaN where
        there is none, a class that does not exist. The frame then counts as failed.
        """

    @abstractmethod
    def score(self, observations: Sequence[Observation]) -> Scores:
        """Returns the scores over frames; without any, numbers are NaN and counts 0. Their order does not matter."""

    def frame_scores(self, observation: Observation) -> dict[str, float]:
        """Returns the numbers by which one frame is compared with others and with another run; NaN where it has
        nothing to be judged by."""
        return dict(self.score([observation]).summary)


def taking(parameters: Sequence[inspect.Parameter]) -> Callable[..., Any]:
    """Returns a callable that has those parameters: what `JudgedProblem.takes` returns."""

    def taken(**_: Any) -> None: ...

    taken.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return taken


def _plain(numbers: Mapping[str, float]) -> dict[str, float | None]:
    return {name: float(number) if np.isfinite(number) else None for name, number in numbers.items()}
