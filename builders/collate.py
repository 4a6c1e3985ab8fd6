"""A batch: the tensors of several frames in one block per name, written straight into it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .plan import Plan, Planned
from .pool import Buffer, Pool

__all__ = ["Batch"]

_GUESS = 1.25


class Batch:
    """Takes the stages' results frame by frame."""

    def __init__(self, plan: Plan, pool: Pool, size: int, writable: bool) -> None:
        self._pool = pool
        self._writable = writable
        self._parts: dict[str, _Stack | _Concat] = {
            t.name: (_Concat if t.ragged else _Stack)(t, pool, size, writable) for t in plan.tensors
        }
        self._tensors = plan.tensors

    def add(self) -> None:
        """Adds the frame that the stages last ran on."""
        for part in self._parts.values():
            part.add()

    def tensors(self) -> dict[str, NDArray[Any]]:
        out = {name: part.result() for name, part in self._parts.items()}
        for planned in self._tensors:
            part = self._parts[planned.name]
            name = _pointer_name(planned)
            if isinstance(part, _Concat) and name not in out:
                out[name] = self._pointer(name, part.starts)
        for array in out.values():
            array.flags.writeable = self._writable
        return out

    def _pointer(self, name: str, starts: list[int]) -> NDArray[Any]:
        array, _ = self._pool.take(("starts", name), name, (len(starts),), np.int32)
        array[:] = starts
        return array


def _pointer_name(planned: Planned) -> str:
    suffix = planned.name.partition("__")[2]
    return f"{planned.resolved.group.name}{'__' + suffix if suffix else ''}_batch_ptr"


class _Stack:
    """A new first axis. Each frame's place in the block remembers what was written there."""

    def __init__(self, planned: Planned, pool: Pool, size: int, writable: bool) -> None:
        shape = (size, *(n for n in planned.resolved.fixed if n is not None))
        self._planned = planned
        self._array, self._buffer = pool.take(("stack", planned.name, size), planned.name, shape, planned.dtype)
        if writable and self._buffer.dirty:
            self._buffer.zero()
        self._places = self._buffer.dirty.setdefault("places", [{} for _ in range(size)])
        self._next = 0

    def add(self) -> None:
        with self._buffer.filling():
            self._planned.fill(self._array[self._next], self._places[self._next])
        self._next += 1

    def result(self) -> NDArray[Any]:
        return self._array


class _Concat:
    """One frame after the other along the first axis, in a block that grows if the guess was too small."""

    def __init__(self, planned: Planned, pool: Pool, size: int, writable: bool) -> None:
        self._planned = planned
        self._pool = pool
        self._size = size
        self._indexed = getattr(planned.resolved.feature.collate, "index", None) == "column"
        self._array: NDArray[Any] | None = None
        self.starts = [0]

    def add(self) -> None:
        shape, start = self._planned.shape, self.starts[-1]
        stop = start + shape[0]
        rest = (shape[1] + 1, *shape[2:]) if self._indexed else shape[1:]
        if self._array is None or stop > len(self._array):
            frames_left = self._size - (len(self.starts) - 1)
            self._grow(start + int(shape[0] * frames_left * _GUESS) + 1, rest)
        assert self._array is not None
        rows = self._array[start:stop]
        if self._indexed:
            rows[:, 0] = len(self.starts) - 1
            rows = rows[:, 1:]
        self._planned.fill(rows, {})
        self.starts.append(stop)

    def _grow(self, capacity: int, rest: tuple[int, ...]) -> None:
        old = self._array
        self._array, buffer = self._take(capacity, rest)
        # fillers expect zeros, and what a batch left behind lies at other rows every time
        if buffer.dirty:
            buffer.zero()
        buffer.dirty["used"] = True
        if old is not None:
            self._array[: len(old)] = old

    def _take(self, capacity: int, rest: tuple[int, ...]) -> tuple[NDArray[Any], Buffer]:
        name = self._planned.name
        return self._pool.take(("concat", name), name, (capacity, *rest), self._planned.dtype)

    def result(self) -> NDArray[Any]:
        assert self._array is not None
        return self._array[: self.starts[-1]]
