"""A batch is a memory: each frame takes the next place of one block per tensor, and is written straight into it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from perceptum.features import Concat, Resolved, SpecError, Stack

from .memory import Lease, Memory
from .pool import Pool
from .written import Written, WrittenPart

__all__ = ["Batch", "check_collation"]

_GUESS = 1.25
_ROOM_PER_FRAME = 2**26
_MOST_ROOM = 2**33


class Batch:
    """The blocks of one model's tensors. `take` gives the places of the frame that is being built."""

    def __init__(self, rows: Sequence[Resolved], memory: Memory, frames: int) -> None:
        self._rows = rows
        self._memory = memory
        self._blocks: dict[str, _Stacked | _Joined | _Edges] = {}
        for row in rows:
            collate = row.feature.collate
            if None not in row.fixed:
                self._blocks[row.name] = _Stacked(row, memory, frames)
            elif isinstance(collate, Concat) and collate.axis == 0:
                self._blocks[row.name] = _Joined(row, collate, memory, frames)
            elif isinstance(collate, Concat):
                self._blocks[row.name] = _Edges(row, collate, memory)
        self._nodes_before: dict[str, int] = {}

    def take(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> Lease:
        return self._blocks[name].take(shape)

    def end_frame(self, sizes: Mapping[str, Mapping[str, int]]) -> None:
        """Called when a frame's tensors are all written. sizes: row -> its filler's sizes."""
        for row in self._rows:
            collate = row.feature.collate
            block = self._blocks[row.name]
            if isinstance(collate, Concat) and collate.index == "offset" and not isinstance(block, _Stacked):
                before = self._nodes_before.get(row.name, 0)
                if before:
                    block.last += before
                self._nodes_before[row.name] = before + _nodes(row, self._rows, sizes)
        for block in self._blocks.values():
            block.end_frame()

    def tensors(self, writable: bool) -> dict[str, NDArray[Any]]:
        """Returns the blocks, and where each frame begins in those of varying size."""
        out: dict[str, NDArray[Any]] = {name: block.result() for name, block in self._blocks.items()}
        for row in self._rows:
            block, name = self._blocks[row.name], _pointer_name(row)
            if not isinstance(block, _Stacked) and name not in out:
                lease = self._memory.take(name, (len(block.starts),), np.int32)
                lease.array[:] = block.starts
                lease.written.settle()
                out[name] = lease.array
        for array in out.values():
            array.flags.writeable = writable
        return out


def check_collation(rows: Sequence[Resolved]) -> None:
    """Raises SpecError where frames of different size cannot be made one tensor."""
    for row in rows:
        collate, ragged = row.feature.collate, [axis for axis, n in enumerate(row.fixed) if n is None]
        if not ragged:
            continue
        if isinstance(collate, Stack):
            raise SpecError(
                f"'{row.name}' cannot be stacked into a batch: a frame decides its size '{row.sizes[ragged[0]]}'; "
                "fix it in the spec"
            )
        if ragged != [collate.axis]:
            raise SpecError(
                f"'{row.name}' cannot be joined into a batch along axis {collate.axis}: a frame also decides its size "
                f"'{row.sizes[next(axis for axis in ragged if axis != collate.axis)]}'; fix that in the spec"
            )


def _pointer_name(row: Resolved) -> str:
    """`<group>_batch_ptr`; of a group with several sizes that is the first, and others are `<feature>_batch_ptr`."""
    collate, suffix = row.feature.collate, row.name.partition("__")[2]
    own = row.sizes[collate.axis] if isinstance(collate, Concat) else None
    found = [size for feature in row.group.features for size in feature.sizes(row.params) if isinstance(size, str)]
    base = row.group.name if found[:1] == [own] else row.feature.name
    return f"{base}{'__' + suffix if suffix else ''}_batch_ptr"


def _nodes(row: Resolved, rows: Sequence[Resolved], sizes: Mapping[str, Mapping[str, int]]) -> int:
    """Returns how many rows the tensor that `row` numbers has in this frame."""
    collate, suffix = row.feature.collate, row.name.partition("__")[2]
    assert isinstance(collate, Concat)
    for other in rows:
        if other.feature.name == collate.offset_of and other.name.partition("__")[2] == suffix:
            fixed, size, own = other.fixed[0], other.sizes[0], sizes[other.name]
            return fixed if fixed is not None else own[str(size)]
    numbered = next(f for f in row.group.features if f.name == collate.offset_of)
    size = numbered.sizes(row.params)[0]
    return size if isinstance(size, int) else sizes[row.name][size]


class _Stacked:
    """A new first axis. Each frame's place in the block remembers what was written there."""

    def __init__(self, row: Resolved, memory: Memory, frames: int) -> None:
        shape = (frames, *(n for n in row.fixed if n is not None))
        self._lease = _take_block(memory, row, "stacked", shape)
        block = self._lease.written
        block.used = max(block.used, prod(shape) * self._lease.array.itemsize)
        block.places += tuple(Written() for _ in range(frames - len(block.places)))
        self._frames = frames
        self._next = 0
        self.starts: list[int] = []

    def take(self, shape: tuple[int, ...]) -> Lease:
        return Lease(self.last, self._lease.written.places[self._next])

    @property
    def last(self) -> NDArray[Any]:
        last: NDArray[Any] = self._lease.array[self._next, ...]
        return last

    def end_frame(self) -> None:
        self._next += 1

    def result(self) -> NDArray[Any]:
        self._lease.written.settle()
        return self._lease.array[: self._frames]


class _Joined:
    """One frame after the other along the first axis.

    The block is made with so much room that it need not grow: pages that nobody touches cost nothing.
    """

    def __init__(self, row: Resolved, collate: Concat, memory: Memory, frames: int) -> None:
        self._row = row
        self._memory = memory
        self._frames = frames
        self._column = collate.index == "column"
        self._lease: Lease | None = None
        self.last: NDArray[Any]
        self.starts = [0]

    def take(self, shape: tuple[int, ...]) -> Lease:
        start, stop = self.starts[-1], self.starts[-1] + shape[0]
        rest = (shape[1] + 1, *shape[2:]) if self._column else shape[1:]
        if self._lease is None or stop > len(self._lease.array):
            self._grow(start, shape[0], rest)
        assert self._lease is not None
        array, block = self._lease
        rows = array[start:stop]
        held = min(max(block.rows - start, 0), len(rows))
        if self._column:
            rows[:, 0] = len(self.starts) - 1
            rows = rows[:, 1:]
        block.rows = max(block.rows, stop)
        block.used = max(block.used, stop * prod(rest) * array.itemsize)
        self.starts.append(stop)
        self.last = rows
        # a view: the lane makes what it has written read-only, and offsets are still to come
        return Lease(rows[...], WrittenPart(rows, held, block.per_row(len(array))[start:stop]))

    def _grow(self, start: int, rows: int, rest: tuple[int, ...]) -> None:
        frames_left = self._frames - (len(self.starts) - 1)
        least = start + int(rows * frames_left * _GUESS)
        lease = _take_block(self._memory, self._row, "joined", (max(least, start + rows), *rest), self._frames)
        if self._lease is not None:
            lease.array[:start] = self._lease.array[:start]
            lease.written.rows = max(lease.written.rows, start)
        self._lease = lease

    def end_frame(self) -> None:
        """The next frame begins where this one ended."""

    def result(self) -> NDArray[Any]:
        assert self._lease is not None
        self._lease.written.settle()
        return self._lease.array[: self.starts[-1]]


class _Edges:
    """One frame after the other along a later axis, where places do not lie in one piece: joined at the end."""

    def __init__(self, row: Resolved, collate: Concat, memory: Memory) -> None:
        self._row = row
        self._memory = memory
        self._axis = collate.axis
        self._frames: list[NDArray[Any]] = []
        self.last: NDArray[Any]
        self.starts = [0]

    def take(self, shape: tuple[int, ...]) -> Lease:
        self.last = np.zeros(shape, self._row.row.dtype)
        self._frames.append(self.last)
        self.starts.append(self.starts[-1] + shape[self._axis])
        return Lease(self.last[...], Written())

    def end_frame(self) -> None:
        """The parts are kept until all are there."""

    def result(self) -> NDArray[Any]:
        shape = list(self._frames[0].shape)
        shape[self._axis] = self.starts[-1]
        lease = _take_block(self._memory, self._row, "joined", tuple(shape))
        out = lease.array[: shape[0]]
        np.concatenate(self._frames, self._axis, out=out)
        lease.written.used = max(lease.written.used, out.nbytes)
        lease.written.settle()
        return out


def _take_block(memory: Memory, row: Resolved, use: str, shape: tuple[int, ...], room_frames: int = 0) -> Lease:
    """Returns a block of at least shape[0] rows."""
    if isinstance(memory, Pool):
        room = min(room_frames * _ROOM_PER_FRAME, _MOST_ROOM)
        return memory.take_block(row.name, use, shape, row.row.dtype, room)
    return memory.take(row.name, shape, row.row.dtype)
