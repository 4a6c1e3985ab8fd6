"""Many logs as a sequence, each opened when it is first asked for; few stay open."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .errors import LogError
from .log import Log
from .once import Guard, get_or_make

__all__ = ["JoinedLogs", "LazyLogs", "LogAbout"]


class LogAbout(NamedTuple):
    """What is known of a log without opening it."""

    name: str
    frames: int
    duration_s: float | None = None
    """From the first frame to the last; None where only opening the log says."""
    split: str | None = None
    description: str | None = None
    """The dataset's own words."""
    place: str | None = None
    """What opens it alone, as a command line takes it: "nuscenes:scene=scene-0061"; None where that is not known."""


class LazyLogs(Sequence[Log]):
    """`logs[12]` opens the log, unless it is still open. Any number of threads may ask.

    The `most_open` that were asked for last stay open: an open log holds its index, a megabyte or so, and perhaps
    mapped files. What is still in use stays open all the same, as a frame holds its log. Pickled, all arrive closed.
    """

    def __init__(
        self,
        frames: Sequence[int] | NDArray[np.int64],
        open_one: Callable[[int], Log],
        about: Callable[[int], LogAbout],
        most_open: int = 128,
    ) -> None:
        """frames: (L,) of each log. open_one, about: by a log's number; they pickle."""
        if most_open < 1:
            raise LogError(f"most_open_logs must be 1 or more, got {most_open}")
        self.frames: NDArray[np.int64] = np.asarray(frames, dtype=np.int64)
        self.most_open = most_open
        self._open_one = open_one
        self._about = about
        self._open = _LastUsed(most_open)

    def __reduce__(self) -> tuple[type[LazyLogs], tuple[object, ...]]:
        return LazyLogs, (self.frames, self._open_one, self._about, self.most_open)

    def __repr__(self) -> str:
        return f"<LazyLogs: {len(self)}, {len(self._open)} of them open>"

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, number: int) -> Log:  # type: ignore[override]
        number = _number_of(number, len(self))
        return get_or_make(self._open, number, lambda: self._opened(number))

    def __iter__(self) -> Iterator[Log]:
        return (self[number] for number in range(len(self)))

    def about(self, number: int) -> LogAbout:
        """Returns what is known of a log; opens none."""
        return self._about(number)._replace(frames=int(self.frames[number]))

    def open_now(self) -> list[Log]:
        """Returns the logs that are open."""
        return self._open.logs()

    def keep(self, number: int, log: Log) -> None:
        """Takes a log that is open already."""
        self._open[number] = log

    def _opened(self, number: int) -> Log:
        log = self._open_one(number)
        if len(log) != self.frames[number]:
            raise LogError(
                f"{log.source.location}: {log.source.name} has {len(log)} frames, and had {self.frames[number]} when "
                "the dataset was opened; open the dataset again"
            )
        return log


class _LastUsed:
    """Number -> open log, of those that were asked for last."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._logs: OrderedDict[int, Log] = OrderedDict()
        self._guard = Guard()

    def __len__(self) -> int:
        return len(self._logs)

    def logs(self) -> list[Log]:
        with self._guard.lock:
            return list(self._logs.values())

    def __getitem__(self, number: int) -> Log:
        with self._guard.lock:
            log = self._logs[number]
            self._logs.move_to_end(number)
            return log

    def __setitem__(self, number: int, log: Log) -> None:
        gone = []
        with self._guard:
            self._logs[number] = log
            while len(self._logs) > self._most:
                gone.append(self._logs.popitem(last=False))
        # let go outside of the lock: closing files may run any code
        gone.clear()


class JoinedLogs(Sequence[Log]):
    """The logs of several sequences as one; each stays as lazy as it is."""

    def __init__(self, parts: Sequence[Sequence[Log]]) -> None:
        self.parts = tuple(parts)
        self._stops: NDArray[np.int64] = np.cumsum([len(part) for part in parts], dtype=np.int64)

    def __len__(self) -> int:
        return int(self._stops[-1]) if len(self._stops) else 0

    def __getitem__(self, number: int) -> Log:  # type: ignore[override]
        part, within = self.place(number)
        return part[within]

    def __iter__(self) -> Iterator[Log]:
        return (log for part in self.parts for log in part)

    def place(self, number: int) -> tuple[Sequence[Log], int]:
        """Returns the sequence that a log is in, and its number there; raises IndexError."""
        number = _number_of(number, len(self))
        part = int(np.searchsorted(self._stops, number, side="right"))
        return self.parts[part], number - (int(self._stops[part - 1]) if part else 0)


def _number_of(number: int, count: int) -> int:
    if not -count <= operator.index(number) < count:
        raise IndexError(f"no log {number}, there are {count}")
    return operator.index(number) % count
