"""lidar_range_image, its mask and its index."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features.lidar import RangeImageParams
from perceptum.inputs import BrokenRecord, Frame, LidarSweep

from ..columns import Column, Columns
from ..kernels import range_image as kernels
from ..reference import Reference
from ..sample import Sample
from ..scratch import Scratch
from ..stage import Clearing, Filler, Stages
from ..written import Written
from .absence import Absence
from .placing import Placing

__all__ = ["RangeImage"]

_NO_TABLE = np.zeros(0, np.int32)


class RangeImage(Filler):
    group = "lidar_range_image"

    def __init__(self, params: RangeImageParams, stages: Stages) -> None:
        super().__init__()
        self.title = f"range image ({params.height} x {params.width}, {params.rows} rows)"
        self.params = params
        self._fov_rad = np.deg2rad(np.array(params.fov))
        self._points = Columns()
        self._cells, self._ranges = Scratch(np.int32), Scratch(np.float32)
        cells = params.height * params.width
        self._best, self._index = np.empty(cells, np.float32), np.empty(cells, np.int32)
        if "intensity" in params.channels:
            self._points.wanted.add(Column.INTENSITY)
        if params.rows == "ring":
            self._points.wanted.add(Column.RING)
        self._absence = Absence(params.required)
        reference = stages.share(Reference, "ego")
        self.needs = (reference,)
        self._placing = Placing(reference, per_point=True)
        self._shift = np.zeros(3)

    @property
    def nbytes(self) -> int:
        own = (self._cells.array, self._ranges.array, self._best, self._index)
        return self._points.nbytes + sum(array.nbytes for array in own)

    def run(self, sample: Sample) -> None:
        frame = sample.frame
        sweep = self._sweep(frame)
        self._points.start(0 if sweep is None else len(sweep))
        if sweep is not None:
            self._project(sweep)
            self._place(frame, sweep)
        kernels.nearest(self._cells.array, self._ranges.array, self._points.n, self._best, self._index)
        self.dropped = {"non-finite points": self._points.nonfinite}

    def _sweep(self, frame: Frame) -> LidarSweep | None:
        name = self.params.sensor or next(iter(frame.log.source.lidars), None)
        found = [] if name is None else frame.sweeps(1, name)
        if not found:
            self._absence.tell(frame, name or "any lidar")
        return found[0] if found else None

    def _project(self, sweep: LidarSweep) -> None:
        p, points = self.params, self._points
        table = self._row_of_ring(sweep)
        start, n = points.append(sweep)
        if Column.INTENSITY in points.wanted:
            points.scale_intensity(sweep, p.intensity_mode, start, n)
        origin = np.asarray(sweep.origin, dtype=np.float64)
        size = (p.height, p.width)
        cells, ranges = self._cells.reserve(n), self._ranges.reserve(n)
        if p.rows == "ring":
            kernels.project_rings(points.block, n, origin, *size, p.min_range, table, cells, ranges)
        else:
            clamp = p.outside_fov == "clamp"
            kernels.project(points.block, n, origin, *size, self._fov_rad, clamp, p.min_range, cells, ranges)

    def _place(self, frame: Frame, sweep: LidarSweep) -> None:
        """Brings x, y, z to where the spec wants them told; the cells are fixed by now."""
        if self.params.xyz_frame == "ego":
            self._placing.place(frame, sweep, self._points, 0, self._points.n)
            self._shift = np.zeros(3)
        else:
            self._shift = np.asarray(sweep.origin, dtype=np.float64)

    def _row_of_ring(self, sweep: LidarSweep) -> NDArray[np.int32]:
        if self.params.rows == "spherical":
            return _NO_TABLE
        if sweep.ring is None or sweep.row_of_ring is None:
            lacks = "ring column" if sweep.ring is None else "table of its rings by elevation"
            raise BrokenRecord(
                f'{sweep.source or sweep.sensor}: the lidar gives no {lacks}, which rows "ring" need; '
                'use rows "spherical"'
            )
        return np.asarray(sweep.row_of_ring, dtype=np.int32)

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
        p, norm = self.params, self.params.norm
        for channel, name in enumerate(p.channels):
            mean, std = (0.0, 1.0) if norm is None else (norm.mean[channel], norm.std[channel])
            values, shift = self._channel(name)
            flat = out[channel].reshape(-1)
            kernels.gather_channel(self._index, values, shift, p.fill, norm is not None, mean, std, flat)

    def _channel(self, name: str) -> tuple[NDArray[np.float32], float]:
        if name == "range":
            return self._ranges.array, 0.0
        column = Column[name.upper()]
        return self._points.block[column], self._shift[column] if column <= Column.Z else 0.0
