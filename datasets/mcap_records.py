"""The records of an MCAP file, through the `mcap` library, with every length checked before it is believed."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any

from perceptum.inputs import BrokenRecord, LogError

__all__ = ["Contents", "chunk_data", "library", "messages_of", "read_record", "records_of", "walk"]

RECORD = struct.Struct("<BQ")
"""What every record begins with: opcode and length."""
MESSAGE, CHUNK = 5, 6
LARGEST_CHUNK = 1 << 30
"""A chunk, and a summary, of more than 1 GiB is not believed."""

_MESSAGE_HEAD = struct.Struct("<HIQQ")
_INSTALL = "reading MCAP needs mcap and rosbags: pip install 'perceptum[mcap]'"


def library() -> Any:
    """Returns mcap.stream_reader; raises LogError where it is not installed."""
    try:
        import mcap.stream_reader
    except ImportError as error:
        raise LogError(_INSTALL) from error
    return mcap.stream_reader


@dataclass
class Contents:
    """What a file holds and where: gathered from its summary, or on a walk through the whole file."""

    walked: bool = False
    channels: dict[int, Any] = field(default_factory=dict)
    schemas: dict[int, Any] = field(default_factory=dict)
    chunks: dict[int, dict[int, int]] = field(default_factory=dict)
    """Where a chunk begins -> channel -> where its message index is; empty where that is not known."""
    messages: list[tuple[int, int, int, int]] = field(default_factory=list)
    """channel, log_ns, publish_ns, where: of the messages outside of chunks."""
    statistics: Any = None

    def add(self, record: Any) -> None:
        kind = type(record).__name__
        if kind == "Channel":
            self.channels[record.id] = record
        elif kind == "Schema":
            self.schemas[record.id] = record
        elif kind == "ChunkIndex":
            self.chunks[record.chunk_start_offset] = dict(record.message_index_offsets)
        elif kind == "Statistics":
            self.statistics = record

    def add_message(self, head: bytes, offset: int) -> None:
        channel, _, log_ns, publish_ns = _MESSAGE_HEAD.unpack(head)
        self.messages.append((channel, log_ns, publish_ns, offset))

    @property
    def is_index(self) -> bool:
        """Whether this is enough to find all messages."""
        empty = self.statistics is not None and self.statistics.message_count == 0
        return empty or bool(self.chunks and self.channels)

    def count(self, topic: str) -> int:
        """Messages of a topic; -1 where that is not told."""
        counts = self.statistics.channel_message_counts if self.statistics is not None else {}
        if not counts and self.walked:
            return -1
        return sum(counts.get(id, 0) for id, channel in self.channels.items() if channel.topic == topic)


def walk(where: str, file: IO[bytes], size: int) -> Iterator[tuple[int, int, int]]:
    """Yields opcode, offset and length of the records of the data section; raises BrokenRecord where one is cut off."""
    at = 8
    while at < size:
        file.seek(at)
        head = file.read(RECORD.size)
        opcode, length = RECORD.unpack(head) if len(head) == RECORD.size else (0, size)
        if at + RECORD.size + length > size:
            raise BrokenRecord(f"{where}: the record at byte {at} is cut short at {size} bytes; try `mcap recover`")
        # data end, or the footer
        if opcode in (0x0F, 0x02):
            return
        yield opcode, at, length
        at += RECORD.size + length


def read_record(where: str, file: IO[bytes], offset: int, length: int | None) -> Any:
    """Returns the record that begins at `offset`; raises BrokenRecord where there is no whole one."""
    file.seek(0, io.SEEK_END)
    size = file.tell()
    if not 0 <= offset <= size - RECORD.size:
        raise BrokenRecord(f"{where}: no record at byte {offset}, the file has {size}")
    file.seek(offset)
    head = file.read(RECORD.size)
    length = RECORD.unpack(head)[1] if length is None else length
    if offset + RECORD.size + length > size:
        raise BrokenRecord(f"{where}: the record at byte {offset} wants {length} bytes, the file has {size}")
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
            # the magic at the file's end is no record
            if encoded[at:] == b"\x89MCAP0\r\n":
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
        raise BrokenRecord(f"{where}: a record of kind {encoded[0]} cannot be read ({_said(error)})") from error


def _errors() -> type[Exception]:
    from mcap.exceptions import McapError

    return McapError


def _said(error: BaseException) -> str:
    return " ".join((str(error) or type(error).__name__).split())[:120]


def chunk_data(where: str, chunk: Any) -> bytes:
    """Returns the unpacked records of a chunk, its checksum checked where it has one; raises BrokenRecord."""
    if type(chunk).__name__ != "Chunk":
        raise BrokenRecord(f"{where}: found a {type(chunk).__name__}, wanted a chunk; the index is damaged")
    if chunk.compression not in ("", "zstd", "lz4"):
        raise BrokenRecord(f"{where}: compression {chunk.compression!r}, wanted zstd, lz4 or none")
    _check_size(where, chunk)
    import zstandard

    try:
        stream, length = library().get_chunk_data_stream(chunk, validate_crc=True)
        data: bytes = stream.read(length)
    # lz4 says RuntimeError, a wrong checksum is a ValueError
    except (zstandard.ZstdError, RuntimeError, ValueError, MemoryError) as error:
        raise BrokenRecord(f"{where}: cannot be unpacked ({_said(error)})") from error
    if len(data) != chunk.uncompressed_size:
        raise BrokenRecord(f"{where}: unpacks to {len(data)} bytes, wanted {chunk.uncompressed_size}")
    return data


def _check_size(where: str, chunk: Any) -> None:
    """Raises BrokenRecord where unpacking would take more memory than the chunk says, or than we allow."""
    promised = _promised(chunk)
    if chunk.uncompressed_size > LARGEST_CHUNK or promised not in (None, chunk.uncompressed_size):
        raise BrokenRecord(
            f"{where}: says it unpacks to {chunk.uncompressed_size} bytes and holds {promised}; "
            f"wanted the same, at most {LARGEST_CHUNK}"
        )


def _promised(chunk: Any) -> int | None:
    """The size that the compressed data itself promises; None where it promises none."""
    if chunk.compression == "zstd":
        import zstandard

        try:
            size = int(zstandard.frame_content_size(chunk.data))
        except zstandard.ZstdError:
            return -1
        return None if size < 0 else size
    if chunk.compression == "lz4":
        import lz4.frame

        try:
            return int(lz4.frame.get_frame_info(chunk.data)["content_size"]) or None
        except RuntimeError:
            return -1
    return len(chunk.data)


def messages_of(where: str, data: bytes) -> Iterator[tuple[int, int, int, int, int, int]]:
    """Yields channel, log_ns, publish_ns, where it begins, and from where to where its payload goes, in order."""
    at = 0
    while at + RECORD.size <= len(data):
        opcode, length = RECORD.unpack_from(data, at)
        end = at + RECORD.size + length
        if end > len(data) or (opcode == MESSAGE and length < _MESSAGE_HEAD.size):
            raise BrokenRecord(f"{where}: its record at byte {at} wants {length} bytes of {len(data)}; it is damaged")
        if opcode == MESSAGE:
            channel, _, log_ns, publish_ns = _MESSAGE_HEAD.unpack_from(data, at + RECORD.size)
            yield channel, log_ns, publish_ns, at, at + RECORD.size + _MESSAGE_HEAD.size, end
        at = end
