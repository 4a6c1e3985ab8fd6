"""Velocities of labelled boxes from where their tracks were before and after, as nuScenes' devkit makes them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import Matrix, Times

__all__ = ["neighbours", "track_velocity"]

Rows = NDArray[np.intp]

_MAX_STEP_S = 1.5
"""From one box of a track to the next; twice that between the two neighbours of a box."""


def neighbours(tracks: NDArray[Any], times: Times) -> tuple[Rows, Rows]:
    """Returns (N,) twice: the rows of the same track before and after each row; the row itself where there is none.

    The neighbours are those in time, which in nuScenes' published tables are the rows named by prev and next.
    """
    order = np.lexsort((times, tracks))
    same = tracks[order][1:] == tracks[order][:-1]
    before, after = np.arange(len(order)), np.arange(len(order))
    before[order[1:][same]] = order[:-1][same]
    after[order[:-1][same]] = order[1:][same]
    return before, after


def track_velocity(before: Rows, after: Rows, times: Times, unit_s: float, centre: Matrix) -> Matrix:
    """Returns (N, 3) m/s in the axes of `centre`: the central difference of a track, at its ends the one-sided one.

    `times` are in units of `unit_s`. NaN for a track seen once, and across more than 1.5 s (3 s between both
    neighbours).
    """
    rows = np.arange(len(times))
    both = (before != rows) & (after != rows)
    step = times[after] - times[before]
    known = (step > 0) & (step <= np.where(both, 2, 1) * round(_MAX_STEP_S / unit_s))
    step_s = np.where(known, step, 1) * unit_s
    with np.errstate(invalid="ignore"):
        return np.where(known[:, None], (centre[after] - centre[before]) / step_s[:, None], np.nan)
