"""A ROS 1 bag, version 2.0, through the `rosbags` library: its index once, then single messages by seeking."""

from __future__ import annotations

import os
import struct
import warnings
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from perceptum.inputs import BrokenRecord, LogError
from perceptum.inputs.once import Guard
from perceptum.install import install_command

from ..reading.files import check_file
from .recording import Found, Place, Topic, first_of
from .rosbag_ros1_walk import MAGIC, BagContents, has_index, walk_bag
from .types import add_topic

__all__ = ["Ros1Bag"]

_LARGEST_CHUNK = 1 << 30
_ID_BITS = 32


class Ros1Bag:
    """Answers as a `Recording`; a place is (number of the file, chunk, message in the chunk and its connection)."""

    def __init__(self, path: Path, number: int = 0, *, skip_damaged: bool = False) -> None:
        """`number`: the first part of its places; `skip_damaged`: read what is whole of a bag that is not."""
        self.location = str(path)
        self._path, self._number, self._skip_damaged = path, number, skip_damaged
        self._lock = Guard()
        self._process = os.getpid()
        self._size = check_file(path, "the recording is missing")
        self._check_magic()
        self._reader = _reader(path)
        contents = self._contents()
        self._entries, self._connections, self._chunks = contents.entries, contents.connections, contents.chunks
        self.topics: Mapping[str, Topic] = self._topics()

    def _contents(self) -> BagContents:
        try:
            with self._told(), open(self._path, "rb") as file:
                if has_index(file, self._size):
                    return self._indexed()
        except BrokenRecord as error:
            if not self._skip_damaged:
                raise
            warnings.warn(f"its index is left out: {error}", stacklevel=2)
        return self._walked()

    def _indexed(self) -> BagContents:
        with _opened(self._reader):
            return BagContents(
                connections={connection.id: connection for connection in self._reader.connections},
                chunks={at: _bounded(chunk) for at, chunk in self._reader.chunks.items()},
                entries={
                    (entry.chunk_pos, entry.offset, id): entry
                    for id, entries in self._reader.indexes.items()
                    for entry in entries
                },
            )

    def _walked(self) -> BagContents:
        warnings.warn(f"{self.location}: has no index; reading it once from start to end to make one", stacklevel=2)
        with self._told(), open(self._path, "rb") as file:
            self._reader.bio = file
            try:
                return walk_bag(self.location, self._reader, self._size, _bounded, self._skip)
            finally:
                self._reader.bio = None

    def _skip(self, error: BrokenRecord) -> None:
        """Warns of what is left out, or raises it."""
        if not self._skip_damaged:
            raise BrokenRecord(
                f"{error}; repair it with `rosbag reindex`, or read what is intact with damaged='skip'"
            ) from error
        warnings.warn(f"left out: {error}", stacklevel=2)

    def _check_magic(self) -> None:
        with open(self._path, "rb") as file:
            found = file.read(len(MAGIC))
        if found != MAGIC:
            raise BrokenRecord(
                f"{self.location}: starts with {found!r}, wanted {MAGIC!r}; it is not a ROS 1 bag of 2.0"
            )

    def _topics(self) -> dict[str, Topic]:
        found: dict[str, Topic] = {}
        counts = Counter(id for _, _, id in self._entries)
        for c in self._connections.values():
            topic = Topic(c.topic, c.msgtype, "ros1", counts[c.id], c.msgdef.data, "ros1msg")
            add_topic(found, topic, self.location)
        return found

    def scan(self, topics: Collection[str], most: int) -> Iterator[Found]:
        """Yields the messages of the topics in the order of the file; with `most` 0 no chunk is unpacked."""
        for key in sorted(self._entries):
            chunk, offset, id = key
            topic, time_ns = self._connections[id].topic, self._entries[key].time
            if topic in topics:
                try:
                    data = first_of(self._payload(self._entries[key], id), most) if most else b""
                except BrokenRecord as error:
                    if not self._skip_damaged:
                        raise
                    self._skip(error)
                    continue
                place = (self._number, chunk, offset << _ID_BITS | id)
                yield Found(topic, time_ns, time_ns, place, data)

    def payload(self, topic: str, place: Place) -> bytes:
        _, chunk, at = place
        offset, id = at >> _ID_BITS, at & (1 << _ID_BITS) - 1
        if (chunk, offset, id) not in self._entries:
            raise BrokenRecord(f"{self.location}: no message of {topic} at byte {offset} of the chunk at {chunk}")
        return self._payload(self._entries[chunk, offset, id], id)

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
        return {"path": self._path, "number": self._number, "skip_damaged": self._skip_damaged}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # the library's reader holds files: another process makes its own
        self.__init__(**state)  # type: ignore[misc]

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turns what the library raises on a damaged bag into a BrokenRecord that names the file."""
        from rosbags.rosbag1 import ReaderError

        try:
            yield
        # ours, which is a ValueError too
        except BrokenRecord:
            raise
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
                f"{self.location}: not a complete ROS 1 bag ({said}); if cut off, repair it with `rosbag reindex`"
            ) from error


def _bounded(chunk: Any) -> Any:
    """The chunk with its way of unpacking stopped at 1 GiB: a few kilobytes may be packed to promise far more."""
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

    return chunk._replace(decompressor=unpack)


def _reader(path: Path) -> Any:
    try:
        from rosbags.rosbag1 import Reader
    except ImportError as error:
        raise LogError(f"reading bags needs rosbags: {install_command('mcap')}") from error
    return Reader(path)


@contextmanager
def _opened(reader: Any) -> Iterator[None]:
    reader.open()
    try:
        yield
    finally:
        reader.close()
