"""An array as one cell of an Arrow table: its shape, and its values in row-major order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["array_of", "cell_kind", "column_of"]


def cell_kind(dtype: str | np.dtype[Any]) -> Any:
    """Returns the Arrow type of a column of arrays: struct {shape: list<int64>, values: list<dtype>}.

    dtype: numpy's, or its name; "string" and numpy's own kinds of text are Arrow's strings.
    """
    is_text = dtype == "string" if isinstance(dtype, str) else dtype.kind == "U"
    values = pa.string() if is_text else pa.from_numpy_dtype(np.dtype(dtype))
    return pa.struct([pa.field("shape", pa.list_(pa.int64())), pa.field("values", pa.list_(values))])


def column_of(array: NDArray[Any] | None, kind: Any) -> Any:
    """Returns a column of one cell; the numbers go over as they lie in memory."""
    if array is None:
        return pa.nulls(1, kind)
    shape = pa.array([list(array.shape)], kind.field("shape").type)
    flat = pa.array(array.ravel(), kind.field("values").type.value_type)
    values = pa.ListArray.from_arrays(pa.array([0, len(flat)], pa.int32()), flat)
    return pa.StructArray.from_arrays([shape, values], fields=[kind.field("shape"), kind.field("values")])


def array_of(cell: Any) -> NDArray[Any] | None:
    """Returns the array in a cell, the caller's own; None where there is none. Text is a unicode array."""
    if not cell.is_valid:
        return None
    values = cell["values"].values
    is_text = pa.types.is_string(values.type)
    # a copy: the file is unmapped when the reader is done
    flat = np.array(values.to_pylist(), dtype=np.str_) if is_text else values.to_numpy(zero_copy_only=False).copy()
    return flat.reshape(cell["shape"].as_py())
