"""Chance by counting: each number depends on the seed and on what it is for, never on what was drawn before.

The mixing step is that of SplitMix64 (Steele, Lea, Flood 2014). Whole numbers only, so the same on every machine.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["bits", "key", "normal", "uniform"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_ROOT_3 = 1.7320508075688772


def bits(start: int, *counters: ArrayLike) -> NDArray[np.uint64]:
    """Returns 64 random bits (...) for each broadcast tuple of whole-number counters."""
    with np.errstate(over="ignore"):
        state = _mix(np.asarray(start, dtype=np.uint64) + _GOLDEN)
        for counter in counters:
            state = _mix((state ^ np.asarray(counter, dtype=np.int64).astype(np.uint64)) + _GOLDEN)
    return state


def _mix(h: NDArray[np.uint64]) -> NDArray[np.uint64]:
    h = (h ^ (h >> np.uint64(30))) * _FIRST
    h = (h ^ (h >> np.uint64(27))) * _SECOND
    mixed: NDArray[np.uint64] = h ^ (h >> np.uint64(31))
    return mixed


def key(seed: int, *what: int) -> int:
    """Returns a start for `bits` that belongs to this seed and purpose."""
    return int(bits(seed, *what))


def uniform(start: int, *counters: ArrayLike) -> NDArray[np.float64]:
    """Returns numbers (...) in [0, 1)."""
    return np.asarray((bits(start, *counters) >> np.uint64(11)) * 2.0**-53, dtype=np.float64)


def normal(start: int, *counters: ArrayLike) -> NDArray[np.float64]:
    """Returns numbers (...) of mean 0 and deviation 1, never beyond 3.5: the sum of four uniform ones."""
    h = bits(start, *counters)
    total = sum((((h >> np.uint64(16 * i)) & np.uint64(0xFFFF)) * 2.0**-16 for i in range(4)), np.zeros(h.shape))
    return np.asarray((total - 2.0) * _ROOT_3, dtype=np.float64)
