"""Points as columns of float32: the working form of every lidar kernel, and how a record becomes it."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from itertools import accumulate, pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from perceptum.features import Grid
from perceptum.features.lidar import PointColumn
from perceptum.inputs import LidarSweep

from .augment.chances import NONE, Chances
from .cells import LookAlong
from .kernels import cells
from .kernels import load as kernels
from .kernels.carry import carry, carry_pieces
from .kernels.record import ABSENT, BLOCK, FLOAT32, KINDS
from .scratch import Scratch, address
from .split import split
from .stage import Stages

__all__ = ["HALVES", "INTENSITY_MODES", "LATER", "STAY", "Column", "Columns", "Move", "Recorded", "Rules", "Work"]
__all__ += ["tables_of_moves"]


class Column(IntEnum):
    """The rows of a column block."""

    X = 0
    Y = 1
    Z = 2
    INTENSITY = 3
    TIME_LAG = 4
    RING = 5
    ELONGATION = 6
    RETURN_INDEX = 7
    RANK = 8
    """The ring's rank by elevation, 0 highest; -1 where it is not known."""
    OFFSET_NS = 9
    HEIGHT_ABOVE_GROUND = 10
    SEMANTIC = 11
    """The code of its class, by the log's labels of points; -1 where the sweep has none."""
    INSTANCE = 12

    @classmethod
    def picks(cls, names: tuple[PointColumn, ...]) -> NDArray[np.int64]:
        """Returns the rows of columns by their names in a spec."""
        return np.array([cls[name.upper()] for name in names], dtype=np.int64)


_FROM_RECORD = (Column.X, Column.Y, Column.Z, Column.INTENSITY)
_WITH_XYZ = (Column.INTENSITY, Column.TIME_LAG, Column.RING)

LATER = frozenset(Column) - {Column.X, Column.Y, Column.Z, *_WITH_XYZ}
"""Columns that few ask for: they come in passes of their own, so that the others lose no time."""

_PASSES = (
    (Column.ELONGATION, Column.RETURN_INDEX),
    (Column.RANK, Column.OFFSET_NS),
    (Column.SEMANTIC, Column.INSTANCE),
)
_BY_TABLE = (Column.RANK, Column.SEMANTIC)
"""First columns of a pass that are looked up in a table, and are -1 where it does not know them."""
_NO_RANKS = np.zeros(0, np.int32)

HALVES = np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float32)
"""What each float16 is worth."""

_COARSE = {KINDS[np.dtype(kind)] for kind in (np.uint8, np.uint16, np.float16, np.float32)}
"""What float32 holds to the last bit."""

_KIND_OF = {dtype.str: (kind, dtype.itemsize) for dtype, kind in KINDS.items()}
"""A column's dtype, as numpy writes it -> kind and bytes."""

INTENSITY_MODES = {"raw": kernels.RAW, "unit": kernels.UNIT, "tanh": kernels.TANH}


@dataclass(frozen=True, eq=False)
class Rules:
    """What is dropped, and what happens to intensity."""

    close_m: float = 0.0
    """A point with |x| and |y| below this, in its sensor's frame, is dropped."""
    drop_intensity: bool = False
    """Whether a point whose intensity is not finite is dropped."""
    intensity_mode: Literal["raw", "unit", "tanh"] = "raw"
    chances: Chances = NONE
    """What a draw does: which points it drops first of all, as if the record did not have them, and their order."""

    def close_of(self, recorded: Recorded) -> float:
        """Returns `close_m`, or 0 for a sweep whose close points stay."""
        return 0.0 if recorded.keeps_close else self.close_m

    def chances_of(self, several: Sequence[Recorded]) -> NDArray[np.int64]:
        """Returns (S, 2) int64, which points of each record a draw drops: key and below, as kernels take them."""
        found = np.zeros((len(several), 2), np.int64)
        if self.chances.below:
            found[:] = [self.chances.drop_of(recorded.sweep) for recorded in several]
        return found


@dataclass(frozen=True, eq=False)
class Move:
    """How a sweep's points come to where they are wanted."""

    how: int
    """kernels.STAY, SHIFT, MOVE or EACH."""
    knots: NDArray[np.float64]
    """(k, 3, 4): one transform, or for EACH one every `step_ns` from `first_ns` after the sweep's stamp."""
    first_ns: int = 0
    step_ns: float = 1.0

    def __post_init__(self) -> None:
        # a log's transforms may be read-only, for which numba would compile every kernel once more
        object.__setattr__(self, "knots", np.array(self.knots, dtype=np.float64))


STAY = Move(kernels.STAY, np.zeros((1, 3, 4)))


class Work:
    """What one thread works with."""

    def __init__(self) -> None:
        self._xyz = {kind: np.zeros((3, BLOCK), kind) for kind in (np.float32, np.float64)}
        self.values = np.zeros((2, BLOCK), np.float32)
        self.times = np.zeros(BLOCK, np.int64)
        self.rows = np.zeros(BLOCK, np.int32)

    def xyz(self, recorded: Recorded) -> NDArray[Any]:
        """(3, BLOCK) of a dtype that holds the record's coordinates to the last bit."""
        return self._xyz[np.float64 if recorded.is_fine else np.float32]


_Pass = tuple[NDArray[np.int64], Column, Column, bool, NDArray[np.int32]]


class _Passes:
    """The same pass of several records."""

    def __init__(self, of_records: Sequence[_Pass]) -> None:
        _, self.first, self.second, self.by_rank, _ = of_records[0]
        self.places = np.array([places for places, *_ in of_records], np.int64)
        tables = [ranks for *_, ranks in of_records]
        self.ranks = np.concatenate(tables)
        self.ends = np.array([0, *accumulate(map(len, tables))], np.int64)


class Recorded:
    """A sweep's columns where they lie, for kernels: address, stride in bytes and kind of each."""

    def __init__(self, sweep: LidarSweep, with_times: bool, with_ring: bool = True) -> None:
        self.sweep = sweep
        self.with_times = with_times and sweep.offset_ns is not None
        self.keeps_close = False
        """Whether close points of this sweep stay, whatever the rules say."""
        self._columns: list[NDArray[Any] | None] = []
        """Kept alive with the addresses."""
        self.numbers: list[int] = []
        """Address, stride in bytes and kind of each column, in the kernels' order."""
        for column in (sweep.x, sweep.y, sweep.z):
            self._add(column, np.float64)
        self._add(sweep.intensity, np.float32)
        self._add(sweep.ring if with_ring else None, np.float32)
        self._add(sweep.offset_ns if with_times else None, np.int64)
        # float32 holds 24 bits of a number
        self.is_fine = not _COARSE.issuperset(self.numbers[2:9:3])

    def _add(self, column: NDArray[Any] | None, otherwise: type[np.generic]) -> None:
        """Adds a column as it is, or a copy where kernels cannot read it: rare dtypes, foreign byte orders, odd
        addresses."""
        place = (0, 0, ABSENT)
        if column is not None:
            # all that is asked at once, which takes as long as any of it
            lies = column.__array_interface__
            kind, size = _KIND_OF.get(lies["typestr"], (ABSENT, 1))
            at, (stride,) = lies["data"][0], lies["strides"] or (size,)
            if kind == ABSENT or at % size or stride % size:
                # a long double beyond float64 becomes infinite, and is dropped as such
                with np.errstate(over="ignore", invalid="ignore"):
                    column = column.astype(otherwise)
                at, stride, kind = address(column), column.itemsize, KINDS[column.dtype]
            place = (at, stride, kind)
        self._columns.append(column)
        self.numbers += place

    def carrying(self, first: Column, second: Column) -> _Pass:
        """Returns what `carry` takes to fetch two columns that few ask for, in the places of ring and offset."""
        passengers: tuple[NDArray[Any] | None, NDArray[Any] | None]
        if first == Column.RANK:
            passengers, table = (self.sweep.ring, self.sweep.offset_ns), self.sweep.row_of_ring
        elif first == Column.SEMANTIC:
            codes = self.sweep.semantic
            passengers = (codes, self.sweep.instance)
            table = None if codes is None else np.arange(codes.max(initial=-1) + 1, dtype=np.int32)
        else:
            passengers, table = (self.sweep.elongation, self.sweep.return_index), None
        # a copy: for read-only arrays numba would compile the kernel once more
        ranks = _NO_RANKS if table is None else np.array(table, dtype=np.int32)
        # the coordinates and the intensity again: by them points are kept
        again, kept = self.places, self.numbers
        self.numbers = []
        self._add(passengers[0], np.float32)
        self._add(passengers[1], np.int64)
        again[4:], self.numbers = np.reshape(self.numbers, (2, 3)), kept
        return again, first, second, first in _BY_TABLE, ranks

    @property
    def places(self) -> NDArray[np.int64]:
        """(6, 3) int64: `numbers`, a row for each column."""
        return np.array(self.numbers, dtype=np.int64).reshape(6, 3)

    @property
    def copies(self) -> list[NDArray[Any]]:
        """The columns that are not the record's own: who uses `places` when this is gone keeps them."""
        recorded = {id(column) for column in vars(self.sweep).values()}
        return [column for column in self._columns if column is not None and id(column) not in recorded]

    def lies(self, column: int) -> bool:
        """Whether kernels can read x, y, z or intensity where it was recorded, and as it is."""
        kind = self.numbers[3 * column + 2]
        return kind == FLOAT32 and self._columns[column] is getattr(self.sweep, _FROM_RECORD[column].name.lower())

    def span_ns(self, rules: Rules, work: Work) -> tuple[int, int] | None:
        """Returns the first and the last offset of the points that are kept; None where none is."""
        if len(self.sweep) == 0:
            return None
        args = (rules.close_of(self), rules.drop_intensity, HALVES, work.xyz(self), work.values, work.times)
        first, last, kept = kernels.span(self.places, len(self.sweep), *args, work.rows)
        return (first, last) if kept else None


@dataclass
class _Part:
    """What one thread loads: pieces (sweep, start, number of points) of the sweeps, and where it puts them."""

    work: Work
    at: int
    backwards: bool = False
    pieces: list[tuple[int, int, int]] = field(default_factory=list)
    shuffled: slice = field(default_factory=lambda: slice(0, 0))
    """In place of those, of all pieces that a draw has ordered."""
    end: int = 0
    nonfinite: int = 0
    dropped: int = 0
    kept: dict[int, int] = field(default_factory=dict)
    """Sweep -> how many of its points."""


class Columns:
    """A growing block of columns that is kept from frame to frame. Only `wanted` ones are filled."""

    def __init__(self, stages: Stages) -> None:
        self.wanted = {Column.X, Column.Y, Column.Z}
        self._stages = stages
        self._block = Scratch(np.float32, rows=len(Column))
        self._grids: list[Grid] = []
        self._grid_arrays = _grid_arrays(())
        self._ids = Scratch(np.int32, rows=0)
        self._along: weakref.WeakMethod[LookAlong] | None = None
        self.load_number = 0
        """Counts the frames."""
        self._works: list[Work] = []
        self._first = 0
        self._lying = np.zeros((len(Column), 2), np.int64)
        self.ends: Sequence[int] = ()
        """Where each sweep's points end: those of sweep k are [ends[k - 1], ends[k]); empty where they are shuffled."""
        self._stays = 0
        """How many of the first columns lie there."""
        self._left: weakref.ref[LidarSweep] | None = None
        """The record in which some columns lie. Weak: a lane that waits for its next frame keeps no record alive."""
        self.n = 0
        self.nonfinite = 0
        """Points that were dropped because they were not finite."""
        self.dropped = 0
        """Points that a draw dropped."""

    def __repr__(self) -> str:
        return f"<Columns: {self.n} points of {' '.join(column.name.lower() for column in sorted(self.wanted))}>"

    @property
    def lying(self) -> NDArray[np.int64]:
        """(6, 2) int64: address and stride in bytes of each column, float32: in our block, or where it was recorded."""
        assert self._left is None or self._left() is not None, "asked outside of a build"
        return self._lying

    @property
    def values(self) -> NDArray[np.float32]:
        """(6, n) float32, of which only wanted columns are filled. Kernels take `lying`, which copies nothing."""
        block = self._block.array[:, self._first : self._first + self.n]
        sweep = None if self._left is None else self._left()
        for column in _FROM_RECORD[: self._stays] if sweep is not None else ():
            block[column] = getattr(sweep, column.name.lower())
        return block

    @property
    def nbytes(self) -> int:
        return self._block.array.nbytes + self._ids.array.nbytes

    def want(self, columns: Iterable[PointColumn]) -> None:
        """Says at planning time which columns are needed; the others are left alone."""
        self.wanted.update(Column[name.upper()] for name in columns)

    def want_cells(self, grid: Grid) -> int:
        """Says at planning time that the points' cells of a grid are needed, as `cells`; returns the grid's number."""
        self._grids.append(grid)
        self._grid_arrays = _grid_arrays(self._grids)
        self._ids = Scratch(np.int32, rows=len(self._grids))
        return len(self._grids) - 1

    def look_along(self, work: LookAlong) -> None:
        """Says at planning time who wants to look at points that lie where they were recorded. The first who says so
        does, if only one grid's cells are wanted."""
        # weak: its stage knows this one
        self._along = self._along or weakref.WeakMethod(work)

    def cells(self, number: int) -> NDArray[np.int32]:
        """(n,) int32: which cell of the grid of that number each point lies in, as kernels.cells says; -1 outside."""
        return self._ids.array[number, self._first : self._first + self.n]

    def work(self, number: int = 0) -> Work:
        """Returns what the thread of that number works with."""
        while len(self._works) <= number:
            self._works.append(Work())
        return self._works[number]

    def own(self, column: Column) -> NDArray[np.float32]:
        """(n,) float32: a column in our block, to be written by whoever works it out."""
        return self._block.array[column, self._first : self._first + self.n]

    def load(self, sweeps: Sequence[tuple[Recorded, Move, int]], rules: Rules, *, to_change: bool = False) -> None:
        """Takes the points of the sweeps, in their order. Each comes with how it is moved, and its age in ns.

        to_change: x, y, z will be written to, so they must lie in our block.
        """
        self.load_number += 1
        self.dropped = 0
        if rules.chances.shuffled_by is not None:
            self._load_shuffled(sweeps, rules)
            return
        apart = to_change or not self.wanted.isdisjoint(LATER) or rules.chances.picks
        if apart or not self._leave(sweeps, rules):
            self._load(sweeps, rules, self._flags(with_xyz=True))

    def _flags(self, *, with_xyz: bool) -> NDArray[np.bool_]:
        """(4,): which of intensity, time lag, ring and x, y, z are to be written."""
        return np.array([*(column in self.wanted for column in _WITH_XYZ), with_xyz])

    def _leave(self, sweeps: Sequence[tuple[Recorded, Move, int]], rules: Rules) -> bool:
        """Leaves x, y, z where they lie, and intensity too if it stays as it is; returns whether that is possible.

        Where nothing moves the points of the only sweep and all are kept, it saves writing them: half of the time.
        """
        if len(sweeps) != 1 or sweeps[0][1].how != kernels.STAY:
            return False
        recorded = sweeps[0][0]
        if len(recorded.sweep) == 0 or not (recorded.lies(0) and recorded.lies(1) and recorded.lies(2)):
            return False
        flags, stays = self._flags(with_xyz=False), 3
        as_it_is = rules.intensity_mode == "raw" or (rules.intensity_mode, recorded.sweep.intensity_scale) == (
            "unit",
            1,
        )
        if flags[0] and as_it_is and recorded.lies(3):
            flags[0], stays = False, 4
            # what is not finite becomes 0, and cannot stay
            rules = replace(rules, drop_intensity=True)
        if flags.any() or not self._look(recorded, rules):
            self._load(sweeps, rules, flags)
        if self.n != len(recorded.sweep):
            return False
        self.ends = (self.n,)
        self._lying[:stays] = recorded.places[:stays, :2]
        self._left, self._stays = weakref.ref(recorded.sweep), stays
        return True

    def _look(self, recorded: Recorded, rules: Rules) -> bool:
        """Only looks at a record whose points all stay where they lie; returns whether it is of that kind."""
        looked_at = 4 if rules.drop_intensity and recorded.sweep.intensity is not None else 3
        side_by_side = (recorded.places[:looked_at, 1:] == (4, FLOAT32)).all()
        if rules.close_of(recorded) > 0 or not side_by_side:
            return False
        n, with_intensity = len(recorded.sweep), looked_at == 4
        self._block.reserve(n)
        ids, parts = self._ids.reserve(n), split(n, self._stages.threads)
        along = self._along() if self._along is not None and len(self._grids) == 1 else None
        if along is not None:
            self._left = None
            self._lying[:looked_at] = recorded.places[:looked_at, :2]
            done = along((recorded.places, with_intensity, *self._grid_arrays), ids[:, :n], self.load_number)
            if done is not None:
                self.n, self.nonfinite, self._first = n, 0, 0
                return done
        stays = [False] * len(parts)

        def look(part: int) -> None:
            own = parts[part]
            where = (recorded.places, own.start, own.stop - own.start, with_intensity, kernels.FAR)
            stays[part] = cells.look(*where, *self._grid_arrays, ids)

        self._stages.each(look, range(len(parts)))
        if not all(stays):
            return False
        self.n, self.nonfinite, self._first, self._left = n, 0, 0, None
        return True

    def _load(self, sweeps: Sequence[tuple[Recorded, Move, int]], rules: Rules, flags: NDArray[np.bool_]) -> None:
        sizes = [len(recorded.sweep) for recorded, _, _ in sweeps]
        block, ids = self._block.reserve(sum(sizes)), self._ids.reserve(sum(sizes))
        parts = self._parts(sizes)
        mode, passes = INTENSITY_MODES[rules.intensity_mode], self._passes(sweeps)
        chances = rules.chances_of([recorded for recorded, _, _ in sweeps]).tolist()

        def run(part: _Part) -> None:
            work, part.end = part.work, part.at
            for number, start, n in reversed(part.pieces) if part.backwards else part.pieces:
                recorded, move, lag_ns = sweeps[number]
                close_m = rules.close_of(recorded)
                points: list[Any] = [recorded.places, start, n, *chances[number], 0]
                points += [part.backwards, close_m, rules.drop_intensity]
                points += [mode, recorded.sweep.intensity_scale, lag_ns]
                points += [move.how, move.knots, move.first_ns, move.step_ns, flags]
                points += [HALVES, work.xyz(recorded), work.values, work.times, work.rows]
                points += [part.end, block, *self._grid_arrays, ids]
                before = part.end
                part.end, nonfinite, dropped = kernels.load(*points)
                part.nonfinite += nonfinite
                part.dropped += dropped
                part.kept[number] = abs(part.end - before)
                for places, first, second, by_rank, ranks in passes[number]:
                    given: list[Any] = [places, start, n, *chances[number], 0, close_m, rules.drop_intensity]
                    given += [by_rank, ranks, HALVES, work.xyz(recorded), work.values, work.times, work.rows]
                    given += [min(before, part.end)]
                    given += [block[first], block[second]]
                    carry(*given)

        self._stages.each(run, parts)
        self.ends = tuple(accumulate(sum(part.kept.get(k, 0) for part in parts) for k in range(len(sweeps))))
        self._finish(parts, block, ids)

    def _load_shuffled(self, sweeps: Sequence[tuple[Recorded, Move, int]], rules: Rules) -> None:
        """As `_load`, piece by piece in the order that a draw says, whatever the threads."""
        several = [recorded for recorded, _, _ in sweeps]
        pieces, words = rules.chances.order([len(recorded.sweep) for recorded in several])
        total = int(pieces[:, 2].sum())
        block, ids = self._block.reserve(total), self._ids.reserve(total)
        columns = np.array([recorded.numbers for recorded in several], np.int64).reshape(-1, 6, 3)
        chances = rules.chances_of(several)
        closes = np.array([rules.close_of(recorded) for recorded in several], np.float64)
        tables, flags = tables_of_moves(sweeps), self._flags(with_xyz=True)
        passes = [_Passes(own) for own in zip(*self._passes(sweeps), strict=True)]
        widest = next((recorded for recorded in several if recorded.is_fine), several[0] if several else None)

        def run(part: _Part) -> None:
            work, own = part.work, (pieces[part.shuffled], words[part.shuffled])
            if widest is None or len(own[0]) == 0:
                part.end = part.at
                return
            scratch = [HALVES, work.xyz(widest), work.values, work.times, work.rows]
            given: list[Any] = [*own, columns, chances, *tables, closes, part.backwards, rules.drop_intensity]
            given += [INTENSITY_MODES[rules.intensity_mode], flags, *scratch, part.at]
            given += [block, *self._grid_arrays, ids]
            part.end, part.nonfinite, part.dropped = kernels.load_pieces(*given)
            for one in passes:
                given = [*own, one.places, chances, closes, rules.drop_intensity, one.by_rank, one.ranks, one.ends]
                given += [*scratch, min(part.at, part.end), block[one.first], block[one.second]]
                carry_pieces(*given)

        parts = self._shuffled_parts(np.cumsum(pieces[:, 2]), total)
        self._stages.each(run, parts)
        self.ends = ()
        self._finish(parts, block, ids)

    def _shuffled_parts(self, ends: NDArray[np.int64], total: int) -> list[_Part]:
        """Splits the pieces among threads. The first part is filled backwards, as in `_parts`. ends: of each piece."""
        stops = [own.stop for own in split(total, self._stages.threads)]
        bounds = [0, *np.searchsorted(ends, stops[:-1], side="right").tolist(), len(ends)]
        begins = [0, *ends.tolist()]
        parts = [_Part(self.work(k), begins[a], shuffled=slice(a, b)) for k, (a, b) in enumerate(pairwise(bounds))]
        if len(parts) > 1:
            parts[0].backwards, parts[0].at = True, begins[bounds[1]]
        return parts

    def _finish(self, parts: Sequence[_Part], block: NDArray[np.float32], ids: NDArray[np.int32]) -> None:
        """Notes what was loaded, once it lies without a gap."""
        self.nonfinite = sum(part.nonfinite for part in parts)
        self.dropped = sum(part.dropped for part in parts)
        self._first, end = _close_gaps(parts, (block, ids))
        self.n = end - self._first
        self._left = None
        self._lying[:, 0] = address(block) + block.strides[0] * np.arange(len(Column)) + 4 * self._first
        self._lying[:, 1] = 4

    def _passes(self, sweeps: Sequence[tuple[Recorded, Move, int]]) -> list[list[_Pass]]:
        """For each sweep the passes that fetch the columns that few ask for, two at a time."""
        wanted = [own for own in _PASSES if not self.wanted.isdisjoint(own)]
        return [[recorded.carrying(*own) for own in wanted] for recorded, _, _ in sweeps]

    def _parts(self, sizes: Sequence[int]) -> list[_Part]:
        """Splits the points among threads. The first part is filled backwards, so that two meet without a gap."""
        bounds = split(sum(sizes), self._stages.threads)
        parts = [_Part(self.work(k), at=own.start) for k, own in enumerate(bounds)]
        if len(parts) > 1:
            parts[0].backwards, parts[0].at = True, bounds[0].stop
        begins = 0
        for number, size in enumerate(sizes):
            for own, part in zip(bounds, parts, strict=True):
                low, high = max(own.start, begins), min(own.stop, begins + size)
                if low < high:
                    part.pieces.append((number, low - begins, high - low))
            begins += size
        return parts


def _close_gaps(parts: Sequence[_Part], blocks: Sequence[NDArray[Any]]) -> tuple[int, int]:
    """Returns where the points begin and end, after the parts behind the second were moved up."""
    first, *others = parts
    if not first.backwards:
        return 0, first.end
    end = first.at
    for part in others:
        if part.at != end:
            for block in blocks:
                block[:, end : end + part.end - part.at] = block[:, part.at : part.end]
        end += part.end - part.at
    return first.end, end


def _grid_arrays(grids: Sequence[Grid]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """(G, 3) each: the grids' lower edges and cells' edges, float32, and sizes, int64."""
    lows = np.array([grid.range[:3] for grid in grids], dtype=np.float32).reshape(-1, 3)
    voxels = np.array([grid.voxel for grid in grids], dtype=np.float32).reshape(-1, 3)
    sizes = np.array([grid.size for grid in grids], dtype=np.int64).reshape(-1, 3)
    return lows, voxels, sizes


def tables_of_moves(sweeps: Sequence[tuple[Recorded, Move, int]]) -> list[Any]:
    """(S, 5) int64, (S, 2) float64 and (K, 3, 4) float64: how sweeps are moved, as kernels take it."""
    moves, scales, first = [], [], 0
    for recorded, move, lag_ns in sweeps:
        last = first + len(move.knots) - 1
        moves.append((move.how, first, last, move.first_ns, lag_ns))
        scales.append((move.step_ns, recorded.sweep.intensity_scale))
        first = last + 1
    knots = np.concatenate([*(move.knots for _, move, _ in sweeps), STAY.knots])
    return [np.array(moves, np.int64).reshape(-1, 5), np.array(scales, np.float64).reshape(-1, 2), knots]
