"""Component files of Waymo v2: checked columns of the small ones, and single rows of the large ones."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord, LogError, MissingRecord
from perceptum.inputs.once import Guard

from ..reading.files import check_file, read_each
from ..reading.pose_matrices import rows_or_nan
from ..reading.widened import widened
from .float_lists import rows_of

__all__ = ["Rows", "Table", "read_table"]

# a frame's five lidars lie side by side in the file, in any order
_ROWS_KEPT = 12
_READ_AHEAD_BYTES = 1 << 20


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turns what Arrow raises for a broken file into a BrokenRecord in its name."""
    import pyarrow as pa

    try:
        yield
    except LogError:
        raise
    except (pa.ArrowException, OSError, ValueError, KeyError, MemoryError) as error:
        reason = " ".join(str(error).split())[:120]
        raise BrokenRecord(f"{path}: not a complete Parquet file ({reason})") from error


def _opened(path: Path, columns: Sequence[str], what: str) -> tuple[Any, Any]:
    """Returns the pyarrow ParquetFile, which has all the columns, and the open file itself; reads the footer."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    check_file(path, what)
    with _naming(path):
        # read, not mapped: a file that shrinks meanwhile cannot end the process
        source = pa.OSFile(str(path), "rb")
        file = pq.ParquetFile(source, buffer_size=_READ_AHEAD_BYTES, pre_buffer=False)
        names = file.schema_arrow.names
    missing = [name for name in columns if names.count(name) != 1]
    if missing:
        raise MissingRecord(
            f"{path}: no column {missing[0]}, which is needed; it has {', '.join(names[:12]) or 'none'}"
        )
    return file, source


class Table:
    """Columns of a small file, checked when they are taken."""

    def __init__(self, path: Path, table: Any) -> None:
        self.path = path
        self._table = table

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __contains__(self, name: str) -> bool:
        return name in self._table.column_names

    def numbers(self, name: str, *, nulls: bool = False) -> NDArray[Any]:
        """Returns (n,) in the stored dtype; with `nulls` a null is NaN, else it is an error."""
        from pyarrow import types

        column = self._table.column(name)
        if not (types.is_integer(column.type) or types.is_floating(column.type)):
            raise BrokenRecord(f"{self.path}: column {name} is {column.type}, wanted numbers")
        if column.null_count and not nulls:
            raise BrokenRecord(f"{self.path}: column {name} has {column.null_count} nulls, wanted none")
        return np.asarray(column.combine_chunks().to_numpy(zero_copy_only=False))

    def texts(self, name: str) -> NDArray[np.str_]:
        from pyarrow import types

        column = self._table.column(name)
        if not (types.is_string(column.type) or types.is_large_string(column.type)) or column.null_count:
            raise BrokenRecord(f"{self.path}: column {name} is {column.type}, wanted texts without nulls")
        texts = column.to_pylist()
        if max(map(len, texts), default=0) > 256:
            raise BrokenRecord(f"{self.path}: column {name} holds a text of more than 256 characters")
        return np.array(texts, dtype=np.str_)

    def lists(self, name: str) -> list[NDArray[np.float64] | None]:
        """Returns each row's list as float64; None for a null."""
        rows = (row.values for row in self._table.column(name))
        return [None if row is None else _as_float64(self.path, name, row) for row in rows]

    def transforms_or_gaps(self, name: str) -> tuple[NDArray[np.float64], dict[int, LogError]]:
        """Returns (n, 4, 4) float64 of lists of 16, row by row; NaN where a row holds none, and each such row with what
        is wrong."""
        rows = enumerate(self._table.column(name))
        found, broken = read_each(dict(rows), lambda row, cell: self._transform(name, row, cell.values))
        return rows_or_nan(len(self), found, (4, 4)), broken

    def _transform(self, name: str, row: int, cell: Any) -> NDArray[np.float64]:
        numbers = None if cell is None else _as_float64(self.path, name, cell)
        if numbers is None or len(numbers) != 16 or not np.array_equal(numbers[12:], [0, 0, 0, 1]):
            raise BrokenRecord(f"{self.path}: {name} in row {row} is not a 4x4 transform, wanted 16 numbers")
        return numbers.reshape(4, 4)


def _as_float64(path: Path, name: str, values: Any) -> NDArray[np.float64]:
    from pyarrow import types

    if not types.is_floating(values.type) or values.null_count:
        raise BrokenRecord(f"{path}: column {name} holds lists of {values.type}, wanted floats without nulls")
    return widened(values.to_numpy(zero_copy_only=False))


def read_table(path: Path, columns: Sequence[str], what: str, optional: Sequence[str] = ()) -> Table:
    """Reads these columns of all rows, and no others; `what` says what is lost without the file.

    An `optional` column that is not there is left out.
    """
    file, source = _opened(path, columns, what)
    with _naming(path), source:
        there = [name for name in optional if file.schema_arrow.names.count(name) == 1]
        table = file.read(columns=[*columns, *there], use_threads=False)
        table.validate(full=True)
    return Table(path, table)


class Rows:
    """Single rows of a large file.

    Published files have row groups of 256 rows, a gigabyte each when decoded, in which a row is reached only through
    those before it: going forward costs each row once, going back starts its group again. A few rows are kept.
    """

    def __init__(self, path: Path, columns: tuple[str, ...], what: str) -> None:
        self.path = path
        self._columns = columns
        self._what = what
        self._lock = Guard()
        self._process = os.getpid()
        self._kept: OrderedDict[int, Any] = OrderedDict()
        self._next = 0
        self._batches: Iterator[Any] | None = None
        self._file: Any = None
        self._source: Any = None
        self._starts: NDArray[np.int64] = np.zeros(1, np.int64)

    def __reduce__(self) -> tuple[type[Rows], tuple[Path, tuple[str, ...], str]]:
        return Rows, (self.path, self._columns, self._what)

    def at(self, row: int) -> Any:
        """Returns the row as a pyarrow RecordBatch of length 1."""
        with self._lock:
            if self._process != os.getpid():
                # another thread of the parent may have been at work in it when this process was forked
                self._process, self._batches = os.getpid(), None
            if row not in self._kept:
                with _naming(self.path):
                    self._go_to(row)
            return self._kept[row]

    def _go_to(self, row: int) -> None:
        if self._file is None:
            self._file, self._source = _opened(self.path, self._columns, self._what)
            metadata = self._file.metadata
            sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
            self._starts = np.cumsum([0, *sizes])
        if not 0 <= row < self._starts[-1]:
            raise MissingRecord(f"{self.path}: no row {row}, it has {self._starts[-1]}")
        group = int(np.searchsorted(self._starts, row, side="right")) - 1
        if self._batches is None or row < self._next or self._starts[group] > self._next:
            self._next = int(self._starts[group])
            groups = list(range(group, len(self._starts) - 1))
            self._batches = rows_of(self._file, self._source.read_at, groups, self._columns)
        self._advance(row, self._batches)

    def _advance(self, row: int, batches: Iterator[Any]) -> None:
        try:
            while self._next <= row:
                batch = next(batches, None)
                if batch is None or batch.num_rows != 1:
                    raise BrokenRecord(
                        f"{self.path}: ends at row {self._next}, wanted row {row}; the file is cut short"
                    )
                self._kept[self._next] = batch
                self._next += 1
                if len(self._kept) > _ROWS_KEPT:
                    self._kept.popitem(last=False)
        except BaseException:
            # an iterator that failed is at no known place
            self._batches = None
            raise
