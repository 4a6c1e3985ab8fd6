"""How often the parts of a dataset are drawn in an epoch, and which of their frames that are."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd

import numpy as np
from numpy.typing import NDArray

from .errors import LogError

__all__ = ["Mix"]

Numbers = NDArray[np.int64]

_GOLDEN = 0.6180339887498949
"""The golden ratio's fractional part: steps of that share of a circle never bunch up."""


class Mix:
    """Parts of a run of frames, one after the other, and the share of an epoch that each is drawn for.

    An epoch has as many places as there are frames. Each part has a run of them as long as its share; its frames take
    turns, so that over the epochs each comes as often as every other of the part, and an epoch that has room for some
    takes those from all over it.
    """

    def __init__(self, stops: Numbers, shares: NDArray[np.float64]) -> None:
        """stops: (parts,) where each ends. shares: (parts,), in all 1."""
        self.stops = stops
        self.shares = shares
        self.sizes: Numbers = np.diff(stops, prepend=0)
        self.count = int(stops[-1])
        exact = shares * self.count
        draws = np.floor(exact + 1e-9).astype(np.int64)
        missing = self.count - int(draws.sum())
        draws[np.argsort(-(exact - draws), kind="stable")[:missing]] += 1
        self.draws: Numbers = draws
        """(parts,) places of an epoch: the shares, rounded so that all places are taken."""
        self.weighted = len(stops) > 1 and not np.allclose(exact, self.sizes, rtol=1e-9, atol=1e-9)
        """Whether some frames are drawn more often than others."""
        self._strides: Numbers = np.array([_stride(size) for size in self.sizes.tolist()], dtype=np.int64)
        self._last_places: Numbers = np.cumsum(draws)

    @classmethod
    def plain(cls, count: int) -> Mix:
        """Returns one part, each frame of which is drawn once."""
        return cls(np.array([count], dtype=np.int64), np.ones(1))

    @classmethod
    def joined(cls, each: Sequence[Mix], weights: Sequence[float] | None, names: Sequence[str]) -> Mix:
        """Returns several, one after the other, each with its weight of the whole; None: as many places as frames.

        Raises LogError for weights that cannot be; `names` are what it calls the parts.
        """
        sizes = np.array([one.count for one in each], dtype=np.int64)
        if weights is None:
            shares = sizes / max(int(sizes.sum()), 1)
        else:
            shares = _checked(weights, len(each))
            empty = np.flatnonzero((shares > 0) & (sizes == 0)).tolist()
            if empty:
                raise LogError(f"{names[empty[0]]}: has no frames to draw, but the weight {weights[empty[0]]}")
        befores = np.cumsum([0, *sizes.tolist()])
        found = cls(
            np.concatenate([before + one.stops for before, one in zip(befores, each, strict=False)]),
            np.concatenate([share * one.shares for share, one in zip(shares, each, strict=True)]),
        )
        return found if found.weighted else cls.plain(found.count)

    def chosen(self, numbers: Numbers, name: str) -> Mix:
        """Returns the parts of chosen frames, those without a frame left out; raises LogError where they are not chosen
        part by part, for then no part is a run of frames."""
        if not self.weighted:
            return Mix.plain(len(numbers))
        parts = np.searchsorted(self.stops, numbers, side="right")
        if (np.diff(parts) < 0).any():
            raise LogError(f"{name}: the frames of a mixed dataset must be chosen part by part, in order")
        there, counts = np.unique(parts, return_counts=True)
        shares = self.shares[there]
        if shares.sum() <= 0:
            return Mix.plain(len(numbers))
        return Mix(np.cumsum(counts, dtype=np.int64), shares / shares.sum())

    @property
    def weights(self) -> NDArray[np.float64]:
        """(parts, 3): where each part begins and ends, and how often a frame of it is drawn in an epoch, on average."""
        often = np.divide(self.draws, self.sizes, out=np.zeros(len(self.sizes)), where=self.sizes > 0)
        return np.column_stack([self.stops - self.sizes, self.stops, often])

    def drawn(self, places: Numbers, epoch: int) -> Numbers:
        """(n,) the frames at places of an epoch, each from 0 to count - 1."""
        if not self.weighted:
            return places
        part = np.searchsorted(self._last_places, places, side="right")
        # in Python's integers: many epochs of many draws
        befores = [
            epoch * n % size if size else 0 for n, size in zip(self.draws.tolist(), self.sizes.tolist(), strict=True)
        ]
        firsts = np.array(befores, dtype=np.int64) - (self._last_places - self.draws)
        turn = (firsts[part] + places) % self.sizes[part]
        return np.asarray((self.stops - self.sizes)[part] + turn * self._strides[part] % self.sizes[part])


def _checked(weights: Sequence[float], wanted: int) -> NDArray[np.float64]:
    found = np.asarray(weights, dtype=np.float64)
    if found.shape != (wanted,):
        raise LogError(f"weights must be {wanted} numbers, one for each dataset, got {list(weights)}")
    if not np.isfinite(found).all() or (found < 0).any() or found.sum() <= 0:
        raise LogError(f"weights must be 0 or more, and one above 0, got {list(weights)}")
    return np.asarray(found / found.sum())


def _stride(size: int) -> int:
    """Returns a step through a part that comes to each frame once, and is never near where it was."""
    step = max(round(size * _GOLDEN), 1)
    while gcd(step, size) > 1:
        step += 1
    return step
