"""Sweeps that go straight into the rows of a tensor."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .augment.chances import PIECE
from .columns import HALVES, INTENSITY_MODES, Move, Recorded, Rules, tables_of_moves
from .kernels import rows as kernels
from .split import split
from .stage import Stages

__all__ = ["Rows"]

_PIECE = 16_384
"""Points whose places in the tensor are known before any is written; threads begin at such pieces."""

_PAST_CACHES_BYTES = 2**21
"""For a tensor larger than any second-level cache: it is written past the caches, which then need not read what was
there before: 0.55 ms for 7 MB, and 1.04 with reading it afterwards, against 0.92 and 1.21."""


class _Work:
    """What one thread works with."""

    def __init__(self) -> None:
        self.points = np.zeros(kernels.WORK, np.float32)
        self.times = np.zeros(kernels.STEP, np.int64)
        self.rows = np.zeros(PIECE, np.int32)
        self.packed = np.zeros(kernels.PACKED, np.float32)


class Rows:
    """The points of sweeps that nothing but one tensor needs: no columns of them are written and read again."""

    def __init__(self, stages: Stages) -> None:
        self._stages = stages
        self._works: list[_Work] = []
        self._sweeps: Sequence[tuple[Recorded, Move, int]] = ()
        self._rules = Rules()
        self._drops = False
        """Whether points of the last frame were dropped: then some of this one will be, most likely."""
        self.n = 0
        """How many points there are; before they are counted or written, how many there can be."""
        self.nonfinite = 0
        """Points that were dropped because they were not finite, once they are counted or written."""
        self.dropped = 0
        """Points that a draw dropped, likewise."""

    def take(self, sweeps: Sequence[tuple[Recorded, Move, int]], rules: Rules) -> None:
        """Takes the points of the sweeps, as Columns.load does; of coordinates that float32 holds."""
        self._sweeps, self._rules = sweeps, rules
        self._chances = rules.chances_of([recorded for recorded, _, _ in sweeps])
        if rules.chances.shuffled_by is not None:
            self._pieces, self._words = rules.chances.order([len(recorded.sweep) for recorded, _, _ in sweeps])
        else:
            pieces = []
            for k, (recorded, _, _) in enumerate(sweeps):
                n = len(recorded.sweep)
                pieces += [(k, start, min(_PIECE, n - start)) for start in range(0, n, _PIECE)]
            self._pieces = np.array(pieces, dtype=np.int64).reshape(-1, 3)
            self._words = np.zeros(len(pieces), np.int64)
        self._columns = np.array([recorded.numbers for recorded, _, _ in sweeps], np.int64).reshape(-1, 6, 3)
        self._closes = np.array([rules.close_of(recorded) for recorded, _, _ in sweeps], np.float32)
        self._sizes = self._pieces[:, 2].tolist()
        self._counted = False
        self.n, self.nonfinite, self.dropped = sum(self._sizes), 0, 0

    def count(self) -> None:
        """Counts the points that are kept, where their number is needed before they are written."""
        kept, rules = np.zeros(len(self._sizes), np.int64), self._rules
        lost: list[tuple[int, int]] = []

        def run(own: slice) -> None:
            with self._work() as work:
                given: list[Any] = [self._pieces[own], self._words[own], self._columns, self._chances, self._closes]
                given += [rules.drop_intensity, HALVES, work.points, work.rows, kept[own]]
                lost.append(kernels.count(*given))

        self._stages.each(run, self._shares())
        self._sizes, self._counted = kept.tolist(), True
        self.n, (self.nonfinite, self.dropped) = sum(self._sizes), np.sum(lost, axis=0, dtype=int).tolist() or (0, 0)

    def write(self, picks: NDArray[np.int64], out: NDArray[np.float32]) -> int:
        """Writes the first len(out) points that were taken, and lets go of the sweeps; `n` is known then.

        Returns how many rows it has written to, those included that were moved up afterwards. picks: the columns of a
        row. out: (rows, len(picks)), C-contiguous.
        """
        if not self._counted and (len(out) < self.n or (self._drops and len(self._shares()) > 1)):
            # several threads must know where to begin
            self.count()
        sweeps, self._sweeps = self._sweeps, ()
        given = [self._columns, self._chances, *tables_of_moves(sweeps), self._closes, self._rules.drop_intensity]
        given += [INTENSITY_MODES[self._rules.intensity_mode], picks, HALVES]
        past_caches = out.nbytes >= _PAST_CACHES_BYTES
        flat, width, begins = out.reshape(-1), len(picks), [0, *accumulate(self._sizes)]
        shares = self._shares()
        written = [(0, 0, 0)] * len(shares)

        def run(number: int) -> None:
            own = shares[number]
            rows = flat[begins[own.start] * width : begins[own.stop] * width]
            with self._work() as work:
                own_work = [work.points, work.times, work.packed, work.rows]
                every: list[Any] = [self._pieces[own], self._words[own], *given, *own_work, past_caches, rows]
                written[number] = kernels.load_rows(*every)

        self._stages.each(run, range(len(shares)))
        ends = [begins[own.start] + rows for own, (rows, _, _) in zip(shares, written, strict=True) if rows]
        touched = max(ends, default=0)
        if not self._counted:
            self.n, self.nonfinite = 0, sum(bad for _, bad, _ in written)
            self.dropped = sum(dropped for _, _, dropped in written)
            for own, (rows, _, _) in zip(shares, written, strict=True):
                begin = begins[own.start]
                if begin != self.n:
                    out[self.n : self.n + rows] = out[begin : begin + rows]
                self.n += rows
        self._drops = self.n < sum(len(recorded.sweep) for recorded, _, _ in sweeps)
        return touched

    def _shares(self) -> list[slice]:
        """Splits the pieces among threads, so that each has about as many points."""
        ends = list(accumulate(self._sizes))
        shares = split(ends[-1], self._stages.threads) if ends else []
        bounds = sorted({0, *(bisect_left(ends, share.stop) + 1 for share in shares[:-1]), len(ends)})
        return [slice(a, b) for a, b in pairwise(bounds)]

    @contextmanager
    def _work(self) -> Iterator[_Work]:
        """What a thread works with, for as long as it does."""
        try:
            work = self._works.pop()
        except IndexError:
            work = _Work()
        yield work
        self._works.append(work)
