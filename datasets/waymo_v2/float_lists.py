"""Rows of a Parquet file one by one: lists of float32 decoded here, all else by Arrow.

Arrow writes out two levels for each number of a list and goes through them again. Levels come in runs, and in lists
without nulls say no more than where a row begins.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .pages import DICTIONARY, Page, ReadAt, Unlike, pages

__all__ = ["rows_of"]

Floats = NDArray[np.float32]
Levels = NDArray[np.uint8]

_NULL_LIST, _NUMBER = 0, 3
_MOST_BITS = 24
_LEVELS: Levels = np.arange(4, dtype=np.uint8)


def rows_of(file: Any, read_at: ReadAt, groups: Sequence[int], columns: Sequence[str]) -> Iterator[Any]:
    """Yields each row of the row groups as a RecordBatch of length 1, as the ParquetFile's iter_batches(1) would.

    `read_at` reads the file's bytes. Where anything is not as expected, Arrow goes on at the same row.
    """
    import pyarrow as pa

    for group in groups:
        done = 0
        try:
            for batch in _decoded(file, read_at, group, columns):
                yield batch
                done += 1
        except (Unlike, IndexError, OverflowError, OSError, pa.ArrowException):
            yield from islice(_by_arrow(file, group, columns), done, None)


def _by_arrow(file: Any, group: int, columns: Sequence[str]) -> Iterator[Any]:
    batches: Iterator[Any] = file.iter_batches(1, row_groups=[group], columns=list(columns), use_threads=False)
    return batches


def _decoded(file: Any, read_at: ReadAt, group: int, columns: Sequence[str]) -> Iterator[Any]:
    import pyarrow as pa

    kinds = {name: file.schema_arrow.field(name).type for name in columns}
    wanted = [name for name in columns if _is_floats(kinds[name])]
    if not wanted:
        raise Unlike("no lists of float32")
    _check_compression(file, group, wanted)
    lists = {name: _rows(_chunk(file, group, name), read_at) for name in wanted}
    others = [name for name in columns if name not in lists]
    nothing: list[Any] = [None] * file.metadata.row_group(group).num_rows
    for batch in _by_arrow(file, group, others) if others else nothing:
        arrays = {name: _as_array(rows, kinds[name]) for name, rows in lists.items()}
        arrays |= {name: batch.column(name) for name in others}
        yield pa.RecordBatch.from_pydict({name: arrays[name] for name in columns})


def _is_floats(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_list(kind) and types.is_float32(kind.value_type))


def _check_compression(file: Any, group: int, columns: Sequence[str]) -> None:
    """Has Arrow read one row. Where a chunk is compressed by what there is not, it raises; asked for its name, as
    `pages` asks, it ends the process."""
    next(file.iter_batches(1, row_groups=[group], columns=list(columns), use_threads=False), None)


def _chunk(file: Any, group: int, name: str) -> Any:
    """Returns the ColumnChunkMetaData of a nullable column of lists of nullable numbers, Arrow's own way to write."""
    leaves = [i for i in range(len(file.schema)) if file.schema.column(i).path.startswith(f"{name}.")]
    leaf = file.schema.column(leaves[0])
    if len(leaves) != 1 or (leaf.max_definition_level, leaf.max_repetition_level) != (_NUMBER, 1):
        raise Unlike("lists of another form")
    return file.metadata.row_group(group).column(leaves[0])


def _as_array(rows: Iterator[Floats | None], kind: Any) -> Any:
    """Returns the next row as a pyarrow ListArray of length 1."""
    import pyarrow as pa

    for values in rows:
        if values is None:
            return pa.nulls(1, kind)
        return pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), pa.array(values), type=kind)
    raise Unlike("fewer rows than announced")


def _rows(chunk: Any, read_at: ReadAt) -> Iterator[Floats | None]:
    """Yields the rows of a column chunk, None for a null; a row that lies within one page is a view of it."""
    dictionary = np.zeros(0, np.float32)
    row: list[Floats] | None = None
    begun = False
    for page in pages(chunk, read_at):
        if page.is_dictionary:
            dictionary = _plain(np.frombuffer(page.content, np.uint8), 0, page.num_values)
            continue
        values, bounds, nulls = _read(page, dictionary)
        if bounds[0] > 0:
            if row is None:
                raise Unlike("numbers of no row")
            row.append(values[: bounds[0]])
        for first, end, null in zip(bounds[:-1], bounds[1:], nulls, strict=True):
            if begun:
                yield _joined(row)
            row, begun = None if null else [values[first:end]], True
    if begun:
        yield _joined(row)


def _joined(row: list[Floats] | None) -> Floats | None:
    if row is None:
        return None
    return row[0] if len(row) == 1 else np.concatenate(row)


def _read(page: Page, dictionary: Floats) -> tuple[Floats, list[int], list[bool]]:
    """Returns the numbers of a page, where in them its rows begin (and the last one ends), and which rows are null."""
    data = np.frombuffer(page.content, np.uint8)
    repetitions, at = _levels(data, 0, page.num_values, 1)
    definitions, at = _levels(data, at, page.num_values, 2)
    starts = np.flatnonzero(repetitions == 0)
    null = definitions[starts] == _NULL_LIST
    count = page.num_values - int(np.count_nonzero(null))
    if np.count_nonzero(definitions == _NUMBER) != count:
        raise Unlike("empty lists, or nulls within a list")
    bounds = starts - (np.cumsum(null) - null)
    values = _plain(data, at, count) if page.encoding != DICTIONARY else _looked_up(data, at, count, dictionary)
    return values, [*bounds.tolist(), count], null.tolist()


def _levels(data: Levels, at: int, count: int, bits: int) -> tuple[Levels, int]:
    """Returns (count,) uint8 levels, which lie behind their length in bytes, and where they end."""
    first = at + 4
    end = first + int.from_bytes(data[at:first].tobytes(), "little")
    if end > len(data):
        raise Unlike("levels cut short")
    return _unpacked(data[first:end], bits, _LEVELS[: 1 << bits], np.empty(count, np.uint8)), end


def _looked_up(data: Levels, at: int, count: int, dictionary: Floats) -> Floats:
    if at >= len(data) or data[at] > _MOST_BITS:
        raise Unlike("no indexes")
    return _unpacked(data[at + 1 :], int(data[at]), dictionary, np.empty(count, np.float32))


def _unpacked(data: Levels, bits: int, meanings: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
    from .unpack import unpack

    if not unpack(data, bits, meanings, out):
        raise Unlike("indexes cut short or beyond the dictionary")
    return out


def _plain(data: Levels, at: int, count: int) -> Floats:
    if len(data) - at != 4 * count:
        raise Unlike("numbers cut short")
    # levels end at any byte
    return np.require(np.frombuffer(data, "<f4", count, at), requirements="A")
