"""Judges points and forecasts by nuscenes-devkit and by av2. It runs in their environment, without us:

    .venv-devkit/bin/python tests/problems/devkits_count.py

Each line of its input is the name of a file. Writes a line of JSON for each: numbers by name, and
"seconds" from arrays that are loaded to the numbers. A file
of points has `classes` and truth_0, said_0, truth_1 and so on, (n,), where 0 is ignored; one of forecasts has said_0
(A, K, T, 2), sure_0 (A, K) and truth_0 (A, T, 2), float64, of agents that are all judged.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np


def points(given, frames):
    from nuscenes.eval.lidarseg.utils import ConfusionMatrix

    start = time.perf_counter()
    matrix = ConfusionMatrix(int(given["classes"]) + 1, ignore_idx=0)
    for i in range(frames):
        matrix.update(given[f"truth_{i}"], given[f"said_{i}"])
    classes = matrix.get_per_class_iou()[1:]
    found = {"mIoU": matrix.get_mean_iou(), "FWIoU": matrix.get_freqweighted_iou()}
    return {**found, "classes": classes.tolist(), "seconds": time.perf_counter() - start}


def forecasts(given, frames):
    from av2.datasets.motion_forecasting.eval import metrics

    start = time.perf_counter()
    rows = []
    for i in range(frames):
        for said, sure, truth in zip(given[f"said_{i}"], given[f"sure_{i}"], given[f"truth_{i}"], strict=True):
            row = []
            for k in (6, 1):
                surest = np.argsort(-sure, kind="stable")[:k]
                final = metrics.compute_fde(said[surest], truth)
                nearest = int(np.argmin(final))
                row += [
                    metrics.compute_brier_fde(said[surest], truth, sure[surest])[nearest],
                    metrics.compute_ade(said[surest], truth).min(),
                    final[nearest],
                    metrics.compute_is_missed_prediction(said[surest], truth).all(),
                ]
            rows.append(row)
    means = np.mean(np.array(rows, np.float64), axis=0).tolist()
    names = [f"{name}{k}" for k in (6, 1) for name in ("brier-minFDE", "minADE", "minFDE", "MR")]
    return {**dict(zip(names, means, strict=True)), "seconds": time.perf_counter() - start}


def main():
    for line in sys.stdin:
        with np.load(line.strip()) as arrays:
            given = dict(arrays)
        frames = sum(name.startswith("truth_") for name in given)
        print(json.dumps((points if "classes" in given else forecasts)(given, frames)), flush=True)


if __name__ == "__main__":
    main()
