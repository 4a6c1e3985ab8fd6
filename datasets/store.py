"""Perceptum's own store: a converted log, mapped where it is a folder, read by ranges where it is an object store's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from perceptum.inputs import NotALog, Source
from perceptum.inputs.store import INDEX, LocalFiles, RemoteFiles, StoreSource, filesystem_of

__all__ = ["LOOKS_LIKE", "local_path", "open_source", "recognises"]

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
    if filesystem is not None:
        return StoreSource(RemoteFiles(filesystem, str(path), str(path)))
    if isinstance(path, str) and "://" in path:
        return _remote(path)
    return StoreSource(LocalFiles(Path(path)))


def _remote(url: str) -> Source:
    found, root = filesystem_of(url)
    return StoreSource(RemoteFiles(found, root, url.rstrip("/")))
