"""check_problem: it passes what is right, and says in words what is not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from perceptum.datasets import open_log
from perceptum.errors import UsageError
from perceptum.problems import Detection3d, JudgedProblem, Scores
from perceptum.testing import check_problem

OUTPUT = [{"name": "heights", "dtype": "float32", "shape": ["n"]}]


@pytest.fixture(scope="module")
def frames():
    return list(open_log("synthetic:frames=3,beams=8,azimuth_steps=90"))


def detected(frame, classes=1):
    """The labels, moved by a metre, with one box of nothing."""
    boxes = np.concatenate([frame.labels.boxes + 0.5, np.ones((1, 7))]).astype(np.float32)
    n = len(boxes)
    outputs = {"boxes": boxes, "scores": np.linspace(0.4, 1, n, dtype=np.float32)}
    return outputs | ({"labels": np.arange(n) % classes} if classes > 1 else {})


def test_detection_passes_whatever_judges_it(frames):
    check_problem(Detection3d(), frames, detected)
    check_problem(Detection3d(metric="nuscenes", classes="road_users"), frames, lambda one: detected(one, 3))
    check_problem(Detection3d(metric="argoverse2", classes="road_users"), frames, lambda one: detected(one, 3))


@dataclass(frozen=True)
class Tallest(JudgedProblem):
    """How high the highest labelled box is."""

    output_spec: tuple = tuple(OUTPUT)
    name = "tallest"

    @property
    def targets(self):
        return ()

    def observe(self, model, outputs, targets, frame):
        if "heights" not in outputs or np.ndim(outputs["heights"]) != 1:
            raise UsageError("output 'heights' must be (n,)")
        return {"wrong": np.abs(np.max(outputs["heights"]) - frame.labels.boxes[:, 5].max())[None]}

    def score(self, observations):
        wrong = [float(one["wrong"][0]) for one in observations]
        return Scores({"mean": float(np.mean(wrong)) if wrong else np.nan}, counts={"frames": len(wrong)})


def heights(frame):
    return {"heights": frame.labels.boxes[:, 5].astype(np.float32) + 0.1 * frame.index}


def test_a_problem_of_ones_own_passes(frames):
    check_problem(Tallest(), frames, heights)


class Views(Tallest):
    def observe(self, model, outputs, targets, frame):
        return super().observe(model, outputs, targets, frame) | {"seen": outputs["heights"]}


class Words(Tallest):
    def observe(self, model, outputs, targets, frame):
        return super().observe(model, outputs, targets, frame) | {"who": np.array(["a"])}


class Growing(Tallest):
    def observe(self, model, outputs, targets, frame):
        return super().observe(model, outputs, targets, frame) | {f"at {frame.index}": np.zeros(1)}


class Lenient(Tallest):
    def observe(self, model, outputs, targets, frame):
        return {"wrong": np.ones(1)}


class Nameless(Tallest):
    def observe(self, model, outputs, targets, frame):
        if "heights" not in outputs:
            raise KeyError("heights")
        return super().observe(model, outputs, targets, frame)


class Last(Tallest):
    def score(self, observations):
        return Scores({"last": float(observations[-1]["wrong"][0]) if observations else np.nan})


class Zero(Tallest):
    def score(self, observations):
        return Scores({"sum": float(sum(one["wrong"][0] for one in observations))})


class Plain(Tallest):
    def score(self, observations):
        return {"mean": 1.0}


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (Views, "Views: .*: after its outputs were overwritten: observation 'seen' is another"),
        (Words, "Words: .*: observation 'who' must be an array of numbers, got <U1"),
        (Growing, "Growing: .*: observation has .*, the first frame's has"),
        (Lenient, "Lenient: .*: output 'heights' that is missing must be a UsageError, and was observed"),
        (Nameless, "Nameless: .*: output 'heights' that is missing must be a UsageError, got KeyError: 'heights'"),
        (Last, "Last: scored backwards, 'last' is .*, before"),
        (Zero, "Zero: score of no frame must be NaN and counts 0, got {'sum': 0.0}"),
        (Plain, "Plain: score must return Scores, got dict"),
    ],
)
def test_what_is_wrong_is_said(frames, problem, message):
    with pytest.raises(AssertionError, match=f"^{message}"):
        check_problem(problem(), frames, heights)
