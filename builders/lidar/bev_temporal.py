"""lidar_bev_temporal and lidar_sweep_valid."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from numpy.typing import NDArray

from perceptum.features.lidar import BevTemporalParams
from perceptum.plural import counted

from ..kernels.bev import clear, occupy
from ..split import split
from ..stage import Clearing, Filler, Stages
from ..written import Written
from .bev import MOST, Placement
from .cells import Cells, CellsInOrder

__all__ = ["BevTemporal"]


class BevTemporal(Filler):
    def __init__(self, params: BevTemporalParams, stages: Stages) -> None:
        super().__init__()
        self.title = f"occupancy of {counted(params.num_sweeps, 'sweep')}"
        # sweep by sweep: which points come first changes nothing here
        shuffles = stages.augment is not None and stages.augment.shuffle_points
        cells = CellsInOrder if shuffles else Cells
        self.cells = stages.share(cells, params.cloud(), params.grid, params.overflow_slices)
        self.needs = (self.cells,)
        self._place = Placement(params)
        self._binary = params.binary
        self._stages = stages
        # a sweep's t in the tensor, by its rank
        order = range(params.num_sweeps)
        self._times = order[::-1] if params.oldest_first else order

    def clearing(self, feature: str) -> Clearing:
        return "whole" if feature == "lidar_sweep_valid" else "own"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        times = [self._times[rank] for rank in self.cells.cloud.ranks]
        if feature == "lidar_sweep_valid":
            out[:] = 0
            out[times] = 1
        else:
            self._fill_views(times, out.reshape(-1), written)

    def _fill_views(self, times: list[int], flat: NDArray[Any], written: Written) -> None:
        """times: the t of each sweep, in the order of the points."""
        ids, place, most = self.cells.ids, self._place, MOST[flat.dtype]
        touched = written.elements(len(ids))
        dirty, threads = touched[: written.count], self._stages.threads
        self._stages.each(lambda part: clear(dirty[part], flat), split(len(dirty), threads))

        def write(part: _Part) -> None:
            for t, begin, end in part.sweeps:
                where = (place.size_xy, place.base + t * place.stride_t, place.strides)
                new = touched[part.begin + part.touched :]
                part.touched += occupy(ids[begin:end], *where, self._binary, most, new, flat)

        sweeps = zip(times, pairwise([0, *self.cells.cloud.points.ends]), strict=True)
        parts = _parts([(t, *points) for t, points in sweeps], split(len(ids), threads))
        self._stages.each(write, parts)
        written.count = 0
        for part in parts:
            touched[written.count : written.count + part.touched] = touched[part.begin : part.begin + part.touched]
            written.count += part.touched


@dataclass
class _Part:
    """What one thread writes: the views of some sweeps."""

    begin: int
    """Where its list of touched elements begins."""
    sweeps: list[tuple[int, int, int]]
    """The t of each, and which points are its own: [begin, end)."""
    touched: int = 0


def _parts(sweeps: list[tuple[int, int, int]], shares: list[slice]) -> list[_Part]:
    """Splits sweeps into parts of about so many points; a view, which several lidars may share, is in one of them."""
    parts, before, at = [_Part(0, [])], None, 0
    for t, begin, end in sorted(sweeps):
        if t != before and len(parts) < len(shares) and at >= shares[len(parts) - 1].stop:
            parts.append(_Part(at, []))
        parts[-1].sweeps.append((t, begin, end))
        before, at = t, at + end - begin
    return parts
