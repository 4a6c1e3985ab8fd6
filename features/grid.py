"""A regular grid in the frame of reference: the cells of voxels and of bird's-eye views."""

from __future__ import annotations

from math import isfinite, pi
from typing import Annotated, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from .errors import SpecError
from .parameter import About

__all__ = ["Grid", "check_range"]

_MOST_CELLS = 2**62
_MOST_ALONG_AN_AXIS = 2**24
"""Up to here float32 can tell neighbouring cells apart."""


def check_range(range: tuple[float, ...]) -> None:
    """Raises SpecError where xmin ymin zmin xmax ymax zmax hold no space."""
    if not all(isfinite(v) for v in range):
        raise SpecError(f"a range must be finite, got {range}")
    if not all(a < b for a, b in zip(range[:3], range[3:], strict=True)):
        raise SpecError(f"a range must be min before max (x y z x y z), got {range}")


class Grid(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Half-open: a point p lies in cell floor((p - min) / voxel), computed in float32, if that is inside the size.

    In a cylinder the three coordinates are the distance from the z axis, the azimuth from +x to +y within -pi to pi,
    and z; they are worked out in float64 from the float32 point, and rounded to float32.
    """

    range: Annotated[tuple[float, float, float, float, float, float], About("xmin ymin zmin xmax ymax zmax.", "m")]
    voxel: Annotated[tuple[float, float, float], About("The cell's edges along x y z.", "m")]
    coordinates: Annotated[
        Literal["xyz", "cylinder"],
        About(
            "cylinder: the first two are the distance from the z axis and the azimuth in radians instead of x and y; "
            "an azimuth that rounding brings to the end of a full circle is in its first cell."
        ),
    ] = "xyz"
    outside: Annotated[
        Literal["drop", "clamp"],
        About("A point outside: in no cell, or in the nearest cell along each axis, as in Cylinder3D."),
    ] = "drop"

    def __post_init__(self) -> None:
        check_range(self.range)
        if not all(v > 0 and isfinite(v) for v in self.voxel):
            raise SpecError(f"a grid's voxel edges must be positive and finite, got {self.voxel}")
        if not self._is_countable():
            raise SpecError(
                f"a grid of {self.range} in cells of {self.voxel} is beyond what float32 can count: "
                f"at most {_MOST_ALONG_AN_AXIS} cells along an axis"
            )
        if self.coordinates == "cylinder" and self.range[0] < 0:
            raise SpecError(f"a cylinder's range must begin at a distance of 0 or more, got {self.range[0]:g}")
        if self.coordinates == "cylinder" and not self._is_within_a_turn():
            raise SpecError(
                f"a cylinder's azimuth is in radians within -pi to pi, or a cell beyond; got {self.range[1]:g} to "
                f"{self.range[4]:g} in cells of {self.voxel[1]:g}"
            )
        if min(self.size) < 1 or self.cells > _MOST_CELLS:
            raise SpecError(f"a grid of {self.range} in cells of {self.voxel} has the impossible size {self.size}")

    @property
    def size(self) -> tuple[int, int, int]:
        """Cells along x, y, z: round((max - min) / voxel) in float32, half to even, as the published pipelines do."""
        x, y, z = self._sizes()
        return int(x), int(y), int(z)

    def _sizes(self) -> NDArray[np.float32]:
        with np.errstate(all="ignore"):
            low = np.array(self.range[:3], dtype=np.float32)
            high = np.array(self.range[3:], dtype=np.float32)
            return np.round((high - low) / np.array(self.voxel, dtype=np.float32))

    def _is_within_a_turn(self) -> bool:
        # Cylinder3D's last cell begins at pi
        beyond = pi + self.voxel[1] * 1.001
        return -beyond <= self.range[1] and self.range[4] <= beyond

    def _is_countable(self) -> bool:
        return bool((self._sizes() <= _MOST_ALONG_AN_AXIS).all())

    @property
    def is_plain(self) -> bool:
        """Whether cells are found along x, y, z, and points outside are in none."""
        return self.coordinates == "xyz" and self.outside == "drop"

    @property
    def cells(self) -> int:
        x, y, z = self.size
        return x * y * z
