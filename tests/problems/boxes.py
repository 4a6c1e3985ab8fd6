"""Labelled boxes and detections to judge: made up, with all that may confuse a judge."""

from __future__ import annotations

import numpy as np

from perceptum.features.classes import CLASS_LISTS
from perceptum.problems.metrics.observed import text_array

NUSCENES = tuple(one.name for one in CLASS_LISTS["nuscenes"])
ARGOVERSE2 = tuple(one.name for one in CLASS_LISTS["argoverse2"])
ATTRIBUTES_OF = {"pedestrian": (0, 1, 2), "bicycle": (3, 4), "motorcycle": (3, 4), "barrier": (), "traffic_cone": ()}


def made(seed, classes=NUSCENES, frames=12, objects=14, range_m=60.0, steps=None):
    """Labels of some frames, and detections of them that are noised, doubled, of another class, or of nothing.

    Some frames are empty, some classes are never labelled. steps: scores are multiples of 1 / steps, so that many are
    equal; None: no two are. Points of labels are 0 now and then, velocities and attributes are not always known.
    """
    rng = np.random.default_rng(seed)
    there = rng.permutation(len(classes))[: max(1, len(classes) - 2)]
    found = []
    for frame in range(frames):
        gt = labels(rng, 0 if frame % 5 == 3 else rng.integers(1, objects), classes, there, range_m)
        found.append((gt, detections(rng, gt, classes, range_m)))
    count = sum(len(pred["score"]) for _, pred in found)
    equal, own = rng.integers(0, (steps or 1) + 1, count) / (steps or 1), rng.permutation(count) / max(count, 1)
    scores = equal if steps else own
    # as a model gives them
    scores, at = scores.astype(np.float32).astype(np.float64), 0
    for _, pred in found:
        n = len(pred["score"])
        pred["score"], at = scores[at : at + n], at + n
    return [observation(k, gt, pred) for k, (gt, pred) in enumerate(found)]


def labels(rng, n, classes, there, range_m):
    label = rng.choice(there, n)
    velocity = rng.normal(0, 4, (n, 2))
    velocity[rng.random(n) < 0.15] = np.nan
    return {
        "boxes": boxes(rng, n, range_m),
        "label": label.astype(np.int64),
        "velocity": velocity,
        "attribute": attributes(rng, label, classes, 0.2),
        "points": rng.integers(0, 12, n),
    }


def boxes(rng, n, range_m):
    place = rng.uniform(-range_m, range_m, (n, 2)) * rng.random((n, 1))
    return np.column_stack([place, rng.normal(0, 1, n), rng.uniform(0.3, 6, (n, 3)), rng.uniform(-np.pi, np.pi, n)])


def attributes(rng, label, classes, unknown):
    own = [ATTRIBUTES_OF.get(classes[k], (5, 6, 7)) for k in label]
    return np.array([rng.choice(one) if one and rng.random() > unknown else -1 for one in own], np.int64)


def detections(rng, gt, classes, range_m):
    # each object up to three times, the rest of nothing
    of = np.repeat(np.arange(len(gt["label"])), rng.integers(0, 4, len(gt["label"])))
    spread = rng.choice([0.05, 0.4, 1.0, 3.0], (len(of), 1))
    near = gt["boxes"][of] + rng.normal(0, 1, (len(of), 7)) * spread * [1, 1, 0.3, 0.2, 0.2, 0.2, 0.5]
    near[:, 3:6] = np.abs(near[:, 3:6]) + 0.01
    extra = int(rng.integers(0, 6))
    place = np.concatenate([near, boxes(rng, extra, range_m)])
    place = place.astype(np.float32).astype(np.float64)
    label = np.concatenate([gt["label"][of], rng.integers(0, len(classes), extra)])
    wrong = rng.random(len(label)) < 0.1
    label[wrong] = rng.integers(0, len(classes), int(wrong.sum()))
    known = np.nan_to_num(gt["velocity"][of]) + rng.normal(0, 1, (len(of), 2))
    velocity = np.concatenate([known, rng.normal(0, 3, (extra, 2))])
    order = rng.permutation(len(label))
    pred = {"boxes": place, "label": label, "velocity": velocity}
    pred |= {"attribute": attributes(rng, label, classes, 0.1)}
    return {"score": np.zeros(len(label)), **{name: column[order] for name, column in pred.items()}}


def observation(frame, gt, pred):
    """As the metrics' `observe` gives it."""
    flags = {"in_rack": False, "in_roi": True}
    both = {
        side: {name: np.full(len(columns["label"]), flag) for name, flag in flags.items()} | columns
        for side, columns in (("pred", pred), ("gt", gt))
    }
    return {
        "time_ns": np.array([frame * 100_000_000]),
        "log": text_array("made"),
        "no_class": text_array(""),
        "unreal": np.array([0]),
        **{f"{side}_{name}": column for side, columns in both.items() for name, column in columns.items()},
        "over_limit": np.array([0]),
    }


def pooled(observations, classes):
    """The same as devkits_judge.py takes it."""
    names = [name for name in observations[0] if name.startswith(("pred_", "gt_"))]
    arrays = {name: np.concatenate([one[name] for one in observations]) for name in names}
    for side in ("pred", "gt"):
        lengths = [len(one[f"{side}_boxes"]) for one in observations]
        arrays[f"{side}_frame"] = np.repeat(np.arange(len(observations)), lengths)
    # as far from the origin of its map as a nuScenes vehicle is
    vehicle = np.column_stack([411 + 7.0 * np.arange(len(observations)), np.full(len(observations), 1180.0)])
    return {
        **arrays,
        "vehicle": np.column_stack([vehicle, np.zeros(len(observations))]),
        "racks": np.zeros((0, 7)),
        "rack_frame": np.zeros(0, np.int64),
        "classes": np.array(classes),
    }
