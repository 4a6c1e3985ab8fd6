"""A ROS 1 bag, version 2.0, through the `rosbags` library: its index once, then single messages by seeking."""

from __future__ import annotations

import os
import struct
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from perceptum.inputs import BrokenRecord, LogError
from perceptum.inputs.once import Guard

from ..files import check_file
from .recording import Found, Place, Topic, first_of

__all__ = ["Ros1Bag"]

_MAGIC = b"#ROSBAG V2.0\n"
_LARGEST_CHUNK = 1 << 30


class Ros1Bag:
    """Answers as a `Recording`; a place is (chunk, message in the chunk, connection)."""

    def __init__(self, path: Path, *, skip_damaged: bool = False) -> None:
        """`skip_damaged`: leave out messages in chunks that cannot be read, with a warning."""
        self.location = str(path)
        self._path, self._skip_damaged = path, skip_damaged
        self._lock = Guard()
        self._process = os.getpid()
        self._size = check_file(path, "the recording is missing")
        self._check_magic()
        self._reader = _reader(path)
        with self._told(), _opened(self._reader):
            self._entries = {
                (entry.chunk_pos, entry.offset, id): entry
                for id, entries in self._reader.indexes.items()
                for entry in entries
            }
            self._connections = {connection.id: connection for connection in self._reader.connections}
            self._chunks = {
                at: chunk._replace(decompressor=_bounded(chunk)) for at, chunk in self._reader.chunks.items()
            }
        self.topics: Mapping[str, Topic] = self._topics()

    def _check_magic(self) -> None:
        with open(self._path, "rb") as file:
            found = file.read(len(_MAGIC))
        if found != _MAGIC:
            raise BrokenRecord(f"{self.location}: starts with {found!r}, wanted {_MAGIC!r}; it is no ROS 1 bag of 2.0")

    def _topics(self) -> dict[str, Topic]:
        found: dict[str, Topic] = {}
        counts = Counter(id for _, _, id in self._entries)
        for c in self._connections.values():
            count = counts[c.id] + (found[c.topic].count if c.topic in found else 0)
            if c.topic in found and found[c.topic].type != c.msgtype:
                raise BrokenRecord(
                    f"{self.location}: topic {c.topic} has messages of {found[c.topic].type} and of {c.msgtype}"
                )
            found[c.topic] = Topic(c.topic, c.msgtype, "ros1", count, c.msgdef.data, "ros1msg")
        return found

    def scan(self, topics: Collection[str], most: int) -> Iterator[Found]:
        """Yields the messages of the topics in the order of the file; with `most` 0 no chunk is unpacked."""
        for place in sorted(self._entries):
            topic, time_ns = self._connections[place[2]].topic, self._entries[place].time
            if topic in topics:
                try:
                    data = first_of(self.payload(topic, place), most) if most else b""
                except BrokenRecord as error:
                    if not self._skip_damaged:
                        raise
                    warnings.warn(f"left out: {error}", stacklevel=2)
                    continue
                yield Found(topic, time_ns, time_ns, place, data)

    def payload(self, topic: str, place: Place) -> bytes:
        if place not in self._entries:
            raise BrokenRecord(f"{self.location}: no message of {topic} at byte {place[1]} of the chunk at {place[0]}")
        return self._payload(self._entries[place], place[2])

    def _payload(self, entry: Any, id: int) -> bytes:
        if self._chunks[entry.chunk_pos].datasize > min(_LARGEST_CHUNK, self._size):
            raise BrokenRecord(f"{self.location}: the chunk at byte {entry.chunk_pos} is larger than the file")
        with self._lock, self._told(), open(self._path, "rb") as file:
            if self._process != os.getpid():
                # another thread of the parent may have been at work in it when this process was forked
                self._process, self._reader.current_chunk = os.getpid(), (-1, BytesIO())
            # the library walks an index from its start: it gets one of a single entry
            self._reader.bio, self._reader.indexes = file, {id: [entry]}
            self._reader.connections = [self._connections[id]]
            self._reader.chunks = self._chunks
            try:
                _, _, data = next(self._reader.messages([self._connections[id]]))
            finally:
                self._reader.bio = None
        return bytes(data)

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self._path, "skip_damaged": self._skip_damaged}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # the library's reader holds files: another process makes its own
        self.__init__(**state)  # type: ignore[misc]

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turns what the library raises on a damaged bag into a BrokenRecord that names the file."""
        from rosbags.rosbag1 import ReaderError

        try:
            yield
        # a cut-off or damaged index shows as any of these, the library's own checks as assertions
        except (
            ReaderError,
            AssertionError,
            struct.error,
            ArithmeticError,
            LookupError,
            ValueError,
            OSError,
            EOFError,
            RuntimeError,
            MemoryError,
            StopIteration,
        ) as error:
            said = " ".join((str(error) or type(error).__name__).split())[:120]
            raise BrokenRecord(
                f"{self.location}: not a whole ROS 1 bag ({said}); if it was cut off, repair it with `rosbag reindex`"
            ) from error


def _bounded(chunk: Any) -> Callable[[bytes], bytes]:
    """The chunk's way of unpacking, stopped at 1 GiB: a few kilobytes may be packed to promise far more."""
    from bz2 import BZ2Decompressor
    from bz2 import decompress as bz2_decompress

    from lz4.frame import LZ4FrameDecompressor
    from lz4.frame import decompress as lz4_decompress

    makers = {bz2_decompress: BZ2Decompressor, lz4_decompress: LZ4FrameDecompressor}
    maker = makers.get(chunk.decompressor)

    def unpack(packed: bytes) -> bytes:
        if maker is None:
            return packed
        unpacker = maker()
        data: bytes = unpacker.decompress(packed, _LARGEST_CHUNK)
        if not unpacker.eof:
            raise ValueError(f"a chunk of {len(packed)} bytes is cut short, or unpacks to more than 1 GiB")
        return data

    return unpack


def _reader(path: Path) -> Any:
    try:
        from rosbags.rosbag1 import Reader
    except ImportError as error:
        raise LogError("reading bags needs rosbags: pip install 'perceptum[mcap]'") from error
    return Reader(path)


@contextmanager
def _opened(reader: Any) -> Iterator[None]:
    reader.open()
    try:
        yield
    finally:
        reader.close()
