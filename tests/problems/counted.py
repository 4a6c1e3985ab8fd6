"""Made answers for points and agents, judged by us, and as devkits_count.py takes them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = [
    "forecasts_for_devkit",
    "forecasts_judged",
    "made_forecasts",
    "made_points",
    "points_for_devkit",
    "points_judged",
]

CLASSES = 16


class Anyone(NamedTuple):
    """A model, of which only the answers count."""

    name: str = "anyone"
    inputs: tuple = ()
    outputs: tuple = ()


def made_points(frames, points, seed=0):
    """Returns the classes of points, from 1, 0 of none, (n,) int32, and what is said of them, (n,) int64."""
    random = np.random.default_rng(seed)
    # a class that is never there, and one that is never said either
    share = np.append(np.full(CLASSES - 1, 1 / (CLASSES - 1)), [0, 0])
    truths = [random.choice(CLASSES + 1, points, p=share).astype(np.int32) for _ in range(frames)]
    saids = [np.where(random.random(points) < 0.5, truth, random.integers(1, CLASSES, points)) for truth in truths]
    # nothing may be said to be of none
    return truths, [np.maximum(said, 1).astype(np.int64) for said in saids]


def points_for_devkit(truths, saids):
    arrays = {f"{name}_{i}": one for name, own in (("truth", truths), ("said", saids)) for i, one in enumerate(own)}
    return {"classes": CLASSES, **arrays}


def points_judged(problem, truths, saids):
    return problem.score(
        [
            problem.observe(Anyone(), {"point_classes": said}, {"gt_segmentation": truth}, None)
            for truth, said in zip(truths, saids, strict=True)
        ]
    )


def made_forecasts(frames, agents, steps, ways=8, seed=1):
    """Returns where agents go (A, T, 2), K ways that are said (A, K, T, 2) and how sure (A, K), all float32."""
    random = np.random.default_rng(seed)
    truths = [np.cumsum(random.normal(0, 1, (agents, steps, 2)), axis=1).astype(np.float32) for _ in range(frames)]
    saids = [
        (truth[:, None] + np.cumsum(random.normal(0, 0.2, (agents, ways, steps, 2)), axis=2)).astype(np.float32)
        for truth in truths
    ]
    return truths, saids, [random.dirichlet(np.ones(ways), agents).astype(np.float32) for _ in range(frames)]


def forecasts_for_devkit(truths, saids, sures):
    named = {"truth": truths, "said": saids, "sure": sures}
    return {f"{name}_{i}": one.astype(np.float64) for name, own in named.items() for i, one in enumerate(own)}


def forecasts_judged(problem, truths, saids, sures):
    seen = []
    for truth, said, sure in zip(truths, saids, sures, strict=True):
        targets = {
            "gt_trajectory": truth,
            "gt_trajectory_mask": np.ones(truth.shape[:2], np.uint8),
            "agent_type": np.zeros(len(truth), np.int32),
            "agent_num": np.array([len(truth)], np.int32),
        }
        seen.append(problem.observe(Anyone(), {"trajectories": said, "probabilities": sure}, targets, None))
    return problem.score(seen)
