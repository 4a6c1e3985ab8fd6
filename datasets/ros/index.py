"""Where the records of each sensor lie and when they were taken: made once when a recording is opened."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import LogError

from .recording import STAMP_BYTES, Clock, Found, Place, Recording, stamp_ns

__all__ = ["Stream", "streams_of"]

_INT64_MAX = 2**63 - 1


@dataclass(frozen=True, eq=False)
class Stream:
    """The records of one topic in the order of their times."""

    times_ns: NDArray[np.int64]
    """(n,) strictly increasing."""
    places: NDArray[np.int64]
    """(n, 3)"""

    def place(self, index: int) -> Place:
        first, second, third = (int(part) for part in self.places[index])
        return first, second, third


def streams_of(
    recording: Recording, topics: Collection[str], clock: Clock, duplicates: Literal["raise", "first"]
) -> dict[str, Stream]:
    """Returns topic -> stream, for the topics that have messages.

    Messages stand in the order of their times, and of equal times in that in which they were written, whatever the
    order in the file. Raises LogError for two at one time, unless the `first` of them is to be kept.
    """
    # a chunk's own index tells the log time; for the others the messages are looked at
    most = 0 if clock == "log" else STAMP_BYTES
    rows: dict[str, list[tuple[int, Place]]] = {name: [] for name in topics}
    for found in recording.scan(topics, most):
        rows[found.topic].append((_time(recording, found, clock), found.place))
    return {name: _stream(recording, name, own, clock, duplicates) for name, own in rows.items() if own}


def _time(recording: Recording, found: Found, clock: Clock) -> int:
    if clock == "header":
        topic = recording.topics[found.topic]
        return stamp_ns(topic, found.data, f"{recording.location}: {found.topic} at {found.log_ns} ns")
    time_ns = found.log_ns if clock == "log" else found.publish_ns
    if time_ns > _INT64_MAX:
        raise LogError(
            f"{recording.location}: {found.topic} has the {clock} time {time_ns} ns, which does not fit int64"
        )
    return time_ns


def _stream(
    recording: Recording,
    topic: str,
    rows: Iterable[tuple[int, Place]],
    clock: Clock,
    duplicates: Literal["raise", "first"],
) -> Stream:
    ordered = sorted(rows)
    times = np.array([time_ns for time_ns, _ in ordered], dtype=np.int64)
    places = np.array([place for _, place in ordered], dtype=np.int64)
    again = np.concatenate([[False], times[1:] == times[:-1]])
    if again.any() and duplicates == "raise":
        at = int(times[np.argmax(again)])
        hint = "; if its stamps are not set, try clock='log'" if clock == "header" else ""
        raise LogError(
            f"{recording.location}: {topic} has {int(again.sum())} records at the time of another, the first at {at} "
            f"ns, wanted one at a time; keep the first of each with duplicate_stamps='first'{hint}"
        )
    return Stream(times[~again], places[~again])
