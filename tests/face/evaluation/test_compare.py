"""Two evaluations side by side."""

from __future__ import annotations

import math

import pytest

import perceptum as pc
from perceptum.errors import UsageError


@pytest.fixture
def run(problem, drive, counts):
    """run(answers, name) -> the evaluation of a model that gives those answers; None fails."""

    def evaluate(answers, name="counter", **options):
        left = list(answers)

        def answer(ego_pose):
            said = left.pop(0)
            if said is None:
                raise RuntimeError("out of order")
            return said

        return pc.evaluate(options.pop("problem", problem), drive, counts(name, answer), **options)

    return evaluate


def test_numbers_classes_and_frames_are_compared(run):
    # 75, 75, 75 and 76 objects are labelled
    found = pc.compare(run([75, 75, 70, 76]), run([75, 73, 72, 76]))
    assert found.same_frames
    assert found.pairs == {"counter": ("counter", "counter")}
    error, hits = found.metrics
    assert error == {"model": "counter", "metric": "error", "a": 1.25, "b": 1.25, "change": 0.0, "gain": 0.0}
    assert (hits["a"], hits["b"], hits["gain"]) == (0.75, 0.5, -0.25)
    assert [(row["class"], row["metric"]) for row in found.classes] == [("object", "hits")]
    assert [(row["frame_id"], row["change"], row["gain"]) for row in found.frames] == [
        ("000001", 2.0, -2.0),
        ("000002", -2.0, 2.0),
    ]
    assert found.failures == []


def test_failures_that_came_and_went_are_listed_and_the_shared_frames_scored_again(run, problem):
    a, b = run([75, None, 70, 76]), run([75, 75, None, 76])
    found = pc.compare(a, b, problem=problem)
    assert not found.same_frames
    assert [(row["frame"], row["a"], row["b"]) for row in found.failures] == [
        (1, "failed", "judged"),
        (2, "judged", "failed"),
    ]
    assert "out of order" in found.failures[1]["error"]
    assert (found.metrics[0]["a"], found.metrics[0]["b"]) == (5 / 3, 0.0)
    same = {"a": 0.0, "b": 0.0, "change": 0.0, "gain": 0.0}
    assert found.shared[0] == {"model": "counter", "metric": "error", **same, "frames": 2}


def test_what_differs_in_the_setups_is_named(run, problem):
    found = pc.compare(run([75] * 4), run([75] * 2, problem=type(problem)(near=9.0), frames=[0, 1]))
    assert "option near of the problem: 1.5 before, 9.0 now" in found.setups
    assert "frames: 4 before, 2 now" in found.setups
    assert [(row["a"], row["b"]) for row in found.failures] == [("judged", "not there")] * 2


def test_the_only_models_are_compared_whatever_they_are_called(run, problem, drive, counts):
    assert list(pc.compare(run([75] * 4, "old"), run([75] * 4, "new")).pairs) == ["old -> new"]
    two = pc.evaluate(problem, drive, [counts("p", lambda ego_pose: 1), counts("q", lambda ego_pose: 1)])
    with pytest.raises(UsageError, match=r"^the two evaluations have no model in common: old, and p, q$"):
        pc.compare(run([75] * 4, "old"), two)


def test_a_gain_below_its_limit_is_found_also_where_nothing_is_known(run):
    found = pc.compare(run([75] * 4), run([73] * 4))
    assert [row["metric"] for row in found.below({"error": -0.5, "hits": -0.5})] == ["error", "hits"]
    assert found.below({"error": -2.5}) == []
    gone = pc.compare(run([75] * 4), run([None] * 4))
    assert math.isnan(gone.metrics[0]["gain"])
    assert [row["metric"] for row in gone.below({"error": -9.0})] == ["error"]
    with pytest.raises(UsageError, match=r"^no number 'NDS' in these evaluations; there are error, hits$"):
        found.below({"NDS": 0.0})
