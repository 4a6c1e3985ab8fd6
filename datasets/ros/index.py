"""Where the records of each sensor lie and when they were taken: made once when a recording is opened."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord, LogError

from .foxglove import described_stamp_ns
from .foxglove_fields import is_described
from .recording import STAMP_BYTES, Clock, Found, Place, Recording, stamp_ns

__all__ = ["STUCK", "NeverStamped", "Stream", "streams_of"]

_INT64_MAX = 2**63 - 1
STUCK = 3
"""Records at different times with one stamp, from which on the stamp was never set."""


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


class NeverStamped(BrokenRecord):
    """No record of a topic has a stamp of its own."""


def streams_of(
    recording: Recording, topics: Collection[str], clock: Clock, duplicates: Literal["raise", "first"]
) -> tuple[dict[str, Stream], dict[str, list[LogError]]]:
    """Returns topic -> stream, for the topics that have messages with times; and topic -> what is left out of them.

    Messages stand in the order of their times, and of equal times in that in which they were written, whatever the
    order in the file. Left out are a topic whose messages are of several types, or were never stamped; messages with
    a time that is none; and all but the first of those at one time, which is not an error if `duplicates` is first.
    """
    # a chunk's own index has the log time; for the others the messages are looked at
    most = 0 if clock == "log" else STAMP_BYTES
    left_out: dict[str, list[LogError]] = {}
    for name in topics:
        if recording.topics[name].conflict:
            left_out[name] = [BrokenRecord(recording.topics[name].conflict)]
    rows: dict[str, list[_Row]] = {name: [] for name in topics if name not in left_out}
    wrong: dict[str, list[LogError]] = {name: [] for name in rows}
    for found in recording.scan(rows.keys(), most):
        try:
            rows[found.topic].append(_Row(_time(recording, found, clock), found.place, found.log_ns))
        except LogError as error:
            wrong[found.topic].append(error)
    streams: dict[str, Stream] = {}
    for name, own in rows.items():
        errors = [_with_count(wrong[name])] if wrong[name] else []
        kept = _stamped(f"{recording.location}: {name}", own, errors, clock)
        stream = _stream(f"{recording.location}: {name}", kept, clock, duplicates, errors)
        if stream is not None:
            streams[name] = stream
        if errors:
            left_out[name] = errors
    return streams, left_out


class _Row(NamedTuple):
    time_ns: int
    place: Place
    recorded_ns: int


def _time(recording: Recording, found: Found, clock: Clock) -> int:
    if clock == "header":
        topic = recording.topics[found.topic]
        where = f"{recording.location}: {found.topic} at {found.log_ns} ns"
        if is_described(topic.type, topic.encoding):
            return described_stamp_ns(topic, recording.payload(found.topic, found.place), where)
        return stamp_ns(topic, found.data, where)
    time_ns = found.log_ns if clock == "log" else found.publish_ns
    if time_ns > _INT64_MAX:
        raise LogError(
            f"{recording.location}: {found.topic} has the {clock} time {time_ns} ns, which does not fit int64"
        )
    return time_ns


def _with_count(errors: list[LogError]) -> LogError:
    return type(errors[0])(f"{errors[0]}; {len(errors) - 1} more are wrong") if errors[1:] else errors[0]


def _stamped(where: str, rows: list[_Row], errors: list[LogError], clock: Clock) -> list[_Row]:
    """The rows whose times were set: 0 says that one was not, and so does one for all that were recorded over time.

    Of the times at which messages were recorded or sent a single 0 is one: a simulator's clock begins there.
    """
    what = {"header": "stamps", "log": "log times", "publish": "publish times"}[clock]
    other = "of their headers with clock='header'" if clock == "log" else "at which they were recorded with clock='log'"
    hint = f"read the log by the times {other}, or leave the topic out"
    stamps = {row.time_ns for row in rows}
    if stamps == {0} and (clock == "header" or len(rows) > 1):
        errors.append(
            NeverStamped(f"{where}: the {what} of all {len(rows)} records are 0, which was never set; {hint}")
        )
        return []
    if clock != "header":
        return rows
    if len(stamps) == 1 and len({row.recorded_ns for row in rows}) >= STUCK:
        stamp = rows[0].time_ns
        errors.append(
            NeverStamped(f"{where}: all {len(rows)} records have the stamp {stamp} ns, which was never updated; {hint}")
        )
        return []
    kept = [row for row in rows if row.time_ns]
    if len(kept) < len(rows):
        first_ns = next(row.recorded_ns for row in rows if not row.time_ns)
        errors.append(
            BrokenRecord(
                f"{where}: {len(rows) - len(kept)} of {len(rows)} records have the stamp 0, which was never set, the "
                f"first recorded at {first_ns} ns; leave them out with on_error='skip', or try clock='log'"
            )
        )
    return kept


def _stream(
    where: str, rows: Iterable[_Row], clock: Clock, duplicates: Literal["raise", "first"], errors: list[LogError]
) -> Stream | None:
    ordered = sorted(rows)
    if not ordered:
        return None
    times = np.array([row.time_ns for row in ordered], dtype=np.int64)
    places = np.array([row.place for row in ordered], dtype=np.int64)
    again = np.concatenate([[False], times[1:] == times[:-1]])
    if again.any() and duplicates == "raise":
        at = int(times[np.argmax(again)])
        hint = "; if its stamps are not set, try clock='log'" if clock == "header" else ""
        errors.append(
            LogError(
                f"{where} has {int(again.sum())} records at the time of another, the first at {at} ns, wanted one at a "
                f"time; keep the first of each with duplicate_stamps='first'{hint}"
            )
        )
    return Stream(times[~again], places[~again])
