"""A batch is a memory: each frame takes the next place of one block per tensor, and is written straight into it."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from perceptum.features import Concat, Feature, Resolved, SpecError, Stack
from perceptum.features.resolve import numbered_by

from .errors import BuildError
from .memory import Lease, Memory, take_checked
from .pool import Pool
from .written import Written, WrittenPart

__all__ = ["Batch", "batch_rows", "check_collation", "size_in"]

_GUESS = 1.25
_ROOM_PER_FRAME = 2**26
_MOST_ROOM = 2**33


class Batch:
    """The blocks of one model's tensors. `take` gives the places of the frame that is being built.

    Args:
        strided: the tensors whose filler can write rows that do not lie side by side.
        doubtful: others than fillers may write into the memory between batches.
    """

    def __init__(
        self,
        rows: Sequence[Resolved],
        memory: Memory,
        frames: int,
        strided: Container[str],
        doubtful: bool,
    ) -> None:
        self._rows = rows
        self._memory = memory
        self._doubtful = doubtful
        self._blocks: dict[str, _Stacked | _Joined | _Edges] = {}
        for row in rows:
            collate = row.feature.collate
            blocks = _Blocks(memory, row, doubtful)
            if None not in row.fixed:
                self._blocks[row.name] = _Stacked(blocks, frames)
            elif isinstance(collate, Concat) and collate.axis == 0:
                self._blocks[row.name] = _Joined(blocks, collate, frames, row.name in strided)
            elif isinstance(collate, Concat):
                self._blocks[row.name] = _Edges(blocks, collate)
        self._nodes_before: dict[str, int] = {}
        self._numbered = {row.name: _numbered(row, rows) for row in rows}

    def take(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> Lease:
        return self._blocks[name].take(shape)

    def take_whole(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> Lease:
        """The same for who writes every element, and notes nothing."""
        block = self._blocks[name]
        return block.take(shape, whole=True) if isinstance(block, _Joined) else block.take(shape)

    def cut(self, name: str, rows: int) -> None:
        """Called when a tensor of the frame has fewer rows than it took."""
        block = self._blocks[name]
        # all others have as many rows in every frame
        assert isinstance(block, _Joined)
        block.cut(rows)

    def end_frame(self, sizes: Mapping[str, Mapping[str, int]]) -> None:
        """Called when a frame's tensors are all written. sizes: row -> its filler's sizes."""
        for row in self._rows:
            collate = row.feature.collate
            block = self._blocks[row.name]
            block.end_frame()
            if isinstance(collate, Concat) and collate.index == "offset" and not isinstance(block, _Stacked):
                before = self._nodes_before.get(row.name, 0)
                if before:
                    # -1 is not a node
                    np.add(block.last, before, out=block.last, where=block.last >= 0)
                self._nodes_before[row.name] = before + _nodes(row, self._numbered[row.name], sizes)

    def tensors(self, writable: bool) -> dict[str, NDArray[Any]]:
        """Returns the blocks, and where each frame begins in those of varying size."""
        out: dict[str, NDArray[Any]] = {name: block.result() for name, block in self._blocks.items()}
        for row in self._rows:
            block, name = self._blocks[row.name], _pointer_name(row)
            if not isinstance(block, _Stacked) and name not in out:
                array, written = self._memory.take(name, (len(block.starts),), np.int32)
                written.begin(array, "pointer", self._doubtful)
                array[:] = block.starts
                written.settle()
                out[name] = array[...]
        for array in out.values():
            array.flags.writeable = writable
        return out


def batch_rows(rows: Sequence[Resolved]) -> dict[str, tuple[str, tuple[int | None, ...]]]:
    """Returns what a batch's tensors are: name -> dtype and shape, None where the frames decide, or their number."""
    found: dict[str, tuple[str, tuple[int | None, ...]]] = {}
    pointers: dict[str, tuple[str, tuple[int | None, ...]]] = {}
    for row in rows:
        collate, shape = row.feature.collate, tuple(row.fixed)
        if None not in shape:
            shape = (None, *shape)
        elif isinstance(collate, Concat):
            pointers[_pointer_name(row)] = ("int32", (None,))
            if collate.axis == 0 and collate.index == "column":
                shape = (None, None if shape[1] is None else shape[1] + 1, *shape[2:])
        found[row.name] = (row.row.dtype, shape)
    return found | pointers


def check_collation(rows: Sequence[Resolved]) -> None:
    """Raises SpecError where frames of different size cannot be made one tensor."""
    pointers: dict[str, tuple[object, str]] = {}
    for row in rows:
        collate, ragged = row.feature.collate, [axis for axis, n in enumerate(row.fixed) if n is None]
        if not ragged:
            continue
        if isinstance(collate, Stack):
            raise SpecError(
                f"'{row.name}' cannot be stacked into a batch: a frame decides its size '{row.sizes[ragged[0]]}'; "
                f"fix it in the spec{_how_to_fix(row, ragged)}"
            )
        if ragged != [collate.axis]:
            raise SpecError(
                f"'{row.name}' cannot be joined into a batch along axis {collate.axis}: a frame also decides its size "
                f"'{row.sizes[next(axis for axis in ragged if axis != collate.axis)]}'; fix that in the spec"
                f"{_how_to_fix(row, [axis for axis in ragged if axis != collate.axis])}"
            )
        if collate.index == "offset" and _numbered(row, rows) is None:
            raise SpecError(
                f"'{row.name}' cannot be joined into a batch: it counts the rows of '{collate.offset_of}', which is "
                "neither in its group nor in the spec; add that row"
            )
        size, pointer = row.sizes[collate.axis], _pointer_name(row)
        other, name = pointers.setdefault(pointer, ((row.group.name, size), row.name))
        if other != (row.group.name, size):
            raise SpecError(
                f"'{name}' and '{row.name}' would both have the pointer '{pointer}' in a batch, but different sizes; "
                "no feature but its group's first may have the group's name"
            )


def _how_to_fix(row: Resolved, axes: Sequence[int]) -> str:
    """Returns which params would make the sizes of axes whole numbers: ": name image.cameras"; empty if none does."""
    with row.group.asking("fixed_by"):
        said = [row.params.fixed_by(str(row.sizes[axis])) for axis in axes]
    return f": {', and '.join(dict.fromkeys(filter(None, said)))}" if any(said) else ""


def _pointer_name(row: Resolved) -> str:
    """`<group>_batch_ptr`; of a group with several sizes that is the first, and others are `<feature>_batch_ptr`."""
    collate = row.feature.collate
    own = row.sizes[collate.axis] if isinstance(collate, Concat) else None
    found = [size for feature in row.group.features for size in feature.sizes(row.params) if isinstance(size, str)]
    base = row.group.name if found[:1] == [own] else row.feature.name
    return f"{base}{'__' + row.suffix if row.suffix else ''}_batch_ptr"


def _numbered(row: Resolved, rows: Sequence[Resolved]) -> Resolved | Feature | None:
    """Returns what the values of `row` count the rows of: a row of the spec, or a feature of its own group."""
    name = row.feature.collate.offset_of if isinstance(row.feature.collate, Concat) else None
    for other in numbered_by(row, rows):
        # beside the one that is named, those of which every frame of a batch has as many
        if other.feature.name == name or other.fixed[0] is not None:
            return other
    return next((feature for feature in row.group.features if feature.name == name), None)


def _nodes(row: Resolved, numbered: Resolved | Feature | None, sizes: Mapping[str, Mapping[str, int]]) -> int:
    """Returns how many rows there are in this frame of what the values of `row` count."""
    if isinstance(numbered, Resolved):
        fixed, size = numbered.fixed[0], numbered.sizes[0]
        return fixed if fixed is not None else size_in(sizes[numbered.name], str(size), numbered.name)
    assert numbered is not None
    size = numbered.sizes(row.params)[0]
    return size if isinstance(size, int) else size_in(sizes[row.name], size, row.name)


def size_in(own: Mapping[str, int], name: str, row: str) -> int:
    """Returns one of the sizes that a row's filler gives for a frame; raises BuildError that names the row."""
    size = own.get(name)
    # True is an int to Python
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 0:
        raise BuildError(
            f"'{row}': its filler's sizes() must give '{name}' as a number of 0 or more, or its params' dims(), "
            f"got {size!r}"
        )
    return int(size)


class _Blocks:
    """Where a tensor's blocks come from."""

    def __init__(self, memory: Memory, row: Resolved, doubtful: bool) -> None:
        self._memory = memory
        self.row = row
        self.dtype = np.dtype(row.row.dtype)
        self._doubtful = doubtful

    def take(self, use: str, shape: tuple[int, ...], room_frames: int = 0) -> Lease:
        """Returns a block of at least shape[0] rows."""
        row = self.row
        if isinstance(self._memory, Pool):
            room = min(room_frames * _ROOM_PER_FRAME, _MOST_ROOM)
            lease = self._memory.take_block(row.name, use, shape, self.dtype, room)
        else:
            lease = take_checked(self._memory, row.name, shape, self.dtype)
        used = lease.array.reshape(-1).view(np.uint8)[: lease.written.used]
        lease.written.begin(used, (use, row.feature.name, row.params, self.dtype, shape[1:]), self._doubtful)
        return lease


class _Stacked:
    """A new first axis. Each frame's place in the block remembers what was written there."""

    def __init__(self, blocks: _Blocks, frames: int) -> None:
        shape = (frames, *(n for n in blocks.row.fixed if n is not None))
        self._array, self._written = blocks.take("stacked", shape)
        self._array = self._array[:frames]
        self._written.used = max(self._written.used, self._array.nbytes)
        self._written.places += tuple(Written() for _ in range(frames - len(self._written.places)))
        self._next = 0
        self.starts: list[int] = []

    def take(self, shape: tuple[int, ...]) -> Lease:
        return Lease(self.last, self._written.places[self._next])

    @property
    def last(self) -> NDArray[Any]:
        last: NDArray[Any] = self._array[self._next, ...]
        return last

    def end_frame(self) -> None:
        self._next += 1

    def result(self) -> NDArray[Any]:
        self._written.settle()
        return self._array[...]


class _Joined:
    """One frame after the other along the first axis.

    The block is made with so much room that it need not grow: pages that nobody touches cost nothing.
    """

    def __init__(self, blocks: _Blocks, collate: Concat, frames: int, strided: bool) -> None:
        self._blocks = blocks
        self._frames = frames
        self._column = collate.index == "column"
        self._beside = self._column and not strided
        self._lease: Lease | None = None
        self._copied = False
        """Whether a frame of this batch was written without a note."""
        self._in_the_block: NDArray[Any]
        self.last: NDArray[Any]
        self.starts = [0]

    def take(self, shape: tuple[int, ...], whole: bool = False) -> Lease:
        start, stop = self.starts[-1], self.starts[-1] + shape[0]
        rest = (shape[1] + 1, *shape[2:]) if self._column else shape[1:]
        if self._lease is None or stop > len(self._lease.array):
            self._grow(start, shape[0], rest)
        assert self._lease is not None
        array, block = self._lease
        if whole:
            self._copied = block.copied = True
        elif block.copied:
            # only now: where all frames are copied there is nothing to clear, 112 MB of a batch of BEVFusion
            array[start : max(block.rows, start)] = 0
            block.per_row(len(array))[start:] = 0
            block.rows, block.copied = min(block.rows, start), self._copied
        rows = array[start:stop]
        held = min(max(block.rows - start, 0), len(rows))
        if self._column:
            rows[:, 0] = len(self.starts) - 1
            rows = rows[:, 1:]
        block.rows = max(block.rows, stop)
        block.used = max(block.used, stop * prod(rest) * array.itemsize)
        self.starts.append(stop)
        self.last = self._in_the_block = rows
        if self._beside:
            self.last = np.zeros(shape, self._blocks.dtype)
            return Lease(self.last[...], Written())
        # a view: the lane makes what it has written read-only, and offsets are still to come
        return Lease(rows[...], WrittenPart(rows, held, block.per_row(len(array))[start:stop]))

    def _grow(self, start: int, rows: int, rest: tuple[int, ...]) -> None:
        frames_left = self._frames - (len(self.starts) - 1)
        least = start + int(rows * frames_left * _GUESS)
        old = self._lease
        # copies: a memory that gives the same piece every time gives it again, longer
        kept = None if old is None else (old.array[:start].copy(), old.written.per_row(start).copy())
        self._lease = lease = self._blocks.take("joined", (max(least, start + rows), *rest), self._frames)
        lease.written.copied |= self._copied
        if kept is not None:
            lease.array[:start], lease.written.per_row(len(lease.array))[:start] = kept
            lease.written.rows = max(lease.written.rows, start)
            lease.written.used = max(lease.written.used, kept[0].nbytes)

    def cut(self, rows: int) -> None:
        self.starts[-1] = self.starts[-2] + rows
        self.last, self._in_the_block = self.last[:rows], self._in_the_block[:rows]

    def end_frame(self) -> None:
        if self._beside:
            self._in_the_block[...] = self.last
            self.last = self._in_the_block

    def result(self) -> NDArray[Any]:
        assert self._lease is not None
        self._lease.written.settle()
        return self._lease.array[: self.starts[-1]]


class _Edges:
    """One frame after the other along a later axis, where places do not lie in one piece: joined at the end."""

    def __init__(self, blocks: _Blocks, collate: Concat) -> None:
        self._blocks = blocks
        self._axis = collate.axis
        self._frames: list[NDArray[Any]] = []
        self.last: NDArray[Any]
        self.starts = [0]

    def take(self, shape: tuple[int, ...]) -> Lease:
        self.last = np.zeros(shape, self._blocks.dtype)
        self._frames.append(self.last)
        self.starts.append(self.starts[-1] + shape[self._axis])
        return Lease(self.last[...], Written())

    def end_frame(self) -> None:
        """The parts are kept until all are there."""

    def result(self) -> NDArray[Any]:
        shape = list(self._frames[0].shape)
        shape[self._axis] = self.starts[-1]
        array, written = self._blocks.take("joined", tuple(shape))
        out = array[: shape[0]]
        np.concatenate(self._frames, self._axis, out=out)
        written.used = max(written.used, out.nbytes)
        written.settle()
        return out
