"""One MCAP file: its index, and single messages by seeking. The container is read with the `mcap` library.

Every length is checked against the file before it is believed, and a chunk's checksum before its content is.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import IO, Any

from perceptum.inputs import BrokenRecord

from .files import check_file
from .mcap_records import (
    CHUNK,
    LARGEST_CHUNK,
    MESSAGE,
    RECORD,
    Contents,
    chunk_data,
    library,
    messages_of,
    read_record,
    records_of,
    walk,
)
from .ros_messages_recording import PREFIX_BYTES, Found, Place, Topic, type_name

__all__ = ["McapFile"]

MAGIC = b"\x89MCAP0\r\n"
_FOOTER_BYTES = 9 + 20 + 8
_MESSAGE_HEAD = 22


class McapFile:
    """Answers as a `Recording`; a place is (chunk, message in the chunk), or (message, -1) outside of chunks."""

    def __init__(self, path: Path, number: int = 0, *, cut_short: bool = False) -> None:
        """`number`: the first part of its places; `cut_short`: read what is whole of a file that is not."""
        self.location = str(path)
        self._path, self._number, self._cut_short = path, number, cut_short
        self._size = check_file(path, "the recording is missing")
        self._cached: tuple[int, bytes] | None = None
        self._lock = Lock()
        library()
        with self._open() as file:
            self._check_magic(file)
            self._contents = self._summary(file) or self._walked(file)

    def _open(self) -> IO[bytes]:
        try:
            return open(self._path, "rb")
        except OSError as error:
            raise BrokenRecord(f"{self.location}: cannot be read ({error.strerror})") from error

    def _check_magic(self, file: IO[bytes]) -> None:
        found = file.read(len(MAGIC))
        if found != MAGIC:
            raise BrokenRecord(f"{self.location}: starts with {found!r}, wanted {MAGIC!r} (MCAP); it is no MCAP file")
        file.seek(max(self._size - len(MAGIC), 0))
        if file.read() != MAGIC and not self._cut_short:
            raise BrokenRecord(
                f"{self.location}: {self._size} bytes do not end with {MAGIC!r}; the file is cut short; "
                "repair it with `mcap recover`, or read what is whole with cut_short=True"
            )

    def _summary(self, file: IO[bytes]) -> Contents | None:
        """The summary at the file's end; None where there is none that tells where the messages are."""
        start = self._summary_start(file)
        if start is None:
            return None
        file.seek(start)
        encoded = file.read(self._size - start)
        contents = Contents()
        for record in records_of(self.location, encoded):
            contents.add(record)
        return contents if contents.is_index else None

    def _summary_start(self, file: IO[bytes]) -> int | None:
        if self._cut_short or self._size < _FOOTER_BYTES + len(MAGIC):
            return None
        file.seek(self._size - _FOOTER_BYTES)
        opcode, length, start = struct.unpack("<BQQ", file.read(17))
        if (opcode, length) != (2, 20):
            raise BrokenRecord(f"{self.location}: no footer before its end; the file is damaged, try `mcap recover`")
        if start == 0:
            return None
        if not (len(MAGIC) <= start <= self._size - _FOOTER_BYTES and self._size - start <= LARGEST_CHUNK):
            raise BrokenRecord(f"{self.location}: its footer says the summary is at byte {start} of {self._size}")
        return start

    def _walked(self, file: IO[bytes]) -> Contents:
        """Reads the file once from start to end, for one without a summary."""
        warnings.warn(f"{self.location}: has no index; reading it once from start to end to make one", stacklevel=2)
        contents = Contents(walked=True)
        try:
            for opcode, offset, length in walk(self.location, file, self._size):
                if opcode == MESSAGE:
                    file.seek(offset + RECORD.size)
                    contents.add_message(file.read(_MESSAGE_HEAD), offset)
                elif opcode == CHUNK:
                    for record in records_of(self.location, self._chunk(file, offset), messages=False):
                        contents.add(record)
                    contents.chunks[offset] = {}
                else:
                    contents.add(read_record(self.location, file, offset, length))
        except BrokenRecord:
            if not self._cut_short:
                raise
        return contents

    @cached_property
    def topics(self) -> Mapping[str, Topic]:
        """Topic by name; raises BrokenRecord where one name has messages of two types."""
        found: dict[str, Topic] = {}
        for channel in self._contents.channels.values():
            topic = self._topic(channel)
            known = found.get(topic.name)
            if known is not None and (known.type, known.encoding) != (topic.type, topic.encoding):
                raise BrokenRecord(
                    f"{self.location}: topic {topic.name} has messages of {known.type} and of {topic.type}, wanted one"
                )
            found[topic.name] = topic
        return found

    def _topic(self, channel: Any) -> Topic:
        schema = self._contents.schemas.get(channel.schema_id)
        if schema is None:
            return Topic(channel.topic, "no schema", channel.message_encoding, self._contents.count(channel.topic))
        return Topic(
            name=channel.topic,
            type=type_name(schema.name),
            encoding=channel.message_encoding,
            count=self._contents.count(channel.topic),
            definition=schema.data.decode("utf-8", "replace"),
            definition_format=schema.encoding,
        )

    def scan(self, topics: Collection[str], prefixes: bool) -> Iterator[Found]:
        """Yields the messages of the topics chunk by chunk; one chunk is in memory at a time.

        Without `prefixes` the chunks' own indexes are enough, where they are there, and no chunk is unpacked;
        the publish time is then said to be the log time.
        """
        names = {id: c.topic for id, c in self._contents.channels.items() if c.topic in topics}
        with self._open() as file:
            yield from self._loose(file, names)
            for offset in sorted(self._contents.chunks):
                index = self._contents.chunks[offset]
                if index and not names.keys() & index.keys():
                    continue
                if index and not prefixes:
                    yield from self._indexed(file, offset, {id: index[id] for id in names if id in index}, names)
                else:
                    yield from self._unpacked(file, offset, names)

    def _loose(self, file: IO[bytes], names: Mapping[int, str]) -> Iterator[Found]:
        for channel, log_ns, publish_ns, offset in self._contents.messages:
            if channel in names:
                file.seek(offset + RECORD.size + _MESSAGE_HEAD)
                place = (self._number, offset, -1)
                yield Found(names[channel], log_ns, publish_ns, place, file.read(PREFIX_BYTES))

    def _indexed(
        self, file: IO[bytes], chunk: int, offsets: Mapping[int, int], names: Mapping[int, str]
    ) -> Iterator[Found]:
        for channel, offset in offsets.items():
            index = read_record(self.location, file, offset, None)
            if getattr(index, "channel_id", None) != channel:
                raise BrokenRecord(f"{self.location}: no index of channel {channel} at byte {offset}")
            for log_ns, within in index.records:
                yield Found(names[channel], log_ns, log_ns, (self._number, chunk, within), b"")

    def _unpacked(self, file: IO[bytes], chunk: int, names: Mapping[int, str]) -> Iterator[Found]:
        data = self._chunk(file, chunk)
        for channel, log_ns, publish_ns, within, begin, end in messages_of(self._at(chunk), data):
            if channel in names:
                prefix = data[begin : min(end, begin + PREFIX_BYTES)]
                yield Found(names[channel], log_ns, publish_ns, (self._number, chunk, within), prefix)

    def _at(self, chunk: int) -> str:
        return f"{self.location}: the chunk at byte {chunk}"

    def _chunk(self, file: IO[bytes], offset: int) -> bytes:
        """The unpacked content of the chunk, checked; the last one is kept."""
        with self._lock:
            if self._cached is not None and self._cached[0] == offset:
                return self._cached[1]
        data = chunk_data(self._at(offset), read_record(self.location, file, offset, None))
        with self._lock:
            self._cached = (offset, data)
        return data

    def payload(self, topic: str, place: Place) -> bytes:
        """Returns a copy of the message's bytes, so that it does not hold a whole chunk in memory."""
        _, offset, within = place
        with self._open() as file:
            if within < 0:
                record = read_record(self.location, file, offset, None)
                return bytes(record.data)
            data = self._chunk(file, offset)
        opcode, length = RECORD.unpack_from(data, within) if within + RECORD.size <= len(data) else (0, 0)
        begin, end = within + RECORD.size + _MESSAGE_HEAD, within + RECORD.size + length
        if opcode != MESSAGE or not begin <= end <= len(data):
            raise BrokenRecord(f"{self._at(offset)}: no message of {topic} at byte {within} in it")
        return data[begin:end]

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in ("_lock", "_cached")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock, self._cached = Lock(), None
