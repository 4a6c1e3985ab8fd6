"""Segmentation from above, against one that compares cell by cell."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perceptum.builders import InputBuilder
from perceptum.datasets import open_log
from perceptum.errors import UsageError
from perceptum.problems import BevSegmentation, problem_named

from .models import ModelSpec

SMALL = {"range": [-8, -6, 8, 6], "cell": 1.0, "layers": ["drivable_area", "lane_divider", "crossing"]}
SHAPE = (3, 12, 16)


def targets_of(truth, valid=None):
    return {
        "gt_map": np.asarray(truth, np.uint8),
        "gt_map_valid": np.ones(len(truth), np.uint8) if valid is None else np.array(valid, np.uint8),
    }


def seen(problem, said, truth, valid=None):
    return problem.observe(ModelSpec(problem.outputs), {"map": np.float32(said)}, targets_of(truth, valid), None)


def by_the_word(saids, truths, threshold):
    """IoU of each layer."""
    found = []
    for layer in range(len(truths[0])):
        both = either = 0
        for said, truth in zip(saids, truths, strict=True):
            for answer, is_there in zip(said[layer].ravel(), truth[layer].ravel(), strict=True):
                is_said = np.float32(answer) >= np.float32(threshold)
                both += is_said and is_there
                either += is_said or is_there
        found.append(both / either if either else np.nan)
    return found


@settings(deadline=None, max_examples=15)
@given(
    seed=st.integers(0, 2**32 - 1),
    frames=st.integers(1, 3),
    share=st.sampled_from([0.0, 0.1, 0.6]),
    thresholds=st.sampled_from([(0.35, 0.5, 0.65), (0.5,), (0.25, 1.0)]),
)
def test_it_is_the_iou_of_cells(seed, frames, share, thresholds):
    random = np.random.default_rng(seed)
    problem = BevSegmentation(params=SMALL, thresholds=thresholds)
    truths = [random.random(SHAPE) < share for _ in range(frames)]
    # often just at a threshold
    saids = [random.choice([0, 0.25, 0.35, 0.5, 0.65, 0.9, 1], SHAPE).astype(np.float32) for _ in range(frames)]
    got = problem.score([seen(problem, said, truth) for said, truth in zip(saids, truths, strict=True)])
    each = np.array([by_the_word(saids, truths, level) for level in thresholds])
    for k, layer in enumerate(SMALL["layers"]):
        for t, level in enumerate(thresholds):
            assert got.classes[layer][f"IoU@{level:g}"] == pytest.approx(each[t, k], abs=1e-15, nan_ok=True)
        known = each[~np.isnan(each[:, k]), k]
        best = known.max() if len(known) else np.nan
        assert got.classes[layer]["IoU"] == pytest.approx(best, abs=1e-15, nan_ok=True)
    assert got.main == "mIoU"
    bests = [numbers["IoU"] for numbers in got.classes.values()]
    assert got.summary["mIoU"] == pytest.approx(np.nanmean(bests), abs=1e-15)


def test_a_layer_that_the_map_does_not_have_says_nothing_and_is_counted():
    problem, truth = BevSegmentation(params=SMALL), np.zeros(SHAPE)
    truth[0, :3] = 1
    wrong = np.ones(SHAPE)
    wrong[0] = truth[0]
    got = problem.score([seen(problem, wrong, truth, [1, 1, 0]), seen(problem, wrong, truth, [1, 0, 0])])
    assert got.classes["drivable_area"]["IoU"] == 1
    assert got.classes["lane_divider"]["IoU"] == 0
    assert np.isnan(got.classes["crossing"]["IoU"])
    assert got.summary["mIoU"] == 0.5
    assert got.counts == {
        "frames": 2,
        "cells": 3 * 12 * 16,
        "frames whose map does not have lane_divider": 1,
        "frames whose map does not have crossing": 2,
    }
    assert problem.labelled(targets_of(truth, [0, 0, 1]), None)
    assert not problem.labelled(targets_of(truth, [0, 0, 0]), None)


def test_without_frames_there_are_no_numbers():
    got = BevSegmentation(params=SMALL).score([])
    assert all(np.isnan(value) for value in got.summary.values())
    assert got.curves == {}
    assert got.counts["cells"] == 0


def test_the_map_of_a_drive_is_1_where_it_is_said():
    problem = problem_named("bev_segmentation:layers=crossing+drivable_area,thresholds=0.5")
    assert problem.outputs == [{"name": "map", "dtype": "float32", "shape": [2, 200, 200], "frame": "lidar"}]
    frame = open_log("synthetic", frames=2)[1]
    targets = InputBuilder(problem.targets, training=True).build(frame)
    model = ModelSpec(problem.outputs)
    problem.check(model)
    said = targets["gt_map"].astype(np.float32)
    said.flags.writeable = False
    one = problem.observe(model, {"map": said}, targets, frame)
    assert problem.score([one]).summary == problem.frame_scores(one) == {"mIoU": 1, "mIoU@0.5": 1}


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (np.zeros((3, 16, 12), np.float32), "output 'map' must be (3, 12, 16), as gt_map, got (3, 16, 12)"),
        (np.zeros(SHAPE, np.int64), "output 'map' must be float32, got int64"),
        (
            np.full(SHAPE, -0.5, np.float32),
            "output 'map' is -0.5 in a cell of 'drivable_area', wanted 0 to 1, as a sigmoid gives",
        ),
        (
            np.full(SHAPE, np.nan, np.float32),
            "output 'map' is nan in a cell of 'drivable_area', wanted 0 to 1, as a sigmoid gives",
        ),
        (None, "a model of bev_segmentation gives 'map', the outputs have other"),
    ],
)
def test_outputs_that_break_the_spec_are_refused(said, wanted):
    problem = BevSegmentation(params=SMALL)
    outputs = {"other": np.zeros(1)} if said is None else {"map": said}
    with pytest.raises(UsageError) as caught:
        problem.observe(ModelSpec(problem.outputs), outputs, targets_of(np.zeros(SHAPE)), None)
    assert str(caught.value) == wanted


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"thresholds": (0.5, 0.4)}, "thresholds must rise, be above 0 and at most 1, got (0.5, 0.4)"),
        ({"thresholds": ()}, "thresholds must rise, be above 0 and at most 1, got ()"),
        (
            {"params": {**SMALL, "frame": "radar"}},
            "params of gt_map: a model answers in the ego or the lidar frame of reference, not in 'radar'",
        ),
    ],
)
def test_options_that_cannot_be_are_refused(options, wanted):
    with pytest.raises(UsageError) as caught:
        BevSegmentation(**options)
    assert str(caught.value) == wanted


def test_params_that_cannot_be_are_refused_with_what_is_near():
    with pytest.raises(UsageError, match=r"^params of gt_map: .*'bevfusion_sag'.*bevfusion_seg"):
        BevSegmentation(params="bevfusion_sag")
    with pytest.raises(UsageError, match=r"^params of gt_map: .*drivable"):
        BevSegmentation(layers=("drivable_aria",))


def test_a_model_that_answers_in_other_axes_is_refused():
    problem = BevSegmentation()
    other = ModelSpec([{"name": "map", "dtype": "float32", "shape": [6, 200, 200], "frame": "ego"}])
    with pytest.raises(UsageError, match=r"output 'map' is in the ego frame of reference, the problem says lidar$"):
        problem.check(other)
