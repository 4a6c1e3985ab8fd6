"""Outputs of a model over a log, as one Arrow file: a row per frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .errors import UsageError

__all__ = ["ResultsWriter", "read_results"]


About = Mapping[bytes | str, bytes | str]


class ResultsWriter:
    """Writes frames as they come; the file appears under its name when it is whole, and not otherwise.

    Columns: frame int64, time_ns int64, and per output a struct {shape: list<int64>, values: list<dtype>} in
    row-major order. The Arrow schema's metadata tells the log and the model.
    """

    def __init__(
        self, path: Path, outputs: Sequence[Mapping[str, Any]], about: Mapping[bytes | str, bytes | str]
    ) -> None:
        self._path = path
        self._beside = path.with_name(f".{path.name}.part")
        self._dtypes = {
            row["name"]: pa.string() if row["dtype"] == "string" else _type(row["dtype"]) for row in outputs
        }
        fields = [pa.field("frame", pa.int64()), pa.field("time_ns", pa.int64())]
        fields += [pa.field(name, _struct(dtype)) for name, dtype in self._dtypes.items()]
        self._schema = pa.schema(fields, metadata=dict(about))
        self._writer: Any = None

    def __enter__(self) -> Self:
        if not self._path.parent.is_dir():
            raise UsageError(f"cannot write {self._path}: there is no folder {self._path.parent}")
        self._writer = pa.ipc.new_file(str(self._beside), self._schema)
        return self

    def write(self, frame: int, time_ns: int, outputs: Mapping[str, NDArray[Any]]) -> None:
        """Adds one frame; outputs that a model left out are null."""
        columns: list[Any] = [pa.array([frame], pa.int64()), pa.array([time_ns], pa.int64())]
        for name, dtype in self._dtypes.items():
            array = outputs.get(name)
            value = None if array is None else {"shape": list(array.shape), "values": array.ravel().tolist()}
            columns.append(pa.array([value], _struct(dtype)))
        self._writer.write_batch(pa.record_batch(columns, schema=self._schema))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self._writer.close()
            if kind is None:
                self._beside.replace(self._path)
        finally:
            self._beside.unlink(missing_ok=True)


def _type(dtype: str) -> Any:
    return pa.from_numpy_dtype(np.dtype(dtype))


def _struct(dtype: Any) -> Any:
    return pa.struct([pa.field("shape", pa.list_(pa.int64())), pa.field("values", pa.list_(dtype))])


def read_results(path: str | Path) -> Iterator[dict[str, Any]]:
    """Yields per frame {"frame": int, "time_ns": int, output: array, ...} of a file that `perceptum infer` wrote."""
    with pa.memory_map(str(path)) as source:
        reader = pa.ipc.open_file(source)
        for index in range(reader.num_record_batches):
            batch = reader.get_batch(index)
            row: dict[str, Any] = {name: batch.column(name)[0].as_py() for name in ("frame", "time_ns")}
            for field in batch.schema:
                if field.name not in row:
                    row[field.name] = _array(batch.column(field.name)[0], field.type)
            yield row


def _array(value: Any, kind: Any) -> NDArray[Any] | None:
    if not value.is_valid:
        return None
    element = kind.field("values").type.value_type
    dtype = np.dtype(np.str_) if pa.types.is_string(element) else np.dtype(element.to_pandas_dtype())
    return np.array(value["values"].as_py(), dtype=dtype).reshape(value["shape"].as_py())
