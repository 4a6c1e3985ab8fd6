"""One .db3 file of a rosbag2 recording: an SQLite database of messages. Only the rows that are asked for are read."""

from __future__ import annotations

import sqlite3
import warnings
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from perceptum.inputs import BrokenRecord, LogError
from perceptum.install import install_command

from ..reading.files import check_file
from .recording import WHOLE, Found, Place, Topic, first_of, type_name
from .sqlite_file import SqliteFile
from .types import add_topic

__all__ = ["SqliteBag"]

_LARGEST_MESSAGE = 1 << 30
# a zstd frame says within its first bytes what it unpacks to, but not what: it is unpacked whole
_ZSTD = b"\x28\xb5\x2f\xfd"


class SqliteBag:
    """Answers as a `Recording`; a place is (number of the file, timestamp, row)."""

    def __init__(
        self, path: Path, number: int = 0, *, compressed: bool | None = None, skip_damaged: bool = False
    ) -> None:
        """`compressed`: each message is a zstd frame; None: those are that begin as one, which no CDR does.
        `skip_damaged`: read what is whole of a file that is not: the rows up to the first that cannot be reached."""
        self.location = str(path)
        self._number, self._compressed, self._skip_damaged = number, compressed, skip_damaged
        check_file(path, "the recording is missing")
        self._file = SqliteFile(path)
        self.topics: Mapping[str, Topic] = self._topics()

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._file.open() as database:
                yield database
        # a text in a broken row, or in the message about it, may be no text
        except (sqlite3.Error, UnicodeDecodeError, OverflowError, MemoryError) as error:
            reason = " ".join(str(error).split())[:120]
            raise BrokenRecord(f"{self.location}: not a complete rosbag2 database ({reason})") from error

    def _topics(self) -> dict[str, Topic]:
        with self._open() as database:
            rows = database.execute("SELECT id, name, type, serialization_format FROM topics ORDER BY id").fetchall()
            counts = self._counts(database)
            definitions = _definitions(database)
        lost = {id: count for id, count in counts.items() if id not in {row[0] for row in rows}}
        if lost:
            warnings.warn(
                f"{self.location}: left out: {sum(lost.values())} messages of {len(lost)} topics that it does not list",
                stacklevel=2,
            )
        self._names: dict[int, str] = {id: str(name) for id, name, _, _ in rows}
        found: dict[str, Topic] = {}
        for id, name, kind, encoding in rows:
            definition = definitions.get(str(kind), ("", ""))
            topic = Topic(str(name), type_name(str(kind)), str(encoding), counts.get(id, 0), *definition)
            add_topic(found, topic, self.location)
        return found

    def _counts(self, database: sqlite3.Connection) -> dict[int, int]:
        """Topic -> its messages; of a damaged file those that can be reached."""
        try:
            return dict(database.execute("SELECT topic_id, count(*) FROM messages GROUP BY topic_id").fetchall())
        except sqlite3.DatabaseError:
            if not self._skip_damaged:
                raise
        found = Counter[int]()
        # what cannot be reached ends the walk, in `scan` as here, where it is said
        with suppress(sqlite3.DatabaseError):
            found.update(topic for (topic,) in database.execute("SELECT topic_id FROM messages ORDER BY id"))
        return dict(found)

    def scan(self, topics: Collection[str], most: int) -> Iterator[Found]:
        """Yields the messages of the topics in the order of their rows; of each only `most` bytes are read."""
        ids = [id for id, name in self._names.items() if name in topics]
        marks = ",".join("?" * len(ids))
        query = f"SELECT id, topic_id, timestamp FROM messages WHERE topic_id IN ({marks}) ORDER BY id"
        try:
            with self._open() as database:
                for row, topic, time_ns in database.execute(query, ids):
                    found = self._found(database, row, self._names[topic], time_ns, most)
                    if found is not None:
                        yield found
        except BrokenRecord as error:
            self._skip(error)

    def _found(self, database: sqlite3.Connection, row: int, topic: str, time_ns: object, most: int) -> Found | None:
        """Returns one message; None where it is broken and what is damaged is left out."""
        try:
            if not isinstance(time_ns, int):
                raise BrokenRecord(f"{self.location}: row {row} has the timestamp {time_ns!r}, wanted nanoseconds")
            data = self._bytes(database, row, most) if most else b""
        except (BrokenRecord, sqlite3.Error) as error:
            if not self._skip_damaged:
                raise
            said = str(error) if isinstance(error, BrokenRecord) else f"{self.location}: row {row} ({error})"
            self._skip(BrokenRecord(said))
            return None
        return Found(topic, time_ns, time_ns, (self._number, time_ns, row), data)

    def _skip(self, error: BrokenRecord) -> None:
        """Warns of what is left out, or raises it."""
        if not self._skip_damaged:
            raise error
        warnings.warn(f"left out: {error}", stacklevel=2)

    def payload(self, topic: str, place: Place) -> bytes:
        with self._open() as database:
            return self._bytes(database, place[2], WHOLE)

    def _bytes(self, database: sqlite3.Connection, row: int, most: int) -> bytes:
        with database.blobopen("messages", "data", row, readonly=True) as blob:
            if len(blob) > _LARGEST_MESSAGE:
                raise BrokenRecord(
                    f"{self.location}: row {row} is a message of {len(blob)} bytes, wanted at most 1 GiB"
                )
            packed = self._compressed
            if packed is None:
                packed = blob.read(len(_ZSTD)) == _ZSTD
                blob.seek(0)
            data = blob.read(WHOLE if packed else most)
        return first_of(self._unpacked(row, data), most) if packed else data

    def _unpacked(self, row: int, data: bytes) -> bytes:
        try:
            import zstandard
        except ImportError as error:
            raise LogError(f"compressed bags need zstandard: {install_command('mcap')}") from error
        try:
            size = zstandard.frame_content_size(data) if data.startswith(_ZSTD) else _LARGEST_MESSAGE + 1
            if size > _LARGEST_MESSAGE:
                raise BrokenRecord(f"{self.location}: row {row} is not a zstd frame of at most 1 GiB")
            return zstandard.decompress(data, max_output_size=_LARGEST_MESSAGE if size < 0 else max(size, 1))
        except (zstandard.ZstdError, MemoryError) as error:
            raise BrokenRecord(f"{self.location}: row {row} cannot be unpacked ({error})") from error


def _definitions(database: sqlite3.Connection) -> dict[str, tuple[str, str]]:
    """Type -> (definition, ros2msg or ros2idl); bags older than Iron hold none."""
    try:
        rows = database.execute("SELECT topic_type, encoded_message_definition, encoding FROM message_definitions")
    except sqlite3.OperationalError:
        return {}
    return {str(kind): (str(text), str(form)) for kind, text, form in rows}
