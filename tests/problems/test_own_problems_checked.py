"""check_problem on problems of ours: observations and scores keep to what evaluation counts on."""

from __future__ import annotations

import numpy as np
import pytest

from perceptum.builders import InputBuilder
from perceptum.datasets import open_log
from perceptum.problems import BevSegmentation, Detection3d, LidarSegmentation, MotionForecasting
from perceptum.testing import check_problem


@pytest.fixture(scope="module")
def frames():
    log = open_log("synthetic", frames=12, seed=3, beams=8, azimuth_steps=300)
    return [log[i] for i in (0, 3, 5)]


def answers(problem, answer):
    """A model's answers, made of the labels; wrong here and there."""
    builder = InputBuilder(problem.targets, training=True)
    return lambda frame: answer(builder.build(frame), np.random.default_rng(frame.index))


def cells(targets, random):
    said = np.where(targets["gt_map"] > 0, 0.7, 0.2) + random.normal(0, 0.3, targets["gt_map"].shape)
    return {"map": np.clip(said, 0, 1).astype(np.float32)}


def points(targets, random):
    truth = targets["gt_segmentation"]
    return {"point_classes": np.where(random.random(len(truth)) < 0.7, truth, 0).astype(np.int64)}


def scores_of_points(targets, random):
    truth = targets["gt_segmentation"]
    return {"point_scores": random.random((len(truth), 19)).astype(np.float32)}


def ways(targets, random):
    truth = targets["gt_trajectory"]
    said = truth[:, None] + random.normal(0, 1, (len(truth), 6, 1, 2))
    return {
        "trajectories": said.astype(np.float32),
        "probabilities": random.dirichlet(np.ones(6), len(truth)).astype(np.float32),
    }


@pytest.mark.parametrize(
    ("problem", "answer"),
    [
        (BevSegmentation(params={"cell": 2.0, "layers": ["drivable_area", "lane_divider", "carpark_area"]}), cells),
        (LidarSegmentation(params="semantic_kitti"), points),
        (LidarSegmentation(params="semantic_kitti", answers="scores"), scores_of_points),
        (MotionForecasting(params={"num_future": 5, "agents": {"max_agents": 8}}), ways),
    ],
    ids=lambda one: getattr(one, "name", ""),
)
def test_a_problem_of_ours_passes(problem, answer, frames):
    check_problem(problem, frames, answers(problem, answer))


def test_kittis_metric_passes(frames):
    def found(frame):
        labels = frame.labels
        random = np.random.default_rng(frame.index)
        boxes = labels.boxes + random.normal(0, 0.1, labels.boxes.shape)
        return {
            "boxes": boxes.astype(np.float32),
            "scores": random.random(len(boxes)).astype(np.float32),
            "labels": random.integers(0, 3, len(boxes)),
        }

    check_problem(Detection3d(metric="kitti", classes="road_users"), frames, found)
