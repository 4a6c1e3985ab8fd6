"""Where a store is written: a folder, or a prefix of an object store. Files appear whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from ..errors import LogError
from .files import Files, LocalFiles, RemoteFiles

__all__ = ["LocalTarget", "RemoteTarget", "Target"]


class Target(Protocol):
    """Paths are relative, with forward slashes."""

    location: str

    @property
    def files(self) -> Files:
        """What is written so far, freshly opened."""
        ...

    def writing(self, path: str) -> Any:
        """A context manager that yields a file to write to; after an error nothing of it is left."""
        ...

    def has(self, path: str) -> bool: ...
    def remove(self, path: str) -> None:
        """Removes a file, or a folder with all that is in it, where it is there."""
        ...


class LocalTarget:
    """A folder; a file is written under another name, and then takes its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.location = str(folder)

    @property
    def files(self) -> LocalFiles:
        return LocalFiles(self.folder)

    @contextmanager
    def writing(self, path: str) -> Iterator[Any]:
        final = self.folder / path
        # the process's number: a process that outlives its parent for a moment writes to no file of another
        beside = final.with_name(f".{final.name}.{os.getpid()}")
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            with open(beside, "wb") as file:
                yield file
            beside.replace(final)
        except OSError as error:
            raise LogError(f"{final}: cannot be written ({error.strerror or error})") from error
        finally:
            beside.unlink(missing_ok=True)

    def has(self, path: str) -> bool:
        return (self.folder / path).exists()

    def remove(self, path: str) -> None:
        found = self.folder / path
        if found.is_dir():
            shutil.rmtree(found)
        else:
            found.unlink(missing_ok=True)

    def settle(self) -> None:
        """Removes what processes that were killed left half written, and waits until the rest is on the disk."""
        for path in sorted(self.folder.rglob("*")):
            if path.name.startswith("."):
                path.unlink()
            elif path.is_file():
                _sync(path)


def _sync(path: Path) -> None:
    # once, at the end: waiting after each file kept the processors idle a quarter of the time
    try:
        with open(path, "rb") as file:
            os.fsync(file.fileno())
    except OSError as error:
        raise LogError(f"{path}: cannot be written ({error.strerror or error})") from error


class RemoteTarget:
    """An object appears when it is closed; what an error cut short is deleted."""

    def __init__(self, filesystem: Any, root: str, location: str) -> None:
        self.filesystem = filesystem
        self.root = root.rstrip("/")
        self.location = location

    @property
    def files(self) -> RemoteFiles:
        return RemoteFiles(self.filesystem, self.root, self.location)

    @contextmanager
    def writing(self, path: str) -> Iterator[Any]:
        full = f"{self.root}/{path}"
        try:
            # object stores have no folders; the others need them
            self.filesystem.create_dir(full.rpartition("/")[0], recursive=True)
            try:
                with self.filesystem.open_output_stream(full) as file:
                    yield file
            except BaseException:
                if self.has(path):
                    self.filesystem.delete_file(full)
                raise
        except OSError as error:
            raise LogError(
                f"{self.location}/{path}: cannot be written ({' '.join(str(error).split())[:160]})"
            ) from error

    def has(self, path: str) -> bool:
        from pyarrow import fs

        found = self.filesystem.get_file_info(f"{self.root}/{path}").type
        return bool(found != fs.FileType.NotFound)

    def remove(self, path: str) -> None:
        from pyarrow import fs

        full = f"{self.root}/{path}"
        kind = self.filesystem.get_file_info(full).type
        if kind == fs.FileType.Directory:
            self.filesystem.delete_dir(full)
        elif kind == fs.FileType.File:
            self.filesystem.delete_file(full)
