"""One MCAP file: its index, and single messages by seeking. The container is read with the `mcap` library.

Every length is checked against the file before it is believed, and a chunk's checksum before its content is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from perceptum.inputs import BrokenRecord
from perceptum.inputs.once import get_or_make, once

from ..reading.files import check_file
from .mcap_chunks import chunk_data, messages_of
from .mcap_index import contents_of, skip
from .mcap_records import MESSAGE, MESSAGE_HEAD, RECORD, library, read_record
from .recording import WHOLE, Found, Place, Topic, first_of, type_name
from .types import add_topic

__all__ = ["McapFile"]


class McapFile:
    """Answers as a `Recording`; a place is (chunk, message in the chunk), or (message, -1) outside of chunks."""

    def __init__(self, path: Path, number: int = 0, *, skip_damaged: bool = False) -> None:
        """`number`: the first part of its places; `skip_damaged`: read what is whole of a file that is not."""
        self.location = str(path)
        self._path, self._number, self._skip_damaged = path, number, skip_damaged
        size = check_file(path, "the recording is missing")
        self._chunks: dict[int, bytes] = {}
        library()
        with self._open() as file:
            self._contents = contents_of(self.location, file, size, skip_damaged)

    def _open(self) -> IO[bytes]:
        try:
            return open(self._path, "rb")
        except OSError as error:
            raise BrokenRecord(f"{self.location}: cannot be read ({error.strerror})") from error

    @once
    def topics(self) -> Mapping[str, Topic]:
        """Topic by name."""
        found: dict[str, Topic] = {}
        counts = self._counts()
        for id, channel in self._contents.channels.items():
            add_topic(found, self._topic(channel, counts.get(id, 0)), self.location)
        return found

    def _topic(self, channel: Any, count: int) -> Topic:
        schema = self._contents.schemas.get(channel.schema_id)
        if schema is None:
            return Topic(channel.topic, "no schema", channel.message_encoding, count)
        return Topic(
            name=channel.topic,
            type=type_name(schema.name),
            encoding=channel.message_encoding,
            count=count,
            definition=schema.data.decode("utf-8", "replace"),
            definition_format=schema.encoding,
        )

    def _counts(self) -> Mapping[int, int]:
        """Channel -> its messages; where the file does not say, from the message indexes, else from the chunks."""
        told = self._contents.told
        if told is not None:
            return told
        counts = Counter(channel for channel, *_ in self._contents.messages)
        with self._open() as file:
            for offset in sorted(self._contents.chunks):
                try:
                    counts.update(self._contents.counted.get(offset) or self._counts_of(file, offset))
                except BrokenRecord as error:
                    skip(error, self._skip_damaged)
        return counts

    def _counts_of(self, file: IO[bytes], chunk: int) -> Mapping[int, int]:
        index = self._contents.chunks[chunk]
        if not index:
            return Counter(message[0] for message in messages_of(self._at(chunk), self._chunk(file, chunk)))
        return {channel: len(self._message_index(file, channel, offset).records) for channel, offset in index.items()}

    def scan(self, topics: Collection[str], most: int) -> Iterator[Found]:
        """Yields the messages of the topics chunk by chunk; one chunk is in memory at a time.

        With `most` 0 the chunks' own indexes are enough, where they are there, and no chunk is unpacked;
        the publish time is then said to be the log time.
        """
        names = {id: c.topic for id, c in self._contents.channels.items() if c.topic in topics}
        with self._open() as file:
            yield from self._loose(file, names, most)
            for offset in sorted(self._contents.chunks):
                index = self._contents.chunks[offset]
                if index and not names.keys() & index.keys():
                    continue
                try:
                    if index and most == 0:
                        yield from self._indexed(file, offset, {id: index[id] for id in names if id in index}, names)
                    else:
                        yield from self._unpacked(file, offset, names, most)
                except BrokenRecord as error:
                    skip(error, self._skip_damaged)

    def _loose(self, file: IO[bytes], names: Mapping[int, str], most: int) -> Iterator[Found]:
        for channel, log_ns, publish_ns, offset in self._contents.messages:
            if channel in names:
                data = read_record(self.location, file, offset).data if most else b""
                place = (self._number, offset, -1)
                yield Found(names[channel], log_ns, publish_ns, place, first_of(data, most))

    def _indexed(
        self, file: IO[bytes], chunk: int, offsets: Mapping[int, int], names: Mapping[int, str]
    ) -> Iterator[Found]:
        for channel, offset in offsets.items():
            for log_ns, within in self._message_index(file, channel, offset).records:
                yield Found(names[channel], log_ns, log_ns, (self._number, chunk, within), b"")

    def _message_index(self, file: IO[bytes], channel: int, offset: int) -> Any:
        index = read_record(self.location, file, offset)
        if getattr(index, "channel_id", None) != channel:
            raise BrokenRecord(f"{self.location}: no index of channel {channel} at byte {offset}")
        return index

    def _unpacked(self, file: IO[bytes], chunk: int, names: Mapping[int, str], most: int) -> Iterator[Found]:
        data = self._chunk(file, chunk)
        for channel, log_ns, publish_ns, within, begin, end in messages_of(self._at(chunk), data):
            if channel in names:
                last = end if most == WHOLE else min(end, begin + most)
                yield Found(names[channel], log_ns, publish_ns, (self._number, chunk, within), data[begin:last])

    def _at(self, chunk: int) -> str:
        return f"{self.location}: the chunk at byte {chunk}"

    def _chunk(self, file: IO[bytes], offset: int) -> bytes:
        """The unpacked content of the chunk, checked; the last one is kept."""
        data = get_or_make(
            self._chunks, offset, lambda: chunk_data(self._at(offset), read_record(self.location, file, offset))
        )
        for other in [other for other in list(self._chunks) if other != offset]:
            self._chunks.pop(other, None)
        return data

    def payload(self, topic: str, place: Place) -> bytes:
        """Returns a copy of the message's bytes, so that it does not hold a whole chunk in memory."""
        _, offset, within = place
        with self._open() as file:
            if within < 0:
                record = read_record(self.location, file, offset)
                return bytes(record.data)
            data = self._chunk(file, offset)
        opcode, length = RECORD.unpack_from(data, within) if within + RECORD.size <= len(data) else (0, 0)
        begin, end = within + RECORD.size + MESSAGE_HEAD.size, within + RECORD.size + length
        if opcode != MESSAGE or not begin <= end <= len(data):
            raise BrokenRecord(f"{self._at(offset)}: no message of {topic} at byte {within} in it")
        return data[begin:end]

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_chunks"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._chunks = {}
