"""Named numpy arrays of any shape in one Arrow file: a row per array, its bytes as they lie in memory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BrokenRecord

__all__ = ["arrays_of", "batch_of_arrays"]

_ALIGNED = 64
_KINDS = "fiubU"


def batch_of_arrays(arrays: Mapping[str, NDArray[Any]]) -> Any:
    """Returns a pyarrow RecordBatch with columns name, dtype, shape, data; the data of each begins at 64 bytes."""
    import pyarrow as pa

    schema = pa.schema(
        [
            pa.field("name", pa.string()),
            pa.field("dtype", pa.string()),
            pa.field("shape", pa.list_(pa.int64())),
            pa.field("data", pa.large_binary()),
        ]
    )
    rows = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()}
    columns = [
        pa.array(list(rows), pa.string()),
        pa.array([array.dtype.newbyteorder("<").str for array in rows.values()], pa.string()),
        pa.array([list(array.shape) for array in rows.values()], pa.list_(pa.int64())),
        pa.array([_padded(array) for array in rows.values()], pa.large_binary()),
    ]
    return pa.record_batch(columns, schema=schema)


def _padded(array: NDArray[Any]) -> bytes:
    encoded = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    return encoded + bytes(-len(encoded) % _ALIGNED)


def arrays_of(where: str, batch: Any) -> dict[str, NDArray[Any]]:
    """Returns the arrays as read-only views of the batch's memory; raises BrokenRecord."""
    wanted = ("name: string", "dtype: string", "shape: list<item: int64>", "data: large_binary")
    try:
        found = tuple(f"{field.name}: {field.type}" for field in batch.schema)
    # a name in a damaged file need not be UTF-8
    except UnicodeDecodeError:
        found = ()
    if found != wanted:
        raise BrokenRecord(f"{where}: not the columns of named arrays; convert again")
    names, dtypes, shapes = (batch.column(i).to_pylist() for i in range(3))
    rows = zip(names, dtypes, shapes, _cells(batch.column(3)), strict=True)
    return {str(name): _array(where, str(name), dtype, shape, data) for name, dtype, shape, data in rows}


def _cells(column: Any) -> list[Any]:
    """Returns the bytes of each row, a view; the column is known to be valid in full."""
    import pyarrow as pa

    _, starts, data = column.buffers()
    data = pa.py_buffer(b"") if data is None else data
    ends = np.frombuffer(starts, np.int64, len(column) + 1, column.offset * 8).tolist() if len(column) else [0]
    return [data.slice(a, b - a) for a, b in pairwise(ends)]


def _array(where: str, name: str, dtype_text: str | None, shape: list[int] | None, data: Any) -> NDArray[Any]:
    try:
        dtype = np.dtype(dtype_text or "")
    except TypeError:
        dtype = np.dtype(object)
    sizes = shape or []
    if dtype.kind not in _KINDS or shape is None or any(size is None or size < 0 for size in sizes):
        raise BrokenRecord(f"{where}: {name[:40]} is {str(dtype_text)[:20]!r} of shape {shape}, wanted numbers or text")
    count = math.prod(sizes)
    if count * dtype.itemsize > data.size:
        raise BrokenRecord(f"{where}: {name[:40]} has {data.size} bytes, wanted {count * dtype.itemsize}; cut short")
    flat = np.frombuffer(data, dtype, count) if count and dtype.itemsize else np.zeros(count, dtype)
    flat.flags.writeable = False
    return flat.reshape(sizes)
