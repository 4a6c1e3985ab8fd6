"""The files of a finished evaluation: scores.json, frames.parquet, observations.arrow, report.html, setup.json."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from perceptum.array_cells import array_of, cell_kind, column_of
from perceptum.errors import UsageError
from perceptum.output_file import check_folder_name, whole_file
from perceptum.problems import Observation

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "FILES",
    "JOURNAL",
    "SCORES",
    "SETUP",
    "Observations",
    "SavedObservations",
    "read_files",
    "write_files",
    "write_json",
]

SETUP, JOURNAL, SCORES = "setup.json", "journal.bin", "scores.json"
FRAMES, OBSERVATIONS, REPORT = "frames.parquet", "observations.arrow", "report.html"
FILES = (SCORES, FRAMES, OBSERVATIONS, REPORT)
"""Of a finished evaluation; beside them is what it is of."""
_OBSERVED = "observed_"
"""Before the names of what is observed, as columns."""
Observations = Mapping[str, Mapping[int, Observation]]
"""Model -> the frame's number among all -> what it says of the model."""


def write_files(
    folder: Path, scores: Mapping[str, Any], frames: pa.Table, observations: Observations, page: str
) -> None:
    """Writes all files, scores.json last: where that is, the others are whole."""
    import pyarrow as pa
    from pyarrow import parquet

    check_folder_name(folder, "an evaluation is a folder")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SCORES).unlink(missing_ok=True)
    write_json(folder / SETUP, scores["setup"])
    with whole_file(folder / FRAMES) as beside:
        parquet.write_table(frames, beside)
    with whole_file(folder / OBSERVATIONS) as beside:
        schema = _schema(observations)
        with pa.ipc.new_file(str(beside), schema) as writer:
            for model, own in observations.items():
                for position, observation in own.items():
                    writer.write_batch(_batch(model, position, observation, schema))
    with whole_file(folder / REPORT) as beside:
        beside.write_text(page, encoding="utf-8")
    write_json(folder / SCORES, scores)


def read_files(folder: Path) -> tuple[Any, pa.Table]:
    """Returns what is in scores.json and frames.parquet; raises UsageError where the folder has none."""
    from pyarrow import parquet

    if not (folder / SCORES).is_file():
        if (folder / JOURNAL).is_file():
            raise UsageError(f"{folder}: this evaluation is not finished; run its command again to go on with it")
        raise UsageError(f"{folder}: no {SCORES}, so this is not the folder of an evaluation")
    try:
        plain = msgspec.json.decode((folder / SCORES).read_bytes())
    except msgspec.MsgspecError as error:
        raise UsageError(f"{folder / SCORES}: not JSON ({error})") from error
    return plain, parquet.read_table(folder / FRAMES)


def _schema(observations: Observations) -> Any:
    import pyarrow as pa

    kinds: dict[str, np.dtype[Any]] = {}
    for own in observations.values():
        for observation in own.values():
            for name, array in observation.items():
                kinds[name] = np.result_type(kinds[name], array.dtype) if name in kinds else array.dtype
    fields: list[Any] = [pa.field("index", pa.int64()), pa.field("model", pa.string())]
    return pa.schema([*fields, *(pa.field(f"{_OBSERVED}{name}", cell_kind(kind)) for name, kind in kinds.items())])


def _batch(model: str, position: int, observation: Observation, schema: Any) -> Any:
    import pyarrow as pa

    columns: list[Any] = [pa.array([position], pa.int64()), pa.array([model], pa.string())]
    columns += [
        column_of(observation.get(field.name.removeprefix(_OBSERVED)), field.type) for field in list(schema)[2:]
    ]
    return pa.record_batch(columns, schema=schema)


class SavedObservations(Mapping[str, Mapping[int, Observation]]):
    """The observations in a file, read when they are first asked for: most who load an evaluation do not."""

    def __init__(self, folder: Path, models: Iterable[str]) -> None:
        self._path = folder / OBSERVATIONS
        self._models = tuple(models)

    @cached_property
    def _found(self) -> Observations:
        import pyarrow as pa

        found: dict[str, dict[int, Observation]] = {name: {} for name in self._models}
        with pa.memory_map(str(self._path)) as mapped:
            reader = pa.ipc.open_file(mapped)
            for number in range(reader.num_record_batches):
                row = reader.get_batch(number)
                arrays = {name.removeprefix(_OBSERVED): array_of(row.column(name)[0]) for name in row.schema.names[2:]}
                whole = {name: array for name, array in arrays.items() if array is not None}
                found[row.column("model")[0].as_py()][row.column("index")[0].as_py()] = whole
        return found

    def __getitem__(self, model: str) -> Mapping[int, Observation]:
        return self._found[model]

    def __iter__(self) -> Iterator[str]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)


def write_json(path: Path, plain: Any) -> None:
    """Writes plain data, for people too."""
    with whole_file(path) as beside:
        beside.write_bytes(msgspec.json.format(msgspec.json.encode(plain), indent=2))
