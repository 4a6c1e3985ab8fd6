"""Numpy columns as Arrow columns and back, without a copy: one record is one record batch.

Numbers keep their dtype. An (N, k) array is a fixed-size list. Text is a list of code points, each row of one width,
which is how numpy holds it: a view, where Arrow's own strings would have to be made again one by one. Truth values are
uint8, marked in the field.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import BrokenRecord
from ..once import once

__all__ = ["Reader", "batch_of", "columns_of", "read_batch"]

Column = NDArray[Any]

_BOOL = {b"numpy": b"bool"}
_LAST_CODE_POINT = 0x10FFFF


def batch_of(where: str, columns: Mapping[str, Column]) -> Any:
    """Returns a pyarrow RecordBatch over the columns' own memory where that is contiguous; raises BrokenRecord."""
    import pyarrow as pa

    made = {name: _encoded(where, name, column) for name, column in columns.items()}
    fields = [
        pa.field(name, array.type, nullable=False, metadata=_BOOL if columns[name].dtype.kind == "b" else None)
        for name, array in made.items()
    ]
    return pa.record_batch(list(made.values()), schema=pa.schema(fields))


def _encoded(where: str, name: str, column: Column) -> Any:
    import pyarrow as pa

    if column.dtype.kind == "U" and column.ndim == 1:
        width = column.dtype.itemsize // 4
        points = np.ascontiguousarray(column).view(np.uint32)
        starts = np.arange(len(column) + 1, dtype=np.int32) * width
        return pa.ListArray.from_arrays(_numbers(starts), _numbers(points))
    if column.dtype.kind not in "fiub" or column.dtype.itemsize > 8 or column.ndim not in (1, 2):
        raise BrokenRecord(f"{where}: column {name} is {column.dtype} {column.shape}, wanted numbers or text")
    flat = np.ascontiguousarray(column, dtype=column.dtype.newbyteorder("=")).reshape(-1)
    numbers = _numbers(flat.view(np.uint8) if flat.dtype.kind == "b" else flat)
    return numbers if column.ndim == 1 else pa.FixedSizeListArray.from_arrays(numbers, column.shape[1])


def _numbers(flat: Column) -> Any:
    import pyarrow as pa

    return pa.Array.from_buffers(pa.from_numpy_dtype(flat.dtype), len(flat), [None, pa.py_buffer(cast(Any, flat))])


def read_batch(where: str, encoded: Any, schema: Any) -> Any:
    """Returns the RecordBatch in an encapsulated message, over its own memory; raises BrokenRecord.

    With a compressed batch the buffers are made again.
    """
    batch = _opened(where, encoded, schema)
    try:
        nulls = sum(column.null_count for column in batch.columns)
    # pyarrow looks at the columns' names while it writes
    except UnicodeDecodeError as error:
        raise _no_text(where, error) from None
    if nulls:
        raise BrokenRecord(f"{where}: {nulls} nulls, wanted a value in each row")
    return batch


def _opened(where: str, encoded: Any, schema: Any) -> Any:
    import pyarrow as pa

    try:
        batch = pa.ipc.read_record_batch(pa.ipc.read_message(encoded), schema)
        batch.validate()
    # a broken length shows as a MemoryError
    except (pa.ArrowException, OSError, EOFError, ValueError, TypeError, MemoryError) as error:
        reason = " ".join(str(error).split())[:120]
        raise BrokenRecord(
            f"{where}: not a complete record ({reason}); perceptum check reports what is broken"
        ) from error
    return batch


def columns_of(where: str, batch: Any, known: Collection[str]) -> dict[str, Column]:
    """Returns the columns as read-only views of the batch's memory; raises BrokenRecord for names not in `known`."""
    _check_names(where, batch.schema, known)
    return {field.name: _decoded(where, field, batch.column(i)) for i, field in enumerate(batch.schema)}


def _check_names(where: str, schema: Any, known: Collection[str]) -> None:
    try:
        unknown = [name for name in schema.names if name not in known]
    except UnicodeDecodeError as error:
        raise _no_text(where, error) from None
    if unknown:
        raise BrokenRecord(f"{where}: column {unknown[0][:40]!r} is not known; a newer Perceptum may have written it")


def _no_text(where: str, error: UnicodeDecodeError) -> BrokenRecord:
    return BrokenRecord(f"{where}: a column's name is not text ({error.reason}); the file is damaged")


class Reader:
    """Reads the columns of records of one schema: what the schema says is looked at once, and not for each record."""

    def __init__(self, schema: Any, known: Collection[str]) -> None:
        self._schema = schema
        self._known = known

    @once
    def _numbers(self) -> list[tuple[str, np.dtype[Any]]] | None:
        """Each column's name and dtype; None where not all are plain numbers, or a name is not known."""
        try:
            _check_names("", self._schema, self._known)
        except BrokenRecord:
            return None
        dtypes = [None if field.metadata else _number_types().get(field.type.id) for field in self._schema]
        if None in dtypes:
            return None
        return list(zip(self._schema.names, cast(list[np.dtype[Any]], dtypes), strict=True))

    def read(self, where: str, encoded: Any) -> tuple[int, dict[str, Column]]:
        """Returns how many rows there are, and the columns as read-only views of the memory; raises BrokenRecord."""
        numbers = self._numbers
        if numbers is not None:
            batch = _opened(where, encoded, self._schema)
            # its columns' buffers in one list, a bitmap of nulls and the values of each: pyarrow makes an object of
            # every column that is asked for, which takes longer than to read the batch
            _, *buffers = batch.to_struct_array().buffers()
            if not any(buffers[::2]):
                n = batch.num_rows
                return n, {
                    name: _values(data, dtype, n) for (name, dtype), data in zip(numbers, buffers[1::2], strict=True)
                }
        batch = read_batch(where, encoded, self._schema)
        return len(batch), columns_of(where, batch, self._known)


def _decoded(where: str, field: Any, array: Any) -> Column:
    from pyarrow import types

    if array.type.id in _number_types():
        values = _view(where, field.name, array, len(array), array.offset)
    elif types.is_list(array.type):
        return _text(where, field.name, array)
    elif types.is_fixed_size_list(array.type):
        width = array.type.list_size
        values = _view(where, field.name, array.values, len(array) * width, array.offset * width)
        values = values.reshape(len(array), width)
    else:
        raise BrokenRecord(f"{where}: column {field.name} is {array.type}, wanted numbers")
    return values.view(np.bool_) if values.dtype == np.uint8 and (field.metadata or {}) == _BOOL else values


@cache
def _number_types() -> Mapping[int, np.dtype[Any]]:
    """Arrow's number of a type -> its dtype; asking pyarrow for each column took a third of a sweep's reading."""
    import pyarrow as pa

    dtypes = [np.dtype(f"{kind}{size}") for kind in "fiu" for size in (1, 2, 4, 8) if (kind, size) != ("f", 1)]
    return {pa.from_numpy_dtype(dtype).id: dtype for dtype in dtypes}


def _view(where: str, name: str, array: Any, count: int, first: int) -> Column:
    dtype = _number_types().get(array.type.id)
    if dtype is None:
        raise BrokenRecord(f"{where}: column {name} is {array.type}, wanted numbers")
    return _values(array.buffers()[-1], dtype, count, first)


def _values(data: Any, dtype: np.dtype[Any], count: int, first: int = 0) -> Column:
    values = np.frombuffer(data, dtype, count, first * dtype.itemsize) if count and data else np.zeros(0, dtype)
    # what was decompressed is in memory of our own, which could be written to
    if values.flags.writeable:
        values.flags.writeable = False
    return values


def _text(where: str, name: str, array: Any) -> Column:
    if str(array.type.value_type) != "uint32":
        raise BrokenRecord(f"{where}: column {name} is {array.type}, wanted lists of code points")
    if len(array) == 0:
        return np.zeros(0, np.str_)
    starts = np.frombuffer(array.buffers()[1], np.int32, len(array) + 1, array.offset * 4)
    width, first, end = int(starts[1]) - int(starts[0]), int(starts[0]), int(starts[-1])
    even = width > 0 and (starts[1:] - starts[:-1] == width).all() and first >= 0 and end <= len(array.values)
    points = _view(where, name, array.values, end - first, array.values.offset + first) if even else None
    if points is None or points.max() > _LAST_CODE_POINT:
        raise BrokenRecord(f"{where}: column {name} is not text of one width")
    return points.view(f"=U{width}")
