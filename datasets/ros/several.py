"""Several files as one recording: the parts in which a recorder wrote it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from .recording import Found, Place, Recording, Topic
from .types import add_topic

__all__ = ["SeveralFiles"]


class SeveralFiles:
    """Answers as a `Recording`; a place begins with the number of the file, which each file puts there."""

    def __init__(self, folder: Path, files: Sequence[Recording]) -> None:
        self.location = str(folder)
        self._files = files
        topics: dict[str, Topic] = {}
        for topic in (topic for file in files for topic in file.topics.values()):
            add_topic(topics, topic, self.location)
        self.topics: Mapping[str, Topic] = topics

    def scan(self, topics: Collection[str], most: int) -> Iterator[Found]:
        for file in self._files:
            yield from file.scan(topics, most)

    def payload(self, topic: str, place: Place) -> bytes:
        return self._files[place[0]].payload(topic, place)
