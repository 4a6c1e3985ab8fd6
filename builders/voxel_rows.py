"""Which voxels there are, and which point goes where: found by one thread, or by several who share the voxels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features import Grid

from .cells import Looking
from .kernels import voxel_chain as chain
from .kernels import voxels as kernels
from .scratch import Scratch, address
from .split import shares
from .voxel_sums import VoxelSums

__all__ = ["Placed", "VoxelRows"]

_DENSE_CELLS = 2**21
"""Up to here a table of all cells is quicker than hashing: 8 MB, of which a frame touches a small part."""
_WORD = 64
_FINAL = np.empty(0, np.int32)
_NO_SLOTS = np.empty(0, np.int64)
_NO_FIRSTS = np.empty(0, np.uint64)
_NOTHING = np.empty(0, np.int32)
_NOTHING_ELSE = (_NOTHING, _NO_FIRSTS, _NOTHING, _NO_SLOTS)
_NO_SUMS = [np.empty((0, 2), np.int64), 0, _NOTHING, 0]
_MOST = 2**31
"""What the tables hold is below."""

Each = Callable[[Callable[[int], object], Sequence[int]], None]

Placed = tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int32]]
"""Points that have a place; their slots, in an owner's rows or in all; and the numbers of the owner's rows among all,
empty where the slots are in all."""


class VoxelRows:
    """The rows of the voxels among some points, in the order in which they are first seen.

    owners: how many threads may share the voxels, each with memory of its own. A dense table is not shared: it stays
    in the cache, and one thread is as quick as several who must look at all points each.
    """

    with_points = False
    """Whether `assign` says each point's row, as `of_points`."""

    def __init__(self, grid: Grid, ids: np.dtype[Any], owners: int) -> None:
        self._cells = grid.cells
        self.is_dense = grid.cells <= _DENSE_CELLS
        owners = 1 if self.is_dense else owners
        self._table = Scratch(np.int32, rows=owners, fill=-1)
        self._is_clean = True
        self._base = 0
        """What is less in the tables is of earlier frames."""
        self._own_keys = Scratch(ids, rows=owners)
        self._own_counts = Scratch(np.int32, rows=owners)
        self._firsts = Scratch(np.uint64, rows=owners)
        self._chosen = Scratch(np.int32, rows=owners)
        self._slots = Scratch(np.int64, rows=owners)
        self._rows_of = Scratch(np.int32, rows=owners)
        self._sorted_ranks = Scratch(np.int32)
        self.ranks: NDArray[np.int32] = _FINAL
        """(n,) where the rows in the order in which they are first seen are now; empty where they are in it."""
        self._together = Scratch(np.uint64)
        self._ranks = Scratch(np.int32)
        self._all_keys = Scratch(ids)
        self._all_counts = Scratch(np.int32)
        self._of_points = Scratch(np.int32)
        self._found = np.zeros((owners, 3), np.int64)
        self._by_chunk = Scratch(np.int64)
        self._turns = np.zeros(kernels.TURNS, np.int64)
        self.n = 0
        self.lost = 0
        """Points left out, since their voxels got no row."""
        self.keys: NDArray[np.integer] = self._all_keys.array
        """(n,) the cell of each row."""
        self.of_points: NDArray[np.int32] = _NOTHING
        """(points,) the row of each, -1 for none."""
        self._counts: NDArray[np.int32] | None = None
        self.placed: list[Placed] = []
        """In parts, for threads."""

    @property
    def nbytes(self) -> int:
        return sum(part.array.nbytes for part in vars(self).values() if isinstance(part, Scratch))

    @property
    def is_shared(self) -> bool:
        """Whether several threads may find the rows."""
        return not self.is_dense and not self.with_points

    @property
    def counts(self) -> NDArray[np.int32]:
        """(n,) points seen per row, also beyond those that a voxel holds."""
        if self._counts is None:
            # places without a row are counted in front
            self._counts = np.bincount(self.of_points + 1, minlength=self.n + 1)[1:].astype(np.int32)
        return self._counts

    def assign(self, places_per_row: int, most: int, stop: bool, ids: NDArray[np.integer], parts: int = 1) -> None:
        """Gives the points' voxels rows, at most `most`, and the points places in them; `placed` has so many parts.

        places_per_row: later points of a row have no place. stop: at the first point that needs one row more.
        """
        size = self._prepare(most)
        table = self._table.array[0, :size]
        keys = self._own_keys.reserve(most + 1)[0]
        counts = self._own_counts.reserve(most + 1)[0]
        points = [scratch.reserve(len(ids))[0] for scratch in (self._chosen, self._slots)]
        self.of_points = self._of_points.reserve(len(ids))[: len(ids)] if self.with_points else _NOTHING
        work: list[Any] = [ids, None, 1, places_per_row, most, stop, self._shift(size), table, address(table)]
        work += [self._base, keys, counts, _NO_FIRSTS, *points, self.of_points, 0]
        self.n, kept, self.lost = kernels.assign(*work)
        self._finish(self.n)
        self.keys, self._counts = keys[: self.n], counts[: self.n]
        self.placed = [(points[0][own], points[1][own], _FINAL) for own in shares(kept, parts)]

    def find(
        self,
        most: int,
        stop: bool,
        cells: NDArray[np.integer],
        looking: Looking | None = None,
        sums: Sequence[VoxelSums] = (),
        parts: int = 1,
        each: Each | None = None,
    ) -> bool:
        """As assign, where no point needs a place: `of_points` says each point's row, and nothing is counted.

        cells: (1, N), which are found first if it is said how; returns False if a point was refused then. parts: of
        `placed`; with more than one, threads of `each` do it, and add up the first of the sums that are usual, too: one
        thread does that as quickly later, where they are to go.
        """
        size, n = self._prepare(most), cells.shape[1]
        table = self._table.array[0, :size]
        keys = self._own_keys.reserve(most + 1)[0]
        self.of_points = self._of_points.reserve(n)[:n]
        usual: list[Any] | None = None
        for one in sums:
            usual_of_one = one.usual_work(most) if usual is None and parts > 1 else None
            one.are_there, usual = usual_of_one is not None, usual or usual_of_one
        self._turns[:], self._found[0] = 0, 0
        work: list[Any] = [looking, cells, most, stop, self._shift(size), table, address(table), self._base]
        work += [keys, _NOTHING_ELSE, self.of_points, usual is not None, *(usual or _NO_SUMS)]
        by_chunk = self._by_chunk.reserve(n // chain.CHUNK + 1)
        work += [by_chunk, self._found[0], address(self._turns)]
        if parts == 1 or each is None:
            chain.chain(*work)
        else:
            each(lambda _: chain.chain(*work), range(min(parts, 1 + (looking is not None) + (usual is not None))))
        self.n, self.lost, failed = self._found[0].tolist()
        self._finish(self.n)
        self.keys, self._counts = keys[: self.n], None
        self.placed = [(_FINAL, _NO_SLOTS, _FINAL)] * parts
        return not failed

    def assign_shared(self, places_per_row: int, most: int, ids: NDArray[np.integer], owners: int, each: Each) -> bool:
        """As assign, by so many threads; returns False where there are more voxels than `most`: that has an order."""
        # a quarter more than a fair share
        own_most = min(most, most * 5 // (4 * owners) + _WORD)
        size, words = self._prepare(own_most), -(-len(ids) // _WORD)
        keys, counts = (scratch.reserve(own_most + 1) for scratch in (self._own_keys, self._own_counts))
        firsts, rows_of = self._firsts.reserve(words), self._rows_of.reserve(own_most)
        chosen, slots = self._chosen.reserve(len(ids)), self._slots.reserve(len(ids))
        together, ranks = self._together.reserve(words)[:words], self._ranks.reserve(words)[:words]
        all_keys, all_counts = self._all_keys.reserve(most), self._all_counts.reserve(most)
        self._turns[:] = 0
        table = self._table.array
        work: list[Any] = [ids, owners, places_per_row, own_most, most, self._shift(size)]
        work += [table, address(table), size, self._base, keys, counts, firsts, chosen, slots, self._found]
        work += [together, ranks, rows_of, all_keys, all_counts, address(self._turns)]
        each(lambda _: kernels.assign_shared(*work), range(owners))
        found = self._found[:owners].tolist()
        self._finish(max(rows for rows, _, _ in found))
        self.n, self.lost = sum(rows for rows, _, _ in found), 0
        if self.n > most or any(lost for _, _, lost in found):
            return False
        self.keys, self._counts = all_keys[: self.n], all_counts[: self.n]
        self.placed = [
            (chosen[owner, :kept], slots[owner, :kept], rows_of[owner, :rows])
            for owner, (rows, kept, _) in enumerate(found)
        ]
        return True

    def sort(self, by: NDArray[np.integer]) -> None:
        """Puts the rows in ascending order of a number that each has."""
        order = np.argsort(by, kind="stable")
        ranks = self._sorted_ranks.reserve(self.n)[: self.n]
        ranks[order] = np.arange(self.n, dtype=np.int32)
        self.ranks = ranks
        self.keys, self._counts = self.keys[order], None if self._counts is None else self._counts[order]
        if len(self.of_points):
            inside = self.of_points >= 0
            self.of_points[inside] = ranks[self.of_points[inside]]
        self.placed = [
            (chosen, slots, ranks[numbers] if len(numbers) else ranks) for chosen, slots, numbers in self.placed
        ]

    def _prepare(self, most: int) -> int:
        """Makes the tables ready for so many rows in each; returns how many places of each are used."""
        if not self._is_clean or self._base + most >= _MOST:
            self._table.array.fill(-1)
            self._base = 0
        # what is interrupted from here on leaves rows in the table
        self._is_clean = False
        # a hash table is of a power of two, and at most a third full: 1.0 ms for 95 000 rows, half full 1.3
        size = self._cells if self.is_dense else 1 << max(10, (3 * most - 1).bit_length())
        self._table.reserve(size)
        return size

    def _finish(self, rows: int) -> None:
        """Leaves so many rows in the tables behind, where the next frame takes them for empty places."""
        self._base += rows
        self._is_clean = True
        self.ranks = _FINAL

    def _shift(self, size: int) -> np.uint64 | None:
        return None if self.is_dense else np.uint64(65 - size.bit_length())
