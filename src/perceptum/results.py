"""Outputs of a model over a log, as one Arrow file: a row per frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .errors import UsageError
from .output_file import check_ending, whole_file

__all__ = ["ResultsWriter", "read_results"]

About = Mapping[bytes | str, bytes | str]

_OWN = {"frame": pa.int64(), "frame_id": pa.string(), "time_ns": pa.int64()}


class ResultsWriter:
    """Writes frames as they come; the file appears under its name when it is whole, and not otherwise.

    Columns: frame int64, frame_id string, time_ns int64, and per output a struct {shape: list<int64>, values:
    list<dtype>} in row-major order. The Arrow schema's metadata tells the log and the model.
    """

    def __init__(self, path: Path, outputs: Sequence[Mapping[str, Any]], about: About) -> None:
        check_ending(path, (".arrow", ".feather", ".ipc"), "results are an Arrow file, which pyarrow.feather reads")
        self._path = path
        self._kinds = {row["name"]: _struct(_type(row["dtype"])) for row in outputs}
        for name in _OWN:
            if name in self._kinds:
                raise UsageError(f"cannot write {path}: the model's output '{name}' has the name of a column of ours")
        fields = [pa.field(name, kind) for name, kind in _OWN.items()]
        fields += [pa.field(name, kind) for name, kind in self._kinds.items()]
        self._schema = pa.schema(fields, metadata=dict(about))
        self._open = ExitStack()
        self._writer: Any = None

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            beside = opening.enter_context(whole_file(self._path))
            self._writer = opening.enter_context(pa.ipc.new_file(str(beside), self._schema))
            self._open = opening.pop_all()
        return self

    def write(self, frame: int, time_ns: int, outputs: Mapping[str, NDArray[Any]], frame_id: str | None = None) -> None:
        """Adds one frame, called by its time where no id is given; outputs that a model left out are null."""
        own = (frame, str(time_ns) if frame_id is None else frame_id, time_ns)
        columns: list[Any] = [pa.array([value], kind) for value, kind in zip(own, _OWN.values(), strict=True)]
        columns += [_column(outputs.get(name), kind) for name, kind in self._kinds.items()]
        self._writer.write_batch(pa.record_batch(columns, schema=self._schema))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open.__exit__(kind, error, at)


def _type(dtype: str) -> Any:
    return pa.string() if dtype == "string" else pa.from_numpy_dtype(np.dtype(dtype))


def _struct(dtype: Any) -> Any:
    return pa.struct([pa.field("shape", pa.list_(pa.int64())), pa.field("values", pa.list_(dtype))])


def _column(array: NDArray[Any] | None, kind: Any) -> Any:
    """Returns a column of one cell; the numbers go over as they lie in memory."""
    if array is None:
        return pa.nulls(1, kind)
    shape = pa.array([list(array.shape)], kind.field("shape").type)
    flat = pa.array(array.ravel(), kind.field("values").type.value_type)
    values = pa.ListArray.from_arrays(pa.array([0, len(flat)], pa.int32()), flat)
    return pa.StructArray.from_arrays([shape, values], fields=[kind.field("shape"), kind.field("values")])


def read_results(path: str | Path) -> Iterator[dict[str, Any]]:
    """Yields per frame {"frame": int, "frame_id": str, "time_ns": int, output: array, ...} of a file of `infer`.

    A file of an older Perceptum has no frame_id. The arrays are the caller's own; strings are unicode arrays, and an
    output that the model left out is None.
    """
    with pa.memory_map(str(path)) as source:
        reader = pa.ipc.open_file(source)
        for index in range(reader.num_record_batches):
            batch = reader.get_batch(index)
            there = [name for name in _OWN if name in batch.schema.names]
            row: dict[str, Any] = {name: batch.column(name)[0].as_py() for name in there}
            for field in batch.schema:
                if field.name not in row:
                    row[field.name] = _array(batch.column(field.name)[0])
            yield row


def _array(cell: Any) -> NDArray[Any] | None:
    if not cell.is_valid:
        return None
    values = cell["values"].values
    is_text = pa.types.is_string(values.type)
    # a copy: the file is unmapped when the reader is done
    flat = np.array(values.to_pylist(), dtype=np.str_) if is_text else values.to_numpy().copy()
    return flat.reshape(cell["shape"].as_py())
