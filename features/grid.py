"""A regular grid in the frame of reference: the cells of voxels and of bird's-eye views."""

from __future__ import annotations

from math import isfinite

import msgspec
import numpy as np

from .errors import SpecError

__all__ = ["Grid"]

_MOST_CELLS = 2**62


class Grid(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Half-open: a point p lies in cell floor((p - min) / voxel), computed in float32, if that is inside the size."""

    range: tuple[float, float, float, float, float, float]
    """xmin ymin zmin xmax ymax zmax, metres."""
    voxel: tuple[float, float, float]
    """The cell's edges along x y z, metres."""

    def __post_init__(self) -> None:
        low, high = self.range[:3], self.range[3:]
        if not all(isfinite(v) for v in (*self.range, *self.voxel)):
            raise SpecError(f"a grid's range and voxel must be finite, got {self.range} and {self.voxel}")
        if not all(a < b for a, b in zip(low, high, strict=True)):
            raise SpecError(f"a grid's range must be min before max (x y z x y z), got {self.range}")
        if not all(v > 0 for v in self.voxel):
            raise SpecError(f"a grid's voxel edges must be positive, got {self.voxel}")
        if min(self.size) < 1 or self.cells > _MOST_CELLS:
            raise SpecError(f"a grid of {self.range} in cells of {self.voxel} has the impossible size {self.size}")

    @property
    def size(self) -> tuple[int, int, int]:
        """Cells along x, y, z: round((max - min) / voxel) in float32, half to even, as the published pipelines do."""
        low = np.array(self.range[:3], dtype=np.float32)
        high = np.array(self.range[3:], dtype=np.float32)
        x, y, z = np.round((high - low) / np.array(self.voxel, dtype=np.float32))
        return int(x), int(y), int(z)

    @property
    def cells(self) -> int:
        x, y, z = self.size
        return x * y * z
