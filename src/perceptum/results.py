"""Outputs of a model over a log, as one Arrow or Parquet file: a row per frame.

Outputs are kept as the model gave them. The frame of reference of each is kept beside its column, and where that is the
lidar's, each row has the way to the ego frame.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from perceptum.features import ReferenceFrame
from perceptum.inputs.poses import moved_boxes

from .array_cells import array_of, cell_kind, column_of
from .errors import UsageError
from .output_file import check_ending, whole_file

__all__ = ["ENDINGS", "ResultsWriter", "check_results_name", "read_results", "results_log"]

ENDINGS = (".arrow", ".feather", ".ipc", ".parquet")
"""Endings of result files: all but the last are Arrow's own format, which Feather is too."""

About = Mapping[bytes | str, bytes | str]

_OWN = {"frame": pa.int64(), "frame_id": pa.string(), "time_ns": pa.int64()}
_MOUNTING = "ego_from_lidar"


def check_results_name(path: Path) -> None:
    """Raises UsageError for a name that promises a format which results are not written in."""
    check_ending(path, ENDINGS, "results are an Arrow file, which pyarrow.feather reads, or a .parquet file")


class ResultsWriter:
    """Writes frames as they come; the file appears under its name only when it is complete.

    A name that ends in .parquet makes a Parquet file, every other an Arrow file (IPC), in batches of one frame. A name
    that promises another format is a UsageError.
    Columns: frame int64, frame_id string, time_ns int64, and per output a struct {shape: list<int64>, values:
    list<dtype>} in row-major order. The Arrow schema's metadata names the log and the model, an output's field the
    frame of reference that `frames` gives. Where one is in the lidar's axes, a column ego_from_lidar has 16 float64.
    """

    def __init__(
        self,
        path: Path,
        outputs: Sequence[Mapping[str, Any]],
        about: About,
        frames: Mapping[str, ReferenceFrame] | None = None,
    ) -> None:
        check_results_name(path)
        self._path = path
        self._kinds = {row["name"]: cell_kind(row["dtype"]) for row in outputs}
        frames = frames or {}
        self._own = _OWN | ({_MOUNTING: pa.list_(pa.float64(), 16)} if "lidar" in frames.values() else {})
        for name in self._own:
            if name in self._kinds:
                raise UsageError(f"cannot write {path}: the model's output '{name}' has the name of a column of ours")
        notes = {name: {"frame": frames[name]} if name in frames else None for name in self._kinds}
        fields = [pa.field(name, kind) for name, kind in self._own.items()]
        fields += [pa.field(name, kind, metadata=notes[name]) for name, kind in self._kinds.items()]
        self._schema = pa.schema(fields, metadata=dict(about))
        self._open = ExitStack()
        self._writer: Any = None

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            beside = opening.enter_context(whole_file(self._path))
            self._writer = opening.enter_context(self._new_file(str(beside)))
            self._open = opening.pop_all()
        return self

    def _new_file(self, beside: str) -> Any:
        if not _is_parquet(self._path):
            return pa.ipc.new_file(beside, self._schema)
        from pyarrow import parquet

        # the schema with its metadata, as the Arrow file has it
        return parquet.ParquetWriter(beside, self._schema, store_schema=True)

    @property
    def wants_mounting(self) -> bool:
        """Whether an output is in the lidar's axes, so that a frame comes with ego_from_lidar."""
        return _MOUNTING in self._own

    def write(
        self,
        frame: int,
        time_ns: int,
        outputs: Mapping[str, NDArray[Any]],
        frame_id: str | None = None,
        ego_from_lidar: NDArray[np.float64] | None = None,
    ) -> None:
        """Adds one frame, called by its time where no id is given; outputs that a model left out are null.

        ego_from_lidar: (4, 4), where the primary lidar is mounted, if `wants_mounting`; null where it is not known.
        """
        mounting = None if ego_from_lidar is None else np.asarray(ego_from_lidar, np.float64).ravel()
        own = (frame, str(time_ns) if frame_id is None else frame_id, time_ns, mounting)
        columns: list[Any] = [pa.array([value], kind) for value, kind in zip(own, self._own.values(), strict=False)]
        columns += [column_of(outputs.get(name), kind) for name, kind in self._kinds.items()]
        self._writer.write_batch(pa.record_batch(columns, schema=self._schema))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open.__exit__(kind, error, at)


def results_log(path: str | Path) -> str:
    """Returns where the log lay that the results are of; "" where the file does not say it."""
    with ExitStack() as opening:
        schema, _ = _opened(Path(path), opening)
        return str((schema.metadata or {}).get(b"log", b"").decode())


def read_results(
    path: str | Path, boxes: str | None = None, *, velocity: str | None = None, outputs: Collection[str] | None = None
) -> Iterator[dict[str, Any]]:
    """Yields per frame {"frame": int, "frame_id": str, "time_ns": int, output: array, ...} of a file of `infer`.

    boxes: the name of an output of (n, 7) boxes, which are turned into the ego frame if they are in the lidar's
        axes. Raises UsageError where it is not there, or the file does not say in which axes it is.
    velocity: the name of an output of (n, 2) velocities in the axes of the boxes, which are turned with them; it may be
        absent.
    outputs: the names of those that are read; None: all.

    A file of an older Perceptum has no frame_id. The arrays are the caller's own; strings are unicode arrays, and an
    output that the model left out is None. Where an output is in the lidar's axes, ego_from_lidar is (4, 4) float64,
    None where that was not known.
    """
    with ExitStack() as opening:
        schema, batches = _opened(Path(path), opening)
        turned = boxes if boxes is not None and _frame_of(path, schema, boxes) == "lidar" else None
        for batch in batches:
            there = [name for name in _OWN if name in batch.schema.names]
            row: dict[str, Any] = {name: batch.column(name)[0].as_py() for name in there}
            if _MOUNTING in batch.schema.names and pa.types.is_fixed_size_list(batch.schema.field(_MOUNTING).type):
                mounting = batch.column(_MOUNTING)[0].as_py()
                row[_MOUNTING] = None if mounting is None else np.array(mounting).reshape(4, 4)
            for field in batch.schema:
                if field.name not in row and (outputs is None or field.name in outputs):
                    row[field.name] = array_of(batch.column(field.name)[0])
            if turned is not None and row[turned] is not None:
                if row[_MOUNTING] is None:
                    raise UsageError(f"{path}: frame {row['frame']} does not say where the lidar is mounted")
                row[turned] = moved_boxes(row[turned], row[_MOUNTING])
                if velocity is not None and row.get(velocity) is not None:
                    row[velocity] = row[velocity] @ row[_MOUNTING][:2, :2].T
            yield row


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() == ".parquet"


def _opened(path: Path, opening: ExitStack) -> tuple[Any, Iterator[Any]]:
    """Returns the schema and the batches, one per frame, of a file that `opening` closes."""
    if not _is_parquet(path):
        reader = pa.ipc.open_file(opening.enter_context(pa.memory_map(str(path))))
        return reader.schema, map(reader.get_batch, range(reader.num_record_batches))
    from pyarrow import parquet

    file = opening.enter_context(parquet.ParquetFile(path))
    return file.schema_arrow, file.iter_batches(batch_size=1)


def _frame_of(path: str | Path, schema: Any, output: str) -> str:
    """Returns the frame of reference of an output; raises UsageError where the file does not say it."""
    if output not in schema.names or output in (*_OWN, _MOUNTING):
        known = ", ".join(name for name in schema.names if name not in (*_OWN, _MOUNTING)) or "none"
        raise UsageError(f"{path}: no output '{output}'; there are {known}")
    frame = (schema.field(output).metadata or {}).get(b"frame")
    if frame is None:
        raise UsageError(f"{path}: the frame of reference of the output '{output}' is not known; run infer again")
    return str(frame.decode())
