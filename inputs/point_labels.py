"""What each point of a lidar sweep belongs to: its class, and which of several objects of that class."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import BrokenRecord
from .once import once

__all__ = ["PointLabels"]

Column = NDArray[Any]
_INT32_MOST = 2**31 - 1


class PointLabels:
    """The classes and instances of a sweep's points, read when one of them is first asked for.

    `read` returns the two columns, (count,) integers, in the dtype in which the log stores them; the second is None
    where the log does not tell objects apart. Asking raises LogErrors.
    """

    def __init__(self, read: Callable[[], tuple[Column, Column | None]], count: int, source: str = "") -> None:
        self._read = read
        self._count = count
        self.source = source

    @classmethod
    def of(cls, semantic: Column, instance: Column | None = None, source: str = "") -> PointLabels:
        """Returns those of columns that are in memory already."""
        return cls(partial(_given, semantic, instance), len(semantic), source)

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        return f"<PointLabels of {self._count} points>"

    @property
    def nbytes(self) -> int:
        """What they take once they are read, at most."""
        return 2 * (4 + 4) * self._count

    @once
    def stored(self) -> tuple[Column, Column | None]:
        """The two columns as the log stores them, read-only."""
        semantic, instance = self._read()
        return self._checked("semantic", semantic), None if instance is None else self._checked("instance", instance)

    def _checked(self, name: str, column: Column) -> Column:
        where = f"{self.source}: " if self.source else ""
        if type(column) is not np.ndarray or column.dtype.kind not in "iu" or column.shape != (self._count,):
            found = f"{getattr(column, 'dtype', type(column).__name__)} {getattr(column, 'shape', '')}"
            raise BrokenRecord(f"{where}{name} is {found}, wanted integers ({self._count},), one for each point")
        # only these dtypes can hold more
        if column.itemsize >= 4 and column.size and not -_INT32_MOST <= column.min() <= column.max() <= _INT32_MOST:
            raise BrokenRecord(f"{where}{name} goes from {column.min()} to {column.max()}, wanted what fits int32")
        return _read_only(column)

    @once
    def semantic(self) -> NDArray[np.int32]:
        """(N,) the class of each point, by the log's own codes, which `log.point_classes` names."""
        return _read_only(self.stored[0].astype(np.int32))

    @once
    def instance(self) -> NDArray[np.int32] | None:
        """(N,) which object of its class a point is of; 0 where it is of none, or of a class that has no objects."""
        return None if self.stored[1] is None else _read_only(self.stored[1].astype(np.int32))


def _given(semantic: Column, instance: Column | None) -> tuple[Column, Column | None]:
    return semantic, instance


def _read_only(column: Column) -> Column:
    view = column.view()
    view.flags.writeable = False
    return view
