"""lidar_range_image, its mask and its index."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features.lidar import RangeImageParams
from perceptum.inputs import BrokenRecord, Frame, LidarSweep

from ..columns import HALVES, INTENSITY_MODES, STAY, Move, Recorded, Rules, Work
from ..kernels import range_image as kernels
from ..kernels.load import SHIFT
from ..kernels.record import BLOCK
from ..reference import Reference
from ..sample import Sample
from ..scratch import Scratch
from ..split import is_much
from ..stage import Clearing, Filler, Stages
from ..written import Written
from .absence import Absence
from .placing import Placing

__all__ = ["RangeImage"]

_NO_TABLE = np.zeros(0, np.int32)
_ROWS = ("x", "y", "z", "intensity")
"""What the points' block holds."""


class RangeImage(Filler):
    group = "lidar_range_image"

    def __init__(self, params: RangeImageParams, stages: Stages) -> None:
        super().__init__()
        self.title = f"range image ({params.height} x {params.width}, {params.rows} rows)"
        self.params = params
        self._fov_rad = np.deg2rad(np.array(params.fov))
        self._stages = stages
        cells = params.height * params.width
        self._nearest, self._index = np.empty(cells, np.uint64), np.empty(cells, np.int32)
        self._points = Scratch(np.float32, rows=4)
        self._work = Work()
        self._cells, self._ranges = np.empty(BLOCK, np.int32), np.empty(BLOCK, np.float32)
        self._absence = Absence(params.required, self.title, stages)
        reference = stages.share(Reference, "ego")
        self.needs = (reference,)
        self._placing = Placing(reference, per_point=True)

    @property
    def nbytes(self) -> int:
        return self._points.array.nbytes + self._nearest.nbytes + self._index.nbytes

    def run(self, sample: Sample) -> None:
        frame = sample.frame
        sweep = self._sweep(frame)
        self._nearest.fill(2**64 - 1)
        nonfinite = 0 if sweep is None else self._project(frame, sweep)
        kernels.number(self._nearest, self._index)
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
        points = self._points.reserve(len(sweep))
        if sweep.intensity is None:
            points[3] = 0
        # copies, here and of the table: for read-only arrays numba would compile the kernel once more
        origin = np.array(sweep.origin, dtype=np.float64)
        _, nonfinite = kernels.project(
            *(recorded.places, len(sweep), origin, p.height, p.width, self._fov_rad, p.outside_fov == "clamp"),
            *(p.min_range, table, move.how, move.knots, move.first_ns, move.step_ns),
            *(False, INTENSITY_MODES[p.intensity_mode], sweep.intensity_scale, HALVES),
            *(
                work.xyz(recorded),
                work.values,
                work.times,
                work.blend,
                self._cells,
                self._ranges,
                self._nearest,
                points,
            ),
        )
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
        return "whole"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        if feature == "lidar_range_image_index":
            np.copyto(out.reshape(-1), self._index)
        elif feature == "lidar_range_image_mask":
            kernels.write_mask(self._index, out.reshape(-1))
        else:
            self._fill_channels(out)

    def _fill_channels(self, out: NDArray[np.float32]) -> None:
        def write(channel: int) -> None:
            self._fill_channel(channel, out[channel].reshape(-1))

        if is_much(out[0].size, self._stages.threads):
            self._stages.each(write, range(len(out)))
        else:
            for channel in range(len(out)):
                write(channel)

    def _fill_channel(self, channel: int, out: NDArray[np.float32]) -> None:
        name, norm = self.params.channels[channel], self.params.norm
        scale = (0.0, 1.0) if norm is None else (norm.mean[channel], norm.std[channel])
        how = (self.params.fill, norm is not None, *scale, out)
        if name == "range":
            kernels.gather_range(self._nearest, *how)
        else:
            kernels.gather_channel(self._index, self._points.array[_ROWS.index(name)], *how)
