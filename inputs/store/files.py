"""Bytes of a store: mapped where it is a folder, read by ranges where it is in an object store."""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Any, Protocol

from ..errors import BrokenRecord, LogError, MissingRecord, NotALog
from ..once import Guard
from ..opened import kept_meanwhile, note_elsewhere
from ..regular_file import IrregularFile, open_regular, regular_status
from .layout import is_inside

__all__ = ["Files", "LocalFiles", "RemoteFiles", "filesystem_of"]

_KEPT_OPEN = 512
_WORDS = 8


class Files(Protocol):
    """The files of one store. Paths are relative, with forward slashes; a path that leads outside is refused."""

    location: str

    def size(self, path: str) -> int:
        """Returns bytes; raises MissingRecord."""
        ...

    def whole(self, path: str) -> Any:
        """Returns the file as a pyarrow Buffer; raises MissingRecord or BrokenRecord."""
        ...

    def part(self, path: str, offset: int, size: int) -> Any:
        """Returns a range of the file as a pyarrow Buffer; raises MissingRecord or BrokenRecord."""
        ...

    def names(self) -> list[str]:
        """Returns the paths of all files, sorted."""
        ...


class LocalFiles:
    """A folder. Each file is mapped once, when it is first needed; buffers are views of the map."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.location = str(folder)
        self._maps: dict[str, Any] = {}
        self._opening = Guard()

    def __reduce__(self) -> tuple[type[LocalFiles], tuple[Path]]:
        return LocalFiles, (self.folder,)

    def size(self, path: str) -> int:
        return self._checked(path).st_size

    def whole(self, path: str) -> Any:
        with self._opening:
            found = self._maps.get(path)
            if found is None:
                # views keep their map alive: only our own reference is dropped
                while len(self._maps) >= _KEPT_OPEN:
                    del self._maps[next(iter(self._maps))]
                # kept for other records too
                kept = kept_meanwhile()
                kept.append(None)
                try:
                    found = self._maps[path] = self._map(path)
                finally:
                    kept.pop()
        return found

    def part(self, path: str, offset: int, size: int) -> Any:
        whole = self.whole(path)
        _check_range(f"{self.location}/{path}", offset, size, whole.size)
        return whole.slice(offset, size)

    def names(self) -> list[str]:
        walked = os.walk(self.folder)
        return sorted(os.path.relpath(os.path.join(at, name), self.folder) for at, _, files in walked for name in files)

    def _checked(self, path: str) -> os.stat_result:
        _check_path(self.location, path)
        try:
            return regular_status(self.folder / path)
        except IrregularFile as error:
            raise BrokenRecord(f"{self.location}/{path}: {error.strerror}; convert again") from None
        except OSError as error:
            raise MissingRecord(f"{self.location}/{path}: cannot be opened ({error.strerror}); convert again") from None

    def _map(self, path: str) -> Any:
        import pyarrow as pa

        if self._checked(path).st_size == 0:
            return pa.py_buffer(b"")
        try:
            # not pa.memory_map: its reads advise the kernel to fetch the whole file
            with open_regular(self.folder / path) as file:
                return pa.py_buffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except (OSError, ValueError) as error:
            raise BrokenRecord(f"{self.location}/{path}: cannot be mapped ({error})") from error


class RemoteFiles:
    """A prefix of a pyarrow file system. Only the ranges that are asked for are read; each read is a copy."""

    def __init__(self, filesystem: Any, root: str, location: str) -> None:
        self.filesystem = filesystem
        self.root = root.rstrip("/")
        self.location = location
        self._open: dict[str, Any] = {}
        self._opening = Guard()

    def __reduce__(self) -> tuple[type[RemoteFiles], tuple[Any, str, str]]:
        return RemoteFiles, (self.filesystem, self.root, self.location)

    def size(self, path: str) -> int:
        return int(self._file(path).size())

    def whole(self, path: str) -> Any:
        return self.part(path, 0, self.size(path))

    def part(self, path: str, offset: int, size: int) -> Any:
        import pyarrow as pa

        note_elsewhere(f"{self.location}/{path}")
        file, where = self._file(path), f"{self.location}/{path}"
        _check_range(where, offset, size, int(file.size()))
        try:
            found = file.read_at(size, offset)
        except (OSError, pa.ArrowException) as error:
            raise BrokenRecord(f"{where}: {size} bytes from {offset} on cannot be read ({_line(error)})") from error
        if len(found) != size:
            raise BrokenRecord(f"{where}: {len(found)} bytes from {offset} on, wanted {size}; the file is cut short")
        return pa.py_buffer(found)

    def names(self) -> list[str]:
        from pyarrow import fs

        listed = self.filesystem.get_file_info(fs.FileSelector(self.root, recursive=True))
        return sorted(info.path[len(self.root) + 1 :] for info in listed if info.type == fs.FileType.File)

    def _file(self, path: str) -> Any:
        import pyarrow as pa

        _check_path(self.location, path)
        with self._opening:
            if path not in self._open:
                while len(self._open) >= _KEPT_OPEN:
                    del self._open[next(iter(self._open))]
                try:
                    self._open[path] = self.filesystem.open_input_file(f"{self.root}/{path}")
                except (OSError, pa.ArrowException) as error:
                    raise MissingRecord(f"{self.location}/{path}: cannot be opened ({_line(error)})") from error
            return self._open[path]


def filesystem_of(url: str) -> tuple[Any, str]:
    """Returns the pyarrow file system and the path in it of s3://, gs:// or file://; raises NotALog or LogError."""
    import pyarrow as pa
    from pyarrow import fs

    try:
        return fs.FileSystem.from_uri(url)
    except (ValueError, pa.ArrowException) as error:
        raise NotALog(f"{url}: no address that we can open ({_line(error)}); wanted s3://, gs:// or file://") from error
    except OSError as error:
        raise LogError(f"{url}: cannot be reached ({_line(error)})") from error


def _check_path(location: str, path: str) -> None:
    if not is_inside(path):
        raise BrokenRecord(f"{location}: the index names the file {path[:80]!r}, wanted one inside the store")


def _check_range(where: str, offset: int, size: int, there: int) -> None:
    if offset < 0 or size < 0 or offset % _WORDS or offset + size > there:
        raise BrokenRecord(f"{where}: {there} bytes, wanted {size} from {offset} on; the file is cut short or replaced")


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:160]
