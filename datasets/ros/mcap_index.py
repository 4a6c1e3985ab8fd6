"""Where everything is in an MCAP file: from the summary at its end, or from one walk through a file without one."""

from __future__ import annotations

import struct
import warnings
from collections import Counter
from typing import IO

from perceptum.inputs import BrokenRecord

from .mcap_chunks import chunk_data, messages_of
from .mcap_records import (
    CHANNEL,
    CHUNK,
    LARGEST,
    MAGIC,
    MESSAGE,
    MESSAGE_HEAD,
    RECORD,
    SCHEMA,
    Contents,
    read_record,
    records_of,
    walk,
)

__all__ = ["contents_of", "skip"]

_FOOTER_BYTES = 9 + 20 + 8
_AT_ONCE = 1 << 20


def contents_of(where: str, file: IO[bytes], size: int, skip_damaged: bool) -> Contents:
    """Returns what the file holds; raises BrokenRecord. `skip_damaged`: of a damaged file, what is whole."""
    size = _without_padding(file, size)
    is_whole = _is_whole(where, file, size, skip_damaged)
    found = _summary(where, file, size) if is_whole else None
    if found is None or not _completed(where, file, size, found):
        return _walked(where, file, size, skip_damaged)
    return found


def _without_padding(file: IO[bytes], size: int) -> int:
    """Returns the size without zeros behind the end, which a recorder leaves that made room before it wrote; all of it
    where something else is before them."""
    end = size
    while end > 0:
        start = max(end - _AT_ONCE, 0)
        file.seek(start)
        kept = file.read(end - start).rstrip(b"\0")
        end = start + len(kept)
        if kept:
            break
    file.seek(max(end - len(MAGIC), 0))
    return end if file.read(len(MAGIC)) == MAGIC else size


def skip(error: BrokenRecord, skip_damaged: bool) -> None:
    """Warns of what is left out, or raises it."""
    if not skip_damaged:
        raise error
    warnings.warn(f"left out: {error}", stacklevel=2)


def _is_whole(where: str, file: IO[bytes], size: int, skip_damaged: bool) -> bool:
    file.seek(0)
    found = file.read(len(MAGIC))
    if found != MAGIC:
        raise BrokenRecord(f"{where}: starts with {found!r}, wanted {MAGIC!r} (MCAP); it is not an MCAP file")
    file.seek(max(size - len(MAGIC), 0))
    is_whole = size >= _FOOTER_BYTES + len(MAGIC) and file.read(len(MAGIC)) == MAGIC
    if not (is_whole or skip_damaged):
        raise BrokenRecord(
            f"{where}: {size} bytes do not end with {MAGIC!r}; the file is cut short; "
            "repair it with `mcap recover`, or read what is intact with damaged='skip'"
        )
    return is_whole


def _summary(where: str, file: IO[bytes], size: int) -> Contents | None:
    """The summary at the file's end; None where there is none that says where the messages are."""
    file.seek(size - _FOOTER_BYTES)
    opcode, length, start = (int(part) for part in struct.unpack("<BQQ", file.read(17)))
    if (opcode, length) != (2, 20):
        raise BrokenRecord(f"{where}: no footer before its end; the file is damaged, try `mcap recover`")
    if start == 0:
        return None
    if not (len(MAGIC) <= start <= size - _FOOTER_BYTES and size - start <= LARGEST):
        raise BrokenRecord(f"{where}: its footer says the summary is at byte {start} of {size}")
    file.seek(start)
    contents = Contents()
    for record in records_of(where, file.read(size - start)):
        contents.add(record)
    return contents if contents.is_index else None


def _completed(where: str, file: IO[bytes], size: int, contents: Contents) -> bool:
    """Adds what lies between the chunks that the index lists: an index may leave out chunks and loose messages.

    Only records outside of those chunks are looked at. Returns whether the index fits the file; where it does not,
    the file is to be walked.
    """
    before = len(contents.chunks), len(contents.messages)
    try:
        for opcode, offset in walk(where, file, size, contents.ends):
            if opcode in (MESSAGE, CHUNK, SCHEMA, CHANNEL):
                _add(where, file, contents, opcode, offset, False)
    except BrokenRecord:
        return False
    chunks, messages = len(contents.chunks) - before[0], len(contents.messages) - before[1]
    if chunks or messages:
        warnings.warn(f"{where}: its index leaves out {chunks} chunks and {messages} messages; read too", stacklevel=2)
    return contents.is_index or bool(contents.messages)


def _walked(where: str, file: IO[bytes], size: int, skip_damaged: bool) -> Contents:
    """Reads the file once from start to end."""
    warnings.warn(f"{where}: has no index; reading it once from start to end to make one", stacklevel=2)
    contents = Contents(walked=True)
    try:
        for opcode, offset in walk(where, file, size):
            _add(where, file, contents, opcode, offset, skip_damaged)
    except BrokenRecord as error:
        skip(error, skip_damaged)
    return contents


def _add(where: str, file: IO[bytes], contents: Contents, opcode: int, offset: int, skip_damaged: bool) -> None:
    if opcode == MESSAGE:
        file.seek(offset + RECORD.size)
        contents.add_message(where, file.read(MESSAGE_HEAD.size), offset)
    elif opcode == CHUNK:
        try:
            data = chunk_data(f"{where}: the chunk at byte {offset}", read_record(where, file, offset))
            for record in records_of(where, data, messages=False):
                contents.add(record)
            contents.chunks[offset] = {}
            contents.counted[offset] = Counter(message[0] for message in messages_of(where, data))
        except BrokenRecord as error:
            skip(error, skip_damaged)
    else:
        contents.add(read_record(where, file, offset))
