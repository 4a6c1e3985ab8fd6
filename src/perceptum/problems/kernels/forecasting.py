"""How far forecasts are from where agents went."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from perceptum.inputs.kernel import kernel

__all__ = ["displacements"]


@kernel
def displacements(said: Any, truth: Any, agents: Any, order: Any, most: Any, endpoint: bool, out: Any) -> None:
    """Writes for each agent, among its surest `most` forecasts, the average distance of the best, the final distance of
    that which ends nearest, and its number.

    said: (A, K, T, 2) float32, truth: (A, T, 2) float32, metres. agents: (n,) int64, rows of these. order: (n, K)
    int64, forecasts by falling probability. most: (M,) int64. endpoint: the average is of the one that ends nearest;
    else the least of all. out: (n, M, 3) float64.
    """
    steps = truth.shape[1]
    for row in range(len(agents)):
        agent = agents[row]
        for m in range(len(most)):
            out[row, m, 0] = out[row, m, 1] = out[row, m, 2] = -1.0
        for rank in range(order.shape[1]):
            forecast = order[row, rank]
            total, last = 0.0, 0.0
            for step in range(steps):
                # by numba, the float() of a float32 stays one
                dx = np.float64(said[agent, forecast, step, 0]) - np.float64(truth[agent, step, 0])
                dy = np.float64(said[agent, forecast, step, 1]) - np.float64(truth[agent, step, 1])
                last = sqrt(dx * dx + dy * dy)
                total += last
            average = total / steps
            for m in range(len(most)):
                if rank >= most[m]:
                    continue
                first = out[row, m, 2] < 0
                nearer = first or last < out[row, m, 1]
                if nearer:
                    out[row, m, 1], out[row, m, 2] = last, forecast
                if first or (nearer if endpoint else average < out[row, m, 0]):
                    out[row, m, 0] = average
