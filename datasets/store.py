"""Perceptum's own store: a converted log, mapped where it is a folder, read by ranges where it is an object store's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from perceptum.inputs import MissingRecord, NotALog, Source
from perceptum.inputs.store import INDEX, Files, LocalFiles, RemoteFiles, StoreSource, filesystem_of, unfinished

__all__ = ["LOOKS_LIKE", "local_path", "open_source", "recognises", "unfinished_in"]

LOOKS_LIKE = f"a log that perceptum convert wrote, with {INDEX}"


def recognises(path: Path) -> bool:
    """Whether the folder holds a store's index, which is written last."""
    return os.path.exists(path / INDEX)


def local_path(url: str) -> Path | None:
    """Returns the folder that file:///folder names; None for other addresses. Raises NotALog for another machine's."""
    parts = urlsplit(url)
    if parts.scheme != "file":
        return None
    if parts.netloc not in ("", "localhost"):
        raise NotALog(f"{url}: names the machine '{parts.netloc}', wanted file:///folder with three slashes")
    return Path(unquote(parts.path))


def open_source(path: Path | str, filesystem: Any = None) -> Source:
    """Opens a folder; or an s3:// or gs:// address; or a prefix of the pyarrow file system that is given."""
    files = _files(path, filesystem)
    try:
        return StoreSource(files)
    except MissingRecord:
        said = unfinished(files)
        if said is None:
            raise
        raise NotALog(f"{files.location}: {said}") from None


def unfinished_in(folder: Path) -> str | None:
    """Returns what to say of a conversion that was begun in the folder and not finished; None where there is none."""
    return unfinished(LocalFiles(folder))


def _files(path: Path | str, filesystem: Any) -> Files:
    if filesystem is not None:
        return RemoteFiles(filesystem, str(path), str(path))
    if isinstance(path, str) and "://" in path:
        found, root = filesystem_of(path)
        return RemoteFiles(found, root, path.rstrip("/"))
    return LocalFiles(Path(path))
