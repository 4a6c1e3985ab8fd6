"""Which voxels there are, in which rows, and each point's place in its own. Shared by all that asks for the same rows
of the same cells: voxels, their means, pillars, radar's voxels."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from perceptum.features import Grid

from .cells import GridCells, Looking
from .kernels import voxels as kernels
from .sample import Sample
from .scratch import address
from .split import shares, split
from .stage import Stage, Stages
from .voxel_rows import Placed, VoxelRows
from .voxel_sums import VoxelSums
from .written import Written

__all__ = ["Voxelization", "gather_of"]

_log = logging.getLogger(__name__)

_NO_STARTS = np.empty(0, np.int32)
"""For `gather`: each row has as many slots."""


class Voxelization(Stage):
    """The rows of the voxels among the points of some cells.

    It is shared as stages.share(Voxelization, cells, grid, max_voxels, overflow, order), with the words of
    VoxelRowsParams; max_voxels: None for no limit.
    """

    def __init__(
        self, cells: GridCells, grid: Grid, max_voxels: int | None, overflow: str, order: str, stages: Stages
    ) -> None:
        super().__init__()
        self.cells = cells
        self.needs = (cells,)
        self.max_voxels = max_voxels
        self._stops = overflow == "break"
        self._order = order
        self._stages = stages
        # asked once: a grid works it out each time
        self.size = grid.size
        self._rows = VoxelRows(grid, cells.dtype, stages.threads)
        self._counting = False
        self._found_in = -1
        """The number of the load in which the rows were found while its points were looked at."""
        cells.look_along(self._look_along)
        self._overflows = False
        self._places = 0
        self._sums: list[VoxelSums] = []
        self.title = f"voxel rows ({'id table' if self._rows.is_dense else 'hash'})"

    @property
    def nbytes(self) -> int:
        return self._rows.nbytes

    @property
    def n(self) -> int:
        """How many rows there are."""
        return self._rows.n

    @property
    def lost(self) -> int:
        """The points that max_voxels dropped."""
        return self._rows.lost

    @property
    def keys(self) -> NDArray[np.integer]:
        """(n,) the linear id of each row's cell."""
        return self._rows.keys

    @property
    def counts(self) -> NDArray[np.int32]:
        """(n,) the points of each row, also those beyond what a voxel holds."""
        return self._rows.counts

    @property
    def placed(self) -> list[Placed]:
        """The points that have a place, in parts for threads, as `gather` takes them."""
        return self._rows.placed

    @property
    def ranks(self) -> NDArray[np.int32]:
        """(n,) the row of each voxel in the order in which they are first seen; empty where that is their order."""
        return self._rows.ranks

    @property
    def of_points(self) -> NDArray[np.int32]:
        """(points,) the row of each point, -1 for none; only if `want_of_points` was said."""
        return self._rows.of_points

    def want_places(self, points_per_voxel: int) -> None:
        """Says at planning time that the first so many points of each voxel are needed, and `placed` must have them;
        it may have more, since others ask too."""
        self._places = max(self._places, points_per_voxel)
        self.want_counts()

    def want_counts(self) -> None:
        """Says at planning time that `counts` will be asked for: counting the points as they come takes half the time
        of doing it then."""
        self._counting = True

    def want_of_points(self) -> None:
        """Says at planning time that `of_points` is needed."""
        self._rows.with_points = True

    def want_sums(self, sums: VoxelSums) -> None:
        """Says at planning time that sums of the rows' points are needed; `are_there` says whether `run` added them
        up."""
        self._sums.append(sums)
        self.want_of_points()

    def _look_along(self, looking: Looking, cells: NDArray[np.int32], load_number: int) -> bool | None:
        """As the cells' own look at the frame's points, and finds the rows on the way; None: it cannot."""
        # a thread alone gains nothing by it
        if self._counting or self._parts(cells.shape[1]) == 1:
            return None
        stays = self._find(cells, looking)
        self._found_in = load_number if stays else -1
        return stays

    def _find(self, cells: NDArray[np.integer], looking: Looking | None) -> bool:
        n = cells.shape[1]
        given = (self._most(n), self._stops, cells, looking, self._sums, self._parts(n), self._stages.each)
        return self._rows.find(*given)

    def _parts(self, points: int) -> int:
        return len(split(points, self._stages.threads))

    def _most(self, points: int) -> int:
        return points if self.max_voxels is None else min(self.max_voxels, points)

    def run(self, sample: Sample) -> None:
        ids = self.cells.ids
        if not self._counting:
            if self._found_in < 0 or self._found_in != self.cells.load_number:
                self._find(ids[None], None)
        else:
            self._assign(ids)
        self._overflows = self._rows.lost > 0
        if self._order != "first_seen":
            self._rows.sort(self._rows.keys if self._order == "sorted" else self._keys_from_x())
        self.dropped = {"points over max_voxels": self._rows.lost}

    def _assign(self, ids: NDArray[np.integer]) -> None:
        for sums in self._sums:
            sums.are_there = False
        most, owners = self._most(len(ids)), self._parts(len(ids))
        # where max_voxels cuts, the points' order counts; a frame like the last one is likely to be cut too
        shared = owners > 1 and self._rows.is_shared and not self._overflows
        # two threads look at every point, 6.2 ms together, one alone takes 3.9: it pays where the other waits. A frame
        # of BEVFusion, whose pictures are decoded meanwhile, takes 27.6 ms with two threads, 30.5 if they always share
        shared = shared and self._stages.spare_threads >= owners - 1
        if not (shared and self._rows.assign_shared(self._places, most, ids, owners, self._stages.each)):
            self._rows.assign(self._places, most, self._stops, ids, owners)

    def _keys_from_x(self) -> NDArray[np.int64]:
        """(n,) int64: the rows' cells numbered with z as the fastest axis."""
        size_x, size_y, size_z = self.size
        rest, x = np.divmod(self._rows.keys.astype(np.int64), size_x)
        z, y = np.divmod(rest, size_y)
        return (x * size_y + y) * size_z + z

    def report(self, feature: str) -> None:
        """Warns once that points were lost to max_voxels, in the name of what wanted them."""
        if self.lost and self._stages.first_time((Voxelization, feature, self.max_voxels)):
            _log.warning(
                "%s: %d points are in voxels beyond max_voxels=%d and are dropped; points %s "
                "(reported once; see Tensors.dropped)",
                feature,
                self.lost,
                self.max_voxels,
                "are shuffled, so they are missing here and there"
                if self.cells.is_shuffled
                else "come in the order of the scan, so they are missing on one side",
            )

    def each_part(self, work: Callable[[Placed], object]) -> None:
        """Calls `work` on the parts of `placed`, within the thread budget; for work that any part can do at any time,
        since it writes to slots of its own."""
        self._stages.each(work, self.placed)

    def each_share(self, rows: int, work: Callable[[slice], object]) -> None:
        """Calls `work` on the rows 0..rows in as many parts as `placed` has, within the thread budget."""
        self._stages.each(work, shares(rows, len(self.placed)))

    def write_points(
        self, columns: NDArray[np.int64], points_per_voxel: int, out: NDArray[np.float32], written: Written
    ) -> None:
        """Writes hard voxels. columns: (C, 2) int64, where they lie. out: (rows, points_per_voxel, C)."""
        rows, flat = min(self.n, len(out)), out.reshape(-1, out.shape[-1])
        counts, before = self.counts[:rows], written.per_row(len(out))
        gather = gather_of(columns)
        placed, clearing = self.placed, shares(len(out), len(self.placed))

        def write(part: int) -> None:
            rest = clearing[part]
            gather(columns, *placed[part], points_per_voxel, rows, _NO_STARTS, flat, address(flat))
            kernels.clear_slots(counts, points_per_voxel, rest.start, rest.stop, before, flat)

        self._stages.each(write, range(len(placed)))

    def write_coords(self, x_first: bool, out: NDArray[np.int32], written: Written) -> None:
        """Writes the rows' cells. out: (rows, 3), whose rows need not lie side by side."""
        rows = min(self.n, len(out))
        kernels.write_coords(self.keys, rows, *self.size[:2], x_first, out)
        written.clear_rows(rows, out)

    def write_counts(self, points_per_voxel: int, out: NDArray[np.int32], written: Written) -> None:
        """Writes how many points each voxel holds. out: (rows,)."""
        rows = min(self.n, len(out))
        kernels.write_counts(self.counts, rows, points_per_voxel, out)
        written.clear_rows(rows, out)


def gather_of(columns: NDArray[np.int64]) -> Callable[..., None]:
    """Returns the kernel that gathers so many columns."""
    return kernels.gather if len(columns) in (4, 5) else kernels.gather_any
