"""lidar_bev_stats."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features.lidar import BevStatsParams

from ..columns import Column
from ..kernels import bev as kernels
from ..kernels.tally import NBYTES
from ..sample import Sample
from ..scratch import Scratch
from ..split import is_much, shares
from ..stage import Clearing, Filler, Stages
from ..written import Written
from .bev import Placement
from .cells import Cells

__all__ = ["BevStats"]

_STATISTICS = {
    "count": kernels.OF_COUNT,
    "density": kernels.OF_DENSITY,
    "max_z": kernels.OF_MAX_Z,
    "min_z": kernels.OF_MIN_Z,
    "mean_z": kernels.OF_MEAN_Z,
    "max_i": kernels.OF_MAX_I,
    "mean_i": kernels.OF_MEAN_I,
    "top_i": kernels.OF_TOP_I,
    "var_z": kernels.OF_VAR_Z,
    "height_ratio": kernels.OF_HEIGHT_RATIO,
}
"""Those that one channel shows; slice_height has one for each slice."""


_OF_INTENSITY = frozenset(("max_i", "mean_i", "top_i"))


class _Part:
    """The columns of cells [begin, end): what one thread sums up."""

    def __init__(self, begin: int, end: int) -> None:
        self.begin, self.end = begin, end
        self._strips, self._slots, self._tops = (Scratch(np.int32) for _ in range(3))
        self._tallies, self._squares = (Scratch(np.float64) for _ in range(2))
        self._slices = Scratch(np.float32)
        self.used = 0

    @property
    def nbytes(self) -> int:
        kept = (self._strips, self._slots, self._tops, self._tallies, self._squares, self._slices)
        return sum(own.array.nbytes for own in kept)

    @property
    def strips(self) -> NDArray[np.int32]:
        return self._strips.array

    @property
    def slots(self) -> NDArray[np.int32]:
        """Which place each strip has among the tallies."""
        return self._slots.array

    @property
    def tallies(self) -> NDArray[np.float64]:
        return self._tallies.array

    @property
    def tops(self) -> NDArray[np.int32]:
        return self._tops.array

    @property
    def squares(self) -> NDArray[np.float64]:
        """How far the heights of each tally lie from their mean: the sum of squares."""
        return self._squares.array

    @property
    def slices(self) -> NDArray[np.float32]:
        """The heights of each strip that has tallies, slice by slice."""
        return self._slices.array

    def reserve(self, points: int, with_top: bool) -> None:
        """Makes room for the strips that so many points can lie in."""
        strips = min(points, -(-(self.end - self.begin) // kernels.STRIP))
        self._tallies.reserve(strips * kernels.STRIP * NBYTES // 8)
        self._tops.reserve(strips * kernels.STRIP if with_top else 0)
        self._strips.reserve(strips)
        self._slots.reserve(strips)

    def clear_squares(self) -> None:
        """Makes the squares of the tallies in use 0."""
        used = self.used * kernels.STRIP
        self._squares.reserve(used)[:used] = 0

    def clear_slices(self, slices: int) -> None:
        """Makes the heights of the strips in use 0."""
        used = self.used * kernels.STRIP * slices
        self._slices.reserve(used)[:used] = 0


class BevStats(Filler):
    def __init__(self, params: BevStatsParams, stages: Stages) -> None:
        super().__init__()
        self.title = f"column statistics ({params.channels_count()} channels)"
        self.cells = stages.share(Cells, params.cloud(), params.grid, False)
        self.needs = (self.cells,)
        # the kernels look at an intensity whatever they write: where none is wanted, that is z
        self._intensity = Column.INTENSITY if _OF_INTENSITY.intersection(params.channels) else Column.Z
        if self._intensity == Column.INTENSITY:
            self.cells.cloud.want(("intensity",))
        self.params: BevStatsParams = params
        self._stages = stages
        placement = Placement(params)
        self._place = np.array([placement.base, *placement.strides])
        channels_at = np.cumsum([0, *map(params.channels_of, params.channels)]) * placement.strides[2]
        at = dict(zip(params.channels, channels_at.tolist(), strict=False))
        plain = [name for name in params.channels if name in _STATISTICS]
        self._channels = params.channels_count()
        self._statistics = np.array([_STATISTICS[name] for name in plain], dtype=np.int64)
        self._channels_at = np.array([at[name] for name in plain], dtype=np.int64)
        self._slices = params.grid.size[2] if "slice_height" in at else 0
        self._slices_at = at.get("slice_height", 0)
        low, high = params.grid.range[2::3]
        self._heights = np.array([low, high - low], dtype=np.float32)
        counts = np.arange(params.density_cap + 1 if "density" in at else 1)
        density = np.minimum(1.0, np.log(counts + 1) / np.log(params.density_cap + 1))
        self._density = density.astype(np.float32)
        self._with_top, self._with_spread = "top_i" in params.channels, "var_z" in params.channels
        self._size_xy = placement.size_xy
        self._columns = int(self._size_xy.prod())
        self._table = np.full(-(-self._columns // kernels.STRIP), -1, np.int32)
        self._is_clean = True
        edges = [own.start * kernels.STRIP for own in shares(len(self._table), stages.threads)] + [self._columns]
        self._parts = [_Part(begin, end) for begin, end in pairwise(edges)]

    @property
    def nbytes(self) -> int:
        return self._table.nbytes + sum(part.nbytes for part in self._parts)

    def run(self, sample: Sample) -> None:
        self._clean()
        # what is interrupted from here on leaves rows in the table
        self._is_clean = False
        self._each_part(self._accumulate)
        self._is_clean = True

    def _clean(self) -> None:
        if not self._is_clean:
            self._table.fill(-1)
        for part in self._parts:
            if self._is_clean:
                kernels.forget(part.strips[: part.used], self._table)
            part.used = 0

    def _each_part(self, work: Callable[[_Part], None]) -> None:
        if is_much(len(self.cells.ids), self._stages.threads):
            self._stages.each(work, self._parts)
        else:
            for part in self._parts:
                work(part)

    def _accumulate(self, part: _Part) -> None:
        ids, lying = self.cells.ids, self.cells.cloud.points.lying
        part.reserve(len(ids), self._with_top)
        points = (ids, self._columns, part.begin, part.end, lying[Column.Z], lying[self._intensity])
        used = kernels.accumulate(*points, self._table, part.tallies, self._with_top, part.tops)
        begin, end = part.begin // kernels.STRIP, -(-part.end // kernels.STRIP)
        kernels.put_in_order(self._table, begin, end, part.strips, part.slots)
        part.used = used
        where = (ids, self._columns, part.begin, part.end, lying[Column.Z])
        if self._with_spread:
            part.clear_squares()
            kernels.spread(*where, self._table, part.tallies, part.squares)
        if self._slices:
            part.clear_slices(self._slices)
            kernels.raise_slices(*where, self._heights[0], self._slices, self._table, part.slices)

    def clearing(self, feature: str) -> Clearing:
        return "own"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        """`written` lists the strips of the grid, whose columns have an element in every channel."""
        flat, intensity = out.reshape(-1), self.cells.cloud.points.lying[self._intensity]
        used, grid = sum(part.used for part in self._parts), (self._size_xy, self._place)
        listed = written.elements(used)
        kernels.clear_columns(listed[: written.count], self._table, *grid, self._channels, flat)

        def write(part: _Part) -> None:
            # made afresh: tensors of two models are filled side by side
            work = np.empty(kernels.WORK)
            tallies = (part.tallies, part.tops, part.squares, part.slices)
            points = (*tallies, intensity, part.strips[: part.used], part.slots)
            slices = (self._slices_at, self._slices)
            how = (self._density, self._heights, work, flat)
            kernels.write_columns(*points, *grid, self._statistics, self._channels_at, *slices, *how)

        self._each_part(write)
        np.concatenate([part.strips[: part.used] for part in self._parts], out=listed[:used])
        written.count = used
