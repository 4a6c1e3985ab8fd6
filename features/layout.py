"""Where the small tensors of a spec lie in one block: computed from the rows alone, so that both sides agree."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Self

import msgspec
import numpy as np

from .spec import Row, Spec

__all__ = ["ALIGNMENT", "BLOCK", "SMALL_BYTES", "Layout", "Place"]

ALIGNMENT = 64
"""Bytes; TensorFlow aborts the process on less."""

BLOCK = "small tensors"
"""The name under which memory for the block is asked for; no tensor can have it."""

SMALL_BYTES = 16 * 1024
"""Larger tensors get memory of their own: a block for all of a spec would have to be cleared, and lent, as a whole."""


class Place(msgspec.Struct, frozen=True):
    """One tensor's place."""

    name: str
    offset: int
    """Bytes from the block's beginning, a multiple of 64."""
    shape: tuple[int, ...]
    dtype: str
    nbytes: int
    """The tensor's own, without the gap behind it."""


class Layout(msgspec.Struct, frozen=True):
    """The places of the rows whose sizes are all numbers and whose tensor is small, in the spec's order."""

    places: tuple[Place, ...]
    nbytes: int
    """The block's, a multiple of 64."""

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Self:
        """Returns the layout of a spec's rows; strings, symbols and None have no place. Raises SpecError for a name
        that is there twice."""
        places: list[Place] = []
        end = 0
        for row in Spec.of(rows):
            shape = tuple(dim for dim in row.shape if isinstance(dim, int))
            if len(shape) < len(row.shape) or row.dtype == "string":
                continue
            nbytes = prod(shape) * np.dtype(row.dtype).itemsize
            if nbytes <= SMALL_BYTES:
                places.append(Place(row.name, end, shape, row.dtype, nbytes))
                end += -(-nbytes // ALIGNMENT) * ALIGNMENT
        return cls(tuple(places), end)

    def __contains__(self, name: object) -> bool:
        return any(place.name == name for place in self.places)
