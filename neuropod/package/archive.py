"""The files of a package, in a folder or in a zip file. What a hostile zip may hold is refused before it is read."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Protocol

from ..errors import NeuropodError
from .tied_folder import TiedFolder

__all__ = ["Files", "FolderFiles", "ZipFiles", "check_growth", "copy_file", "read_start", "write_zip"]

# a real model's zip grows a few times; DEFLATE can grow 1032 times
MAX_GROWTH = 200
SMALL_BYTES = 256 << 20
READABLE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_METHODS = "a package is stored or deflated (ZIP_STORED, ZIP_DEFLATED)"

_ZIP_TIME = (2000, 1, 1, 0, 0, 0)


class Files(Protocol):
    """Named files; a name is a path inside the package, with slashes."""

    @property
    def names(self) -> frozenset[str]: ...

    def open(self, name: str) -> AbstractContextManager[IO[bytes]]: ...

    def read(self, name: str) -> bytes: ...

    def size_bytes(self, name: str) -> int: ...

    is_temporary: bool
    """Whether `folder` gives files that were made for it, and that `close` deletes."""

    def folder(self, name: str) -> Path:
        """Returns a real folder with what lies under `name` ("" is all); a zip is extracted for it, once."""
        ...

    def close(self) -> None:
        """Deletes what was extracted, and closes the file; what is asked for later opens it again."""
        ...


def copy_file(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Copies what is to be packed; raises NeuropodError for a pipe, which would be waited for, and for a device, which
    would be read without end."""
    if os.path.exists(source) and not os.path.isfile(source):
        raise NeuropodError(f"'{os.fspath(source)}' is not a file; only files can be packed")
    shutil.copyfile(source, target)


def read_start(files: Files, name: str, most_bytes: int) -> bytes:
    """Returns a file's first bytes: of one that is larger than it should be, no more than shows it."""
    with files.open(name) as stream:
        return stream.read(most_bytes)


class FolderFiles:
    """A package that is a folder."""

    is_temporary = False

    def __init__(self, root: Path) -> None:
        self._root = root
        home = root.resolve()
        self.names = frozenset(path.relative_to(root).as_posix() for path in _files_under(root, home))

    def open(self, name: str) -> AbstractContextManager[IO[bytes]]:
        return (self._root / name).open("rb")

    def read(self, name: str) -> bytes:
        return (self._root / name).read_bytes()

    def size_bytes(self, name: str) -> int:
        return (self._root / name).stat().st_size

    def folder(self, name: str) -> Path:
        return self._root / name

    def close(self) -> None:
        """There is nothing to delete: the folder is the package."""


def _files_under(root: Path, home: Path) -> Iterator[Path]:
    """Yields every file; raises NeuropodError for what is none, and for links that lead out or are folders.

    A linked folder would be read by frameworks and by Python's import, and be in no manifest.
    """
    for folder, folders, files in os.walk(root):
        for path in (Path(folder, name) for name in (*folders, *files)):
            shown = path.relative_to(root)
            # not Path.resolve, to which a link to itself is an error
            if path.is_symlink() and (path.is_dir() or not Path(os.path.realpath(path)).is_relative_to(home)):
                raise NeuropodError(f"'{shown}' is a link to another place; copy its target into the package")
            if path.is_file():
                yield path
            elif not path.is_dir():
                raise NeuropodError(f"'{shown}' is not a file; take it out of the package")


class ZipFiles:
    """A package that is a zip file. It is checked whole when it is opened, and stays open until it is closed."""

    is_temporary = True

    def __init__(self, path: Path) -> None:
        self._path = path
        self._archive: zipfile.ZipFile | None = None
        self._extracted: dict[str, TiedFolder] = {}
        with _reading():
            entries = [e for e in self._opened().infolist() if not e.is_dir()]
        for entry in entries:
            _check_entry(entry)
        check_growth(entries, path.stat().st_size)
        self.names = frozenset(e.filename for e in entries)
        if len(self.names) != len(entries):
            twice, _ = Counter(e.filename for e in entries).most_common(1)[0]
            raise NeuropodError(f"the file '{twice}' is in the zip file twice; get the package again")

    def _opened(self) -> zipfile.ZipFile:
        if self._archive is None:
            self._archive = zipfile.ZipFile(self._path)
        return self._archive

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        with _reading(), self._opened().open(name) as stream:
            yield stream

    def read(self, name: str) -> bytes:
        with self.open(name) as stream:
            return stream.read()

    def size_bytes(self, name: str) -> int:
        return self._opened().getinfo(name).file_size

    def folder(self, name: str) -> Path:
        if name not in self._extracted:
            self._extracted[name] = self._extract(name)
        return self._extracted[name].path / name

    def _extract(self, name: str) -> TiedFolder:
        target = TiedFolder()
        try:
            (target.path / name).mkdir(parents=True, exist_ok=True)
            for file in sorted(self.names):
                if not name or file.startswith(f"{name}/"):
                    self._extract_file(file, target.path / file)
        except BaseException:
            target.close()
            raise
        return target

    def _extract_file(self, name: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with self.open(name) as source, path.open("xb") as out:
            shutil.copyfileobj(source, out, 1 << 20)

    def close(self) -> None:
        while self._extracted:
            self._extracted.popitem()[1].close()
        if self._archive is not None:
            self._archive.close()
            self._archive = None


@contextmanager
def _reading() -> Iterator[None]:
    """Says in one way what Python's zipfile says in many: the file is broken."""
    try:
        yield
    except NeuropodError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, struct.error) as error:
        raise NeuropodError(f"not a complete zip file ({error}); get the package again") from error
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise NeuropodError("not a complete zip file (it points outside of itself); get the package again") from error


def _check_entry(entry: zipfile.ZipInfo) -> None:
    name = entry.filename
    parts = name.split("/")
    if name.startswith("/") or "\\" in name or ":" in parts[0] or any(part in ("", ".", "..") for part in parts):
        raise NeuropodError(f"the zip file holds the path '{name}', which leads out of the package; do not use it")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise NeuropodError(f"'{name}' in the zip file is a link or a device, not a file; do not use it")
    if entry.compress_type not in READABLE:
        # for the others Python's zipfile unpacks a whole chunk at once, whatever size the entry claims: a few kilobytes
        # of bzip2 are gigabytes of memory
        raise NeuropodError(f"'{name}' in the zip file is compressed by method {entry.compress_type}; {_METHODS}")
    if entry.flag_bits & 1:
        raise NeuropodError(f"'{name}' in the zip file is encrypted; make the package without a password")


def check_growth(entries: list[zipfile.ZipInfo], size_bytes: int) -> None:
    """Raises NeuropodError where the zip file is small and what it holds is large."""
    whole_bytes = sum(entry.file_size for entry in entries)
    if whole_bytes > SMALL_BYTES and whole_bytes > MAX_GROWTH * size_bytes:
        raise NeuropodError(
            f"the zip file of {size_bytes} bytes holds {whole_bytes} bytes, more than {MAX_GROWTH} times as much; "
            "if you trust it, unpack it and load the folder"
        )


def write_zip(folder: Path, target: Path, compression: int) -> None:
    """Writes all files of `folder`, sorted, dated 2000-01-01: the same files give the same bytes."""
    if compression not in READABLE:
        raise NeuropodError(f"zip_compression is {compression}; {_METHODS}")
    paths = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    with zipfile.ZipFile(target, "x", compression, strict_timestamps=True) as archive:
        for name in paths:
            info = zipfile.ZipInfo(name, _ZIP_TIME)
            info.compress_type = compression
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            info.file_size = (folder / name).stat().st_size  # lets zipfile choose zip64 where it must
            with (folder / name).open("rb") as source, archive.open(info, "w") as out:
                shutil.copyfileobj(source, out, 1 << 20)
