"""Columns of a Feather (Arrow IPC) file, checked: names, kinds of dtype, no nulls, nothing cut short."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord, LogError, MissingRecord

from .files import read_bytes

__all__ = ["Kind", "read_columns"]

Kind = Literal["float", "int", "text"]

_MAGIC = b"ARROW1"
_LONGEST_TEXT = 256


def read_columns(
    path: Path, kinds: Mapping[str, Kind], what: str, optional: Collection[str] = (), nulls: bool = False
) -> dict[str, NDArray[Any]]:
    """Returns the named columns, each 1-D, contiguous and ours, in the dtype they are stored in (text as str).

    `what` says what is lost where the file is missing; an `optional` column that is not there is left out. A null is
    an error; with `nulls`, in a column of floats, it is NaN. Raises MissingRecord or BrokenRecord.
    """
    import pyarrow as pa

    # read, not mapped: as fast (published files are LZ4), and a file that shrinks meanwhile cannot end the process
    encoded = read_bytes(path, what)
    _check_magic(path, encoded)
    try:
        return _columns(path, pa.py_buffer(encoded), kinds, optional, nulls)
    except LogError:
        raise
    # ArrowInvalid is a ValueError, ArrowIOError an OSError; a broken length shows as a MemoryError
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        reason = " ".join(str(error).split())[:120]
        raise BrokenRecord(f"{path}: not a complete Feather file ({reason})") from error


def _check_magic(path: Path, encoded: bytes) -> None:
    if not encoded.startswith(_MAGIC):
        raise BrokenRecord(f"{path}: starts with {encoded[:6]!r}, wanted {_MAGIC!r} (Feather version 2)")
    if not encoded.endswith(_MAGIC):
        raise BrokenRecord(f"{path}: {len(encoded)} bytes do not end with {_MAGIC!r}; the file is cut short")


def _columns(
    path: Path, buffer: Any, kinds: Mapping[str, Kind], optional: Collection[str], nulls: bool
) -> dict[str, NDArray[Any]]:
    import pyarrow as pa

    table = pa.ipc.open_file(buffer).read_all()
    table.validate(full=True)
    found = {}
    for name, kind in kinds.items():
        if table.column_names.count(name) == 1:
            found[name] = _column(path, name, table.column(name), kind, nulls and kind == "float")
        elif name not in optional:
            there = ", ".join(table.column_names[:12]) or "none"
            raise MissingRecord(f"{path}: {table.column_names.count(name)} columns {name}, wanted 1; it has {there}")
    return found


def _column(path: Path, name: str, column: Any, kind: Kind, nulls: bool) -> NDArray[Any]:
    if not _is(column.type, kind):
        raise BrokenRecord(f"{path}: column {name} is {column.type}, wanted {kind}")
    if column.null_count and not nulls:
        raise BrokenRecord(f"{path}: column {name} has {column.null_count} nulls, wanted a value in each row")
    if kind == "text":
        return _text(path, name, column.to_pylist())
    parts = [chunk.to_numpy(zero_copy_only=False) for chunk in column.chunks]
    # concatenate copies, also a single part
    values = np.concatenate(parts) if parts else np.zeros(0, column.type.to_pandas_dtype())
    if values.dtype == np.uint64 and len(values) and values.max() > np.iinfo(np.int64).max:
        raise BrokenRecord(f"{path}: column {name} holds {values.max()}, which does not fit int64")
    return values


def _is(dtype: Any, kind: Kind) -> bool:
    from pyarrow import types

    if kind == "float":
        return bool(types.is_floating(dtype))
    if kind == "int":
        return bool(types.is_integer(dtype))
    value = dtype.value_type if types.is_dictionary(dtype) else dtype
    return bool(types.is_string(value) or types.is_large_string(value))


def _text(path: Path, name: str, texts: list[str]) -> NDArray[np.str_]:
    longest = max(map(len, texts), default=0)
    if longest > _LONGEST_TEXT:
        raise BrokenRecord(
            f"{path}: column {name} holds a text of {longest} characters, wanted at most {_LONGEST_TEXT}"
        )
    return np.array(texts, dtype=np.str_)
