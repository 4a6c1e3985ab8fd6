"""lidar_range_image, its mask and its index."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features import ReferenceParams
from perceptum.features.lidar import RangeImageParams
from perceptum.inputs import BrokenRecord, Frame, LidarSweep

from ..columns import HALVES, INTENSITY_MODES, STAY, Move, Recorded, Rules, Work
from ..kernels import range_image as kernels
from ..kernels.load import RAW, SHIFT
from ..kernels.record import BLOCK
from ..reference import Reference
from ..sample import Sample
from ..scratch import Scratch, address
from ..split import is_much
from ..stage import Clearing, Filler, Stages
from ..written import Written
from .absence import Absence
from .placing import Placing

__all__ = ["RangeImage"]

_NO_TABLE = np.zeros(0, np.int32)
_RECORDED = ("x", "y", "z", "intensity")
"""The quantities that are shown as they were recorded, or moved."""
_EMPTY = {"lidar_range_image_mask": 0.0, "lidar_range_image_index": -1.0}
_FEW = 4
"""Cells are cleared one by one where less than a quarter of them were written."""


class RangeImage(Filler):
    group = "lidar_range_image"

    def __init__(self, params: RangeImageParams, stages: Stages) -> None:
        super().__init__()
        self.title = f"range image ({params.height} x {params.width}, {params.rows} rows)"
        self.params = params
        self._fov_rad = np.deg2rad(np.array(params.fov))
        self._stages = stages
        cells = params.height * params.width
        self._nearest = np.empty(cells + 1, np.uint64)
        self._cells, self._numbers = np.empty((2, cells + 1), np.int32)
        self._seen = 0
        """How many cells have a point: they are listed, with the number of their nearest."""
        self._points, self._finite = Scratch(np.float32, rows=4), Scratch(np.int32)
        self._counted = 0
        """For how many points `_finite` says how many finite ones are before them: 0 where all are."""
        self._empty = params.fill if params.norm is None else 0.0
        self._lying = np.zeros((4, 2), np.int64)
        """Where x, y, z and intensity lie, float32: address and stride in bytes, in our block or the record."""
        self._left: weakref.ref[LidarSweep] | None = None
        """The record in which they lie; weak, as in `Columns`."""
        self._full_scale = 1.0
        self._work = Work()
        self._near, self._squares = np.empty((3, BLOCK), np.float32), np.empty(BLOCK)
        self._own_cells, self._ranges = np.empty(BLOCK, np.int32), np.empty(BLOCK, np.float32)
        self._absence = Absence(params.required, self.title, stages)
        reference = stages.share(Reference, ReferenceParams())
        self.needs = (reference,)
        self._placing = Placing(reference, per_point=True)

    @property
    def nbytes(self) -> int:
        return self._points.array.nbytes + self._nearest.nbytes + 2 * self._cells.nbytes + self._finite.array.nbytes

    def run(self, sample: Sample) -> None:
        frame = sample.frame
        sweep = self._sweep(frame)
        self._nearest.fill(2**64 - 1)
        self._counted, self._left = 0, None
        nonfinite = 0 if sweep is None else self._project(frame, sweep)
        self._seen = kernels.list_cells(self._nearest, self._cells, self._numbers)
        self.dropped = {"non-finite points": nonfinite}

    def _sweep(self, frame: Frame) -> LidarSweep | None:
        name = self.params.sensor or next(iter(frame.log.source.lidars), None)
        found = [] if name is None else frame.sweeps(1, name)
        if not found:
            self._absence.report(frame, name or "any lidar")
        return found[0] if found else None

    def _project(self, frame: Frame, sweep: LidarSweep) -> int:
        """Returns how many points are not finite."""
        p, work = self.params, self._work
        table = self._row_of_ring(sweep)
        recorded = Recorded(sweep, with_times=p.xyz_frame == "ego" and self._placing.per_point(sweep))
        move = self._move(frame, recorded)
        n, xyz = len(sweep), work.xyz(recorded)
        # copies, here and of the table: for read-only arrays numba would compile the kernel once more
        origin = np.array(sweep.origin, dtype=np.float64)
        given: list[Any] = [recorded.places, n, origin, p.height, p.width, self._fov_rad]
        given += [p.outside_fov == "clamp", p.min_range, table, HALVES, xyz, work.values[1]]
        given += [self._near, self._squares, self._own_cells, self._ranges, self._nearest]
        nonfinite = kernels.project(*given)
        self._full_scale = sweep.intensity_scale
        if nonfinite:
            self._counted = n
            kernels.count_finite(recorded.places, n, HALVES, xyz, self._finite.reserve(n))
        lies = [recorded.lies(k) and (k == 3 or move.how == STAY.how) for k in range(4)]
        if all(lies):
            self._left = weakref.ref(sweep)
            self._lying[:] = recorded.places[:4, :2]
        else:
            points = self._points.reserve(n)
            if sweep.intensity is None:
                points[3] = 0
            kernels.bring(
                recorded.places, n, move.how, move.knots, move.first_ns, move.step_ns, HALVES, xyz, work.times, points
            )
            self._left = None
            self._lying[:, 0] = address(points) + points.strides[0] * np.arange(4)
            self._lying[:, 1] = 4
        return nonfinite

    def _move(self, frame: Frame, recorded: Recorded) -> Move:
        """To where the spec wants x, y, z; what the image shows is as measured."""
        if self.params.xyz_frame == "ego":
            return self._placing.move(frame, recorded, Rules(), self._work)
        origin = np.asarray(recorded.sweep.origin, dtype=np.float64)
        return Move(SHIFT, np.pad(-origin[:, None], ((0, 0), (3, 0)))[None]) if origin.any() else STAY

    def _row_of_ring(self, sweep: LidarSweep) -> NDArray[np.int32]:
        if self.params.rows == "spherical":
            return _NO_TABLE
        if sweep.ring is None or sweep.row_of_ring is None:
            lacks = "ring column" if sweep.ring is None else "table of its rings by elevation"
            raise BrokenRecord(
                f'{sweep.source or sweep.sensor}: the lidar gives no {lacks}, which rows "ring" need; '
                'use rows "spherical"'
            )
        return np.array(sweep.row_of_ring, dtype=np.int32)

    def clearing(self, feature: str) -> Clearing:
        return "own"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        """`written` lists the cells that have a point, where they are few; else all is written."""
        cells, numbers, few = self._cells[: self._seen], self._numbers[: self._seen], len(self._cells) // _FEW
        listed = written.elements(self._seen if self._seen < few else 0)
        before, written.count = listed[: written.count], 0
        empty = self._empty if feature == "lidar_range_image" else _EMPTY[feature]
        if len(before) == 0:
            out[...] = empty
        planes = out.reshape(-1, len(self._cells) - 1)

        def write(channel: int) -> None:
            own = planes[channel]
            kernels.clear_cells(before, empty, own)
            if feature == "lidar_range_image_index":
                kernels.write_index(cells, numbers, self._finite.array[: self._counted], own)
            elif feature == "lidar_range_image_mask":
                kernels.clear_cells(cells, 1.0, own)
            else:
                self._write_channel(channel, cells, numbers, own)

        if is_much(len(self._cells), self._stages.threads):
            self._stages.each(write, range(len(planes)))
        else:
            for channel in range(len(planes)):
                write(channel)
        if self._seen < few:
            listed[: self._seen] = cells
            written.count = self._seen

    def _write_channel(
        self, channel: int, cells: NDArray[np.int32], numbers: NDArray[np.int32], out: NDArray[np.float32]
    ) -> None:
        assert self._left is None or self._left() is not None, "asked outside of a build"
        p, norm = self.params, self.params.norm
        how = (False, 0.0, 1.0) if norm is None else (True, norm.mean[channel], norm.std[channel])
        name = p.channels[channel]
        if name == "range":
            kernels.write_range(cells, self._nearest, *how, out)
            return
        is_intensity = name == "intensity"
        mode = INTENSITY_MODES[p.intensity_mode] if is_intensity else RAW
        full_scale = self._full_scale if is_intensity else 1.0
        # made afresh: channels are written side by side
        work = np.empty(BLOCK, np.float32)
        address, stride = self._lying[_RECORDED.index(name)].tolist()
        kernels.write_quantity(cells, numbers, address, stride, mode, full_scale, *how, work, out)
