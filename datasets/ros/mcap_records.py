"""The records of an MCAP file, through the `mcap` library, with every length checked before it is believed."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from perceptum.inputs import BrokenRecord, LogError
from perceptum.install import install_command

__all__ = ["Contents", "library", "read_record", "records_of", "said", "walk"]

RECORD = struct.Struct("<BQ")
"""What every record begins with: opcode and length."""
MESSAGE, CHUNK = 5, 6
SCHEMA, CHANNEL = 3, 4
MAGIC = b"\x89MCAP0\r\n"
LARGEST = 1 << 30
"""A chunk, and a summary, of more than 1 GiB is not believed."""

MESSAGE_HEAD = struct.Struct("<HIQQ")
_NEEDED = "reading MCAP needs mcap and rosbags"


def library() -> Any:
    """Returns mcap.stream_reader; raises LogError where it is not installed."""
    try:
        import mcap.stream_reader
    except ImportError as error:
        raise LogError(f"{_NEEDED}: {install_command('mcap')}") from error
    return mcap.stream_reader


@dataclass
class Contents:
    """What a file holds and where: gathered from its summary, or on a walk through the whole file."""

    walked: bool = False
    """Gathered on a walk: what the statistics of a damaged file count may not be there."""
    channels: dict[int, Any] = field(default_factory=dict)
    schemas: dict[int, Any] = field(default_factory=dict)
    chunks: dict[int, dict[int, int]] = field(default_factory=dict)
    """Where a chunk begins -> channel -> where its message index is; empty where that is not known."""
    messages: list[tuple[int, int, int, int]] = field(default_factory=list)
    """channel, log_ns, publish_ns, where: of the messages outside of chunks."""
    ends: dict[int, int] = field(default_factory=dict)
    """Where a chunk of the index begins -> where it and its message indexes end, as the index says."""
    counted: dict[int, Mapping[int, int]] = field(default_factory=dict)
    """Where a chunk begins -> channel -> its messages in it; of the chunks that were unpacked to make the index."""
    statistics: Any = None

    def add(self, record: Any) -> None:
        kind = type(record).__name__
        if kind == "Channel":
            self.channels[record.id] = record
        elif kind == "Schema":
            self.schemas[record.id] = record
        elif kind == "ChunkIndex":
            self.chunks[record.chunk_start_offset] = dict(record.message_index_offsets)
            self.ends[record.chunk_start_offset] = (
                record.chunk_start_offset + record.chunk_length + record.message_index_length
            )
        elif kind == "Statistics":
            self.statistics = record

    def add_message(self, where: str, head: bytes, offset: int) -> None:
        if len(head) != MESSAGE_HEAD.size:
            raise BrokenRecord(f"{where}: the message at byte {offset} is cut short")
        channel, _, log_ns, publish_ns = MESSAGE_HEAD.unpack(head)
        self.messages.append((channel, log_ns, publish_ns, offset))

    @property
    def is_index(self) -> bool:
        """Whether this says where the messages are: all channels that chunks hold are known, with their schemas."""
        indexed = {channel for chunk in self.chunks.values() for channel in chunk}
        schemas = {channel.schema_id for channel in self.channels.values()} - {0}
        known = indexed <= self.channels.keys() and schemas <= self.schemas.keys()
        empty = self.statistics is not None and self.statistics.message_count == 0
        return known and (empty or bool(self.chunks and self.channels))

    @property
    def told(self) -> Mapping[int, int] | None:
        """Channel -> its messages, from the optional statistics; None where they do not say, or contradict the index.

        An empty map there means that the counts are not known.
        """
        if self.statistics is None or self.walked:
            return None
        counts: dict[int, int] = self.statistics.channel_message_counts
        there = {channel for chunk in self.chunks.values() for channel in chunk} | {m[0] for m in self.messages}
        agree = sum(counts.values()) == self.statistics.message_count and all(counts.get(id, 0) for id in there)
        return counts if agree else None


def walk(where: str, file: IO[bytes], size: int, known: Mapping[int, int] | None = None) -> Iterator[tuple[int, int]]:
    """Yields opcode and offset of the records of the data section; raises BrokenRecord where one is cut off.

    `known`: where parts begin -> where they end that are not to be looked at.
    """
    at, known = len(MAGIC), known or {}
    while at < size:
        if known.get(at, at) > at:
            at = known[at]
            continue
        file.seek(at)
        head = file.read(RECORD.size)
        opcode, length = RECORD.unpack(head) if len(head) == RECORD.size else (0, size)
        if at + RECORD.size + length > size:
            raise BrokenRecord(f"{where}: the record at byte {at} is cut short at {size} bytes; try `mcap recover`")
        # data end, or the footer
        if opcode in (0x0F, 0x02):
            return
        yield opcode, at
        at += RECORD.size + length


def read_record(where: str, file: IO[bytes], offset: int) -> Any:
    """Returns the record that begins at `offset`; raises BrokenRecord where there is no whole one."""
    file.seek(0, io.SEEK_END)
    size = file.tell()
    if not 0 <= offset <= size - RECORD.size:
        raise BrokenRecord(f"{where}: no record at byte {offset}, the file has {size}")
    file.seek(offset)
    head = file.read(RECORD.size)
    length = RECORD.unpack(head)[1]
    if offset + RECORD.size + length > size:
        raise BrokenRecord(f"{where}: the record at byte {offset} says {length} bytes, the file has {size}")
    found = next(records_of(where, head + file.read(length)), None)
    if found is None:
        raise BrokenRecord(f"{where}: the record at byte {offset} is of an unknown kind")
    return found


def records_of(where: str, encoded: bytes, messages: bool = True) -> Iterator[Any]:
    """Yields the records in these bytes, chunks as they are; raises BrokenRecord."""
    at = 0
    while at + RECORD.size <= len(encoded):
        opcode, length = RECORD.unpack_from(encoded, at)
        end = at + RECORD.size + length
        if end > len(encoded):
            # the magic at the file's end is not a record
            if encoded[at:] == MAGIC:
                return
            raise BrokenRecord(f"{where}: a record of {length} bytes where {len(encoded) - at} are left; it is damaged")
        if messages or opcode != MESSAGE:
            record = _parsed(where, encoded[at:end])
            if record is not None:
                yield record
        if opcode == 2:
            return
        at = end


def _parsed(where: str, encoded: bytes) -> Any:
    reader = library().StreamReader(io.BytesIO(encoded), skip_magic=True, emit_chunks=True)
    try:
        # the library looks for the magic behind a footer: nothing of it is needed here
        return None if encoded[0] == 2 else next(reader.records, None)
    # cut-off strings, maps and numbers show as any of these
    except (struct.error, ValueError, KeyError, OverflowError, MemoryError, _errors()) as error:
        raise BrokenRecord(f"{where}: a record of kind {encoded[0]} cannot be read ({said(error)})") from error


def _errors() -> type[Exception]:
    from mcap.exceptions import McapError

    return McapError


def said(error: BaseException) -> str:
    """Returns what an error of a library says, on one line."""
    return " ".join((str(error) or type(error).__name__).split())[:120]
