"""Where everything is in a ROS 1 bag without an index: from one walk through it, by the record parser of `rosbags`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import IO, Any

from perceptum.inputs import BrokenRecord

__all__ = ["MAGIC", "BagContents", "has_index", "walk_bag"]

MAGIC = b"#ROSBAG V2.0\n"


@dataclass
class BagContents:
    """What a bag holds, in the types of `rosbags.rosbag1.reader`."""

    connections: dict[int, Any] = field(default_factory=dict)
    chunks: dict[int, Any] = field(default_factory=dict)
    """Where a chunk begins -> Chunk; a message outside of chunks is a chunk of its own."""
    entries: dict[tuple[int, int, int], Any] = field(default_factory=dict)
    """(chunk, byte in the chunk, connection) -> IndexData."""


def has_index(file: IO[bytes], size: int) -> bool:
    """Whether the bag's head says where its index is and what it counts; raises ReaderError.

    A recorder rewrites the head when it is done: until then the index is at 0 and the counts are 0.
    """
    from rosbags.rosbag1.reader import Header, RecordType, read_uint32

    file.seek(len(MAGIC))
    head = Header.read(file, RecordType.BAGHEADER)  # type: ignore[arg-type]
    is_empty = read_uint32(file) + file.tell() >= size  # type: ignore[arg-type]
    counts = head.get_uint32("conn_count"), head.get_uint32("chunk_count")
    return head.get_uint64("index_pos") > 0 and (is_empty or all(counts))


def walk_bag(
    where: str, reader: Any, size: int, bounded: Callable[[Any], Any], skip: Callable[[BrokenRecord], None]
) -> BagContents:
    """Reads the bag of an open `reader` from start to end; `skip` is given what is not whole, and may raise it.

    `bounded` returns a chunk that cannot be unpacked to more than is allowed.
    """
    from rosbags.rosbag1.reader import Chunk, ReaderError, RecordType

    file, found = reader.bio, BagContents()
    file.seek(len(MAGIC))
    for header, at, end in _records(file, size):
        if header is None:
            skip(
                BrokenRecord(f"{where}: the record at byte {at} is cut short, or is not one; the bag has {size} bytes")
            )
            break
        try:
            kind = header.get_uint8("op")
            if kind == RecordType.CHUNK:
                file.seek(at)
                chunk = found.chunks[at] = bounded(reader.read_chunk())
                file.seek(chunk.datapos)
                _add_chunk(reader, found, at, chunk.decompressor(file.read(chunk.datasize)))
            elif kind == RecordType.CONNECTION:
                _add_connection(reader, found, file, at, header)
            elif kind == RecordType.MSGDATA:
                # the recorder had not closed its last chunk, whose messages follow its head
                found.chunks[at] = Chunk(end - at, at, bytes)
                _add_message(found, at, 0, header)
        # bz2 and lz4 say the others
        except (ReaderError, OSError, ValueError, EOFError, RuntimeError, MemoryError) as error:
            said = " ".join((str(error) or type(error).__name__).split())[:120]
            skip(BrokenRecord(f"{where}: the record at byte {at} is damaged ({said})"))
        file.seek(end)
    lost = {id for _, _, id in found.entries} - found.connections.keys()
    if lost:
        skip(BrokenRecord(f"{where}: messages of {len(lost)} connections whose topics are lost"))
    found.entries = {place: entry for place, entry in found.entries.items() if place[2] not in lost}
    return found


def _records(file: IO[bytes], size: int) -> Iterator[tuple[Any, int, int]]:
    """Yields head, begin and end of the records from here on; a head of None for one that is not whole."""
    from rosbags.rosbag1.reader import Header, ReaderError, read_uint32

    while (at := file.tell()) < size:
        try:
            header: Any = Header.read(file)  # type: ignore[arg-type]
            end = read_uint32(file) + file.tell()  # type: ignore[arg-type]
            header.get_uint8("op")
        # a name of a field may be no text
        except (ReaderError, ValueError):
            header, end = None, size
        yield (header, at, end) if end <= size else (None, at, size)


def _add_chunk(reader: Any, found: BagContents, position: int, data: bytes) -> None:
    from rosbags.rosbag1.reader import RecordType

    inside = BytesIO(data)
    for header, at, end in _records(inside, len(data)):
        if header is None:
            raise ValueError(f"its record at byte {at} is cut short")
        if header.get_uint8("op") == RecordType.CONNECTION:
            _add_connection(reader, found, inside, at, header)
        elif header.get_uint8("op") == RecordType.MSGDATA:
            _add_message(found, position, at, header)
        inside.seek(end)


def _add_connection(reader: Any, found: BagContents, file: IO[bytes], at: int, header: Any) -> None:
    id = header.get_uint32("conn")
    if id in found.connections:
        return
    bag, reader.bio = reader.bio, file
    try:
        file.seek(at)
        found.connections[id] = reader.read_connection()
    finally:
        reader.bio = bag


def _add_message(found: BagContents, chunk: int, offset: int, header: Any) -> None:
    from rosbags.rosbag1.reader import IndexData

    found.entries[chunk, offset, header.get_uint32("conn")] = IndexData(header.get_time("time"), chunk, offset)
