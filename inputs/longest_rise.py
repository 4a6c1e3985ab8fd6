"""Which times of a stream to keep so that they increase."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
from numpy.typing import NDArray

__all__ = ["kept_of"]


def kept_of(times_ns: NDArray[np.int64]) -> NDArray[np.intp]:
    """Returns the indices of as many times as can be kept so that they increase; of equal times the first.

    The longest increasing subsequence: one stamp of the far future takes no others with it.
    """
    if (times_ns[1:] > times_ns[:-1]).all():
        return np.arange(len(times_ns))
    # ends[k] is the least last time of k + 1 increasing ones, at[k] where it stands
    ends: list[int] = []
    at: list[int] = []
    before: list[int] = []
    for i, time_ns in enumerate(times_ns.tolist()):
        k = bisect_left(ends, time_ns)
        before.append(at[k - 1] if k else -1)
        if k == len(ends):
            ends.append(time_ns)
            at.append(i)
        elif time_ns < ends[k]:
            ends[k], at[k] = time_ns, i
    kept, i = [], at[-1]
    while i >= 0:
        kept.append(i)
        i = before[i]
    return np.array(kept[::-1], dtype=np.intp)
