"""Points as columns of float32: the working form of every lidar kernel."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features.lidar import PointColumn
from perceptum.inputs import LidarSweep

from .kernels import cloud as kernels
from .scratch import Scratch

__all__ = ["Column", "Columns"]


class Column(IntEnum):
    """The rows of a column block."""

    X = 0
    Y = 1
    Z = 2
    INTENSITY = 3
    TIME_LAG = 4
    RING = 5

    @classmethod
    def picks(cls, names: tuple[PointColumn, ...]) -> NDArray[np.int64]:
        """Returns the rows of columns by their names in a spec."""
        return np.array([cls[name.upper()] for name in names], dtype=np.int64)


_INTENSITY_MODES = {"raw": kernels.RAW, "unit": kernels.UNIT, "tanh": kernels.TANH}


class Columns:
    """A growing block of columns that is kept from frame to frame. Only `wanted` ones are filled."""

    def __init__(self) -> None:
        self.wanted = {Column.X, Column.Y, Column.Z}
        self._values = Scratch(np.float32, rows=len(Column))
        self._offsets = Scratch(np.int64)
        self.n = 0
        self.nonfinite = 0
        """Points dropped since `start`, because they were not finite."""

    def start(self, points: int) -> None:
        """Empties the block and makes room for `points`."""
        self.n = self.nonfinite = 0
        self._values.reserve(points)
        self._offsets.reserve(points)

    @property
    def values(self) -> NDArray[np.float32]:
        """(6, n) float32."""
        return self._values.array[:, : self.n]

    @property
    def block(self) -> NDArray[np.float32]:
        """(6, capacity) float32, of which n are points."""
        return self._values.array

    @property
    def bits(self) -> NDArray[np.int32]:
        """The same memory as integers."""
        return self._values.array.view(np.int32)

    @property
    def offsets_ns(self) -> NDArray[np.int64]:
        """(capacity,) int64, each point's time after its sweep's stamp."""
        return self._offsets.array

    @property
    def nbytes(self) -> int:
        return self._values.array.nbytes + self._offsets.array.nbytes

    def append(self, sweep: LidarSweep, close_m: float = 0.0, drop_intensity: bool = False) -> tuple[int, int]:
        """Adds a sweep's finite points as recorded, in its own frame; returns their start and number."""
        start, n = self.n, len(sweep)
        self._put(Column.X, sweep.x, n, 0)
        self._put(Column.Y, sweep.y, n, 0)
        self._put(Column.Z, sweep.z, n, 0)
        if drop_intensity or Column.INTENSITY in self.wanted:
            self._put(Column.INTENSITY, sweep.intensity, n, 0)
        if Column.RING in self.wanted:
            self._put_ring(sweep, n)
        if sweep.offset_ns is not None:
            np.copyto(self._offsets.array[start : start + n], sweep.offset_ns, casting="unsafe")
        kept, nonfinite = n, 0
        if close_m > 0 or not kernels.all_finite(self.bits[:, start : start + n], drop_intensity):
            kept, nonfinite = kernels.drop(start, n, close_m, drop_intensity, self.block, self._offsets.array)
        self.n = start + kept
        self.nonfinite += nonfinite
        return start, kept

    def scale_intensity(self, sweep: LidarSweep, mode: str, start: int, n: int) -> None:
        """Brings the raw intensity of the points [start, start + n), which are of `sweep`, to its mode."""
        values = self.block[Column.INTENSITY, start : start + n]
        kernels.scale_intensity(_INTENSITY_MODES[mode], sweep.intensity_scale, values)

    def _put_ring(self, sweep: LidarSweep, n: int) -> None:
        self._put(Column.RING, sweep.ring, n, -1)
        if sweep.ring is not None and sweep.ring.dtype.kind == "f":
            ring = self.block[Column.RING, self.n : self.n + n]
            ring[~np.isfinite(ring)] = -1

    def _put(self, column: Column, values: NDArray[Any] | None, n: int, absent: float) -> None:
        target = self.block[column, self.n : self.n + n]
        # a float64 beyond float32 becomes infinite, and is dropped as such
        with np.errstate(over="ignore"):
            np.copyto(target, absent if values is None else values, casting="unsafe")
