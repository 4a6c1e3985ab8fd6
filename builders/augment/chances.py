"""What a draw does to the points of lidars, beside moving them: which are dropped, and in which order they come."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import LidarSweep

from ..sample import Draw

__all__ = ["NONE", "PIECE", "Chances", "in_order"]

PIECE = 512
"""Points that stay neighbours when a cloud is shuffled: as many as kernels read at once, a few degrees of a scan. The
pieces of all sweeps come in any order, and so do the points of each: points that move alike are moved together, and
their memory is near. To read 347 200 rows of five numbers so takes 1.2 ms, in their order 1.0, with any point anywhere
2.6."""

_BEFORE_WORDS = 2**63


@dataclass(frozen=True, eq=False)
class Chances:
    """Of one sample."""

    key: int = 0
    """Of the draw: 64 bits, from which it follows which points of which record are dropped."""
    below: int = 0
    """Of 2**32 points so many are dropped."""
    shuffled_by: Draw | None = None
    """The draw that shuffles; None: points keep their order."""

    @classmethod
    def of(cls, draw: Draw, drop_points: tuple[float, float] | None, shuffle_points: bool) -> Chances:
        """drop_points: the share, from and to."""
        shuffled_by = draw if shuffle_points else None
        if drop_points is None:
            return cls(shuffled_by=shuffled_by)
        random = draw.random("drop_points")
        key, share = random.bytes(8), random.uniform(*drop_points)
        return cls(int.from_bytes(key, "little"), round(share * 2**32), shuffled_by)

    @property
    def picks(self) -> bool:
        """Whether anything happens."""
        return self.below > 0 or self.shuffled_by is not None

    def drop_of(self, sweep: LidarSweep) -> tuple[int, int]:
        """Returns what kernels take of a record, key and below: the same for whoever reads the record, and another for
        each time and sensor."""
        if not self.below:
            return 0, 0
        whose = f"{sweep.time_ns} {sweep.sensor}".encode()
        digest = hashlib.blake2b(whose, digest_size=8, key=self.key.to_bytes(8, "little")).digest()
        return int.from_bytes(digest, "little") % _BEFORE_WORDS, self.below

    def order(self, sizes: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Returns the pieces (P, 3) of records of these sizes, each (record, start, number of points), in the order in
        which they come, and a word (P,) by which the points of each are shuffled, 0: not at all; int64."""
        pieces, words = in_order(sizes)
        if self.shuffled_by is not None:
            random = self.shuffled_by.random("shuffle_points")
            words = random.integers(1, _BEFORE_WORDS, len(pieces))
            pieces = np.ascontiguousarray(pieces[random.permutation(len(pieces))])
        return pieces, words


NONE = Chances()
"""Nothing happens."""


def in_order(sizes: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the pieces of records, and words, as `Chances.order`, as they were recorded."""
    starts = [np.arange(0, size, PIECE) for size in sizes]
    pieces = np.zeros((sum(map(len, starts)), 3), np.int64)
    if len(pieces):
        pieces[:, 0] = np.repeat(np.arange(len(sizes)), [len(own) for own in starts])
        pieces[:, 1] = np.concatenate(starts)
        pieces[:, 2] = np.minimum(PIECE, np.array(sizes)[pieces[:, 0]] - pieces[:, 1])
    return pieces, np.zeros(len(pieces), np.int64)
