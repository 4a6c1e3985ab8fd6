"""What a loader and its workers say to each other; `wire.send` and `wire.receive` carry it.

Jobs go through one socket that all workers read from, so that whoever has nothing to do takes the next. Everything
else goes over a socket of each worker's own. Of a batch only numbers are said: its bytes lie where the parent maps
them.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

__all__ = [
    "BATCH",
    "CHUNK",
    "CONTROL_BYTES",
    "ENDED",
    "FAILED",
    "FORK",
    "FORKED",
    "GIVEN_BACK",
    "LEFT_OUT",
    "PLAN",
    "START",
    "WORK",
    "At",
    "Job",
]

# to a worker
START, WORK, GIVEN_BACK = 20, 21, 22
# from a worker
CHUNK, PLAN, LEFT_OUT, BATCH, FAILED = 30, 31, 32, 33, 34
# to who forks workers, and from it
FORK, FORKED, ENDED = 40, 41, 42

CONTROL_BYTES = 4096
_AT = struct.Struct("<QQQ")
_JOB = struct.Struct("<QQQQ")


class At(NamedTuple):
    """What a worker is at: it writes that into a page that the parent reads when the worker has died."""

    ticket: int
    """0: nothing."""
    sample: int
    """Its number in the batch."""
    prepares: int = 0
    """1: it waits for the code of a kernel, which is loaded or compiled."""

    def write(self, page: memoryview) -> None:
        _AT.pack_into(page, 0, *self)

    @classmethod
    def read(cls, page: memoryview) -> At:
        return cls(*_AT.unpack_from(page))


class Job(NamedTuple):
    """A batch that is to be built."""

    ticket: int
    """From 1, each once in the life of a loader's workers."""
    epoch: int
    start: int
    """Positions of that epoch that were gone through before this run of it began."""
    batch: int
    left_out: tuple[int, ...] = ()
    """Samples of the batch, by their number in it, that a worker died of."""

    def packed(self) -> bytes:
        return _JOB.pack(*self[:4]) + struct.pack(f"<{len(self.left_out)}Q", *self.left_out)

    @classmethod
    def unpacked(cls, data: bytes) -> Job:
        left_out = struct.unpack(f"<{(len(data) - _JOB.size) // 8}Q", data[_JOB.size :])
        ticket, epoch, start, batch = _JOB.unpack_from(data)
        return cls(ticket, epoch, start, batch, left_out)
