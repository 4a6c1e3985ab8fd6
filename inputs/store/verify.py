"""Whether the bytes of a store are those that were written: each record against its checksum."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..errors import LogError
from .files import Files
from .index import Index
from .layout import INDEX, INDEX_CHECKSUM, UNFINISHED
from .record_file import Hasher

__all__ = ["broken_files", "broken_index", "broken_records", "stray_files"]


def broken_files(files: Files, index: Index, hasher: Callable[[], Hasher]) -> Iterator[str]:
    """Yields a line for each file that is missing, of another size, or whose own checksum is another."""
    for file in index.files:
        try:
            found = files.size(file.path)
            if found != file.size:
                yield f"{file.path}: {found} bytes, the index says {file.size}"
            elif file.checksum and _hex(files.whole(file.path), hasher) != file.checksum:
                yield f"{file.path}: its checksum is not the one in the index; convert again"
        except LogError as error:
            yield str(error)


def broken_index(files: Files, hasher: Callable[[], Hasher]) -> Iterator[str]:
    """Yields a line where the index is not the one that was written."""
    try:
        wanted = files.whole(INDEX_CHECKSUM).to_pybytes().decode("ascii", errors="replace")[:64].strip()
        if _hex(files.whole(INDEX), hasher) != wanted:
            yield f"{INDEX}: its checksum is not the one in {INDEX_CHECKSUM}; convert again"
    except LogError as error:
        yield str(error)


def broken_records(files: Files, index: Index, hasher: Callable[[], Hasher]) -> Iterator[str | None]:
    """Yields per record of the index None, or a line that says how its bytes are not those that were written."""
    for stream in index.streams:
        for number in range(stream.count):
            row = index.row(stream.first + number)
            if row.file < 0:
                yield None
                continue
            name = f"{stream.kind} {stream.sensor} record {number} at {row.time_ns} ns".replace("  ", " ")
            if row.file >= len(index.files):
                yield f"{name}: is in file {row.file}, the index names {len(index.files)}"
                continue
            yield _broken(files, index.files[row.file].path, name, row.offset, row.size, row.checksum, hasher)


def _broken(
    files: Files, path: str, name: str, offset: int, size: int, checksum: bytes, hasher: Callable[[], Hasher]
) -> str | None:
    try:
        digest = hasher()
        digest.update(files.part(path, offset, size))
    except LogError as error:
        return f"{name}: {error}"
    return None if digest.digest() == checksum else f"{name}: its bytes in {path} are not those that were written"


def stray_files(files: Files, index: Index) -> Iterator[str]:
    """Yields a line for each file that the index does not name."""
    known = {file.path for file in index.files} | {INDEX, INDEX_CHECKSUM}
    for path in files.names():
        if path not in known:
            what = "left over from an interrupted conversion" if path.startswith(UNFINISHED) else "not in the index"
            yield f"{path}: {what}"


def _hex(data: Any, hasher: Callable[[], Hasher]) -> str:
    digest = hasher()
    digest.update(data)
    return digest.digest().hex()
