"""Several files as one recording: the parts in which a recorder wrote it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

from perceptum.inputs import BrokenRecord, LogError, MissingRecord

from .recording import Found, Place, Recording, Topic
from .types import add_topic

__all__ = ["SeveralFiles"]


class SeveralFiles:
    """Answers as a `Recording`; a place begins with the number of the file, which each file puts there."""

    def __init__(self, folder: Path, parts: Sequence[Callable[[], Recording]], skip_damaged: bool = False) -> None:
        """`parts`: what opens each; `skip_damaged`: one that cannot be opened is left out, with a warning."""
        self.location = str(folder)
        self._files: dict[int, Recording] = {}
        broken: list[LogError] = []
        for number, part in enumerate(parts):
            try:
                self._files[number] = part()
            except (BrokenRecord, MissingRecord) as error:
                if not skip_damaged:
                    raise
                broken.append(error)
        if broken and not self._files:
            raise broken[0]
        for lost in broken:
            warnings.warn(f"left out: {lost}", stacklevel=2)
        topics: dict[str, Topic] = {}
        for topic in (topic for file in self._files.values() for topic in file.topics.values()):
            add_topic(topics, topic, self.location)
        self.topics: Mapping[str, Topic] = topics

    def scan(self, topics: Collection[str], most: int) -> Iterator[Found]:
        for file in self._files.values():
            yield from file.scan(topics, most)

    def payload(self, topic: str, place: Place) -> bytes:
        return self._files[place[0]].payload(topic, place)
