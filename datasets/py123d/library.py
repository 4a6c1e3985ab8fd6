"""The door to the py123d library: one log folder, its tables and records, and its errors with a name."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord, LogError
from perceptum.install import install_command

from ..reading.files import check_file

__all__ = ["Py123dFolder"]

_TIME, _DATA = "timestamp_us", "data"


class Py123dFolder:
    """One folder; the library maps its tables when they are first needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        _check_files(folder)
        self._library = _library()
        with self.told(str(folder)):
            self.scene: Any = self._library.ArrowSceneAPI(folder)
            self.metadata: Mapping[str, Any] = dict(self.scene.get_all_modality_metadatas())

    @property
    def keys(self) -> list[str]:
        """The tables that there are: lidar.lidar_merged, camera.pcam_f0, ..."""
        return sorted(self.metadata)

    @contextmanager
    def told(self, source: str) -> Iterator[None]:
        """Turns what the library and Arrow raise on a damaged log into a BrokenRecord that names the record."""
        import pyarrow as pa

        try:
            yield
        except LogError:
            raise
        # the library checks with assertions; a damaged table or blob shows as any of these
        except (
            AssertionError,
            AttributeError,
            TypeError,
            LookupError,
            ValueError,
            OSError,
            RuntimeError,
            ArithmeticError,
            MemoryError,
            pa.ArrowException,
        ) as error:
            said = " ".join((str(error) or type(error).__name__).split())[:160]
            raise BrokenRecord(f"{source}: py123d cannot read it ({said})") from error

    def _table(self, key: str) -> Any:
        table = self._library.get_modality_table(self._folder, key)
        if table is None:
            raise BrokenRecord(f"{self._folder / key}.arrow: no such file; the log's index names it")
        return table

    def times_ns(self, key: str) -> NDArray[np.int64]:
        """Returns (n,) the stamps of a table, stored in microseconds."""
        with self.told(f"{self._folder / key}.arrow"):
            times_us = self._table(key)[f"{key}.{_TIME}"].to_numpy()
            return np.asarray(times_us, dtype=np.int64) * 1000

    def record(self, key: str, index: int) -> Any:
        """Returns one decoded record of the library."""
        self._check_path(key, index)
        kind, _, id = key.partition(".")
        time_us = int(self._table(key)[f"{key}.{_TIME}"][index].as_py())
        found = self.scene.get_modality_at_timestamp(time_us, kind, id or None, criteria="exact")
        if found is None:
            raise BrokenRecord(f"{self._folder / key}.arrow: row {index} at {time_us} us holds no record")
        return found

    def all(self, key: str) -> list[Any]:
        """Returns every record of a table, in order."""
        with self.told(f"{self._folder / key}.arrow"):
            kind, _, id = key.partition(".")
            times = self._table(key)[f"{key}.{_TIME}"].to_numpy()
            if not len(times):
                raise BrokenRecord(f"{self._folder / key}.arrow: no rows")
            first, last = int(times.min()), int(times.max())
            return list(self.scene.get_modality_between_timestamps(first, last, kind, id or None, inclusive="both"))

    def holds_bytes(self, key: str) -> bool:
        """Whether the pictures of a camera lie in its table as JPEG or PNG."""
        import pyarrow as pa

        kind = self._table(key).schema.field(f"{key}.{_DATA}").type
        return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))

    def encoded(self, key: str, index: int, source: str) -> bytes:
        with self.told(source):
            value = self._table(key)[f"{key}.{_DATA}"][index].as_py()
        if not isinstance(value, bytes):
            raise BrokenRecord(f"{source}: row {index} holds no picture")
        return value

    def _check_path(self, key: str, index: int) -> None:
        """A record that lies in a file of the original dataset must lie below that dataset's root."""
        column = f"{key}.{_DATA}"
        table = self._table(key)
        value = table[column][index].as_py() if column in table.column_names else None
        if isinstance(value, str) and (PurePosixPath(value).is_absolute() or ".." in PurePosixPath(value).parts):
            raise BrokenRecord(f"{self._folder / key}.arrow: row {index} names {value[:80]!r}, outside of the dataset")


def _check_files(folder: Path) -> None:
    """Raises BrokenRecord for a pipe or device among the log's files: the library opens them itself, and would wait."""
    for path in sorted(folder.iterdir()):
        if not path.is_dir() and os.path.exists(path):
            check_file(path, "py123d would wait for it")


class _Library:
    """The two names of the library that we use."""

    def __init__(self) -> None:
        from py123d.api.scene.arrow.arrow_scene_api import ArrowSceneAPI
        from py123d.api.scene.arrow.modalities.sync_utils import get_modality_table

        self.ArrowSceneAPI, self.get_modality_table = ArrowSceneAPI, get_modality_table


def _library() -> _Library:
    try:
        return _Library()
    except ImportError as error:
        raise LogError(f"reading logs of py123d needs its library: {install_command('py123d')}") from error
