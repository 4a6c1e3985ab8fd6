"""A worker's outputs: arrays over memory that it wrote, named by numbers that may make no sense."""

from __future__ import annotations

import re
import weakref
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..frameworks.handoff import private_copy
from .worker import wire
from .worker.shared import ALIGNMENT, Chunk, is_sealed
from .worker.tensors import decoded

__all__ = ["Answer", "Outputs"]

_MOST_BLOCKS = 1 << 16
_KINDS = "biufc"
# as numpy writes the type of an array whose elements are of one kind
_TYPE = re.compile(r"[<>|=][a-zA-Z]\d{1,9}")
_NO_TYPE = np.dtype(object)
_MOST_KEPT = 256
_KEPT_BYTES = 16 << 10
_MOST_CHUNKS = 1 << 14
_MOST_ROWS = 1 << 18
"""Of outputs' names and types, of a worker that is not trusted, in its life."""
_MOST_SIZE = 1 << 40


class _Output(NamedTuple):
    name: str
    dtype: np.dtype[Any] | None
    """None for text."""
    shape: tuple[int, ...]
    block: int
    offset: int
    """In the block."""


class Answer(NamedTuple):
    """What a reply names."""

    held: int
    """Whether the model still holds what the request gave it."""
    given_up: tuple[int, ...]
    """Earlier requests of which it holds nothing any more."""
    blocks: tuple[tuple[int, ...], ...]
    outputs: tuple[_Output, ...]


class _Lent(weakref.ref[NDArray[Any]]):
    """Looks after the array of a block of outputs."""

    place: int


class Outputs:
    """The memory that one worker's outputs lie in. All of it raises ValueError, or what numpy and struct raise, for
    numbers that make no sense."""

    def __init__(self, chunk: Chunk | None = None, most_bytes: int | None = None) -> None:
        """chunk: for a worker that is not trusted, the memory that its outputs are in, at most `most_bytes` of them; it
        may bring no other, and what it returns is copied out of there."""
        self._chunks = [] if chunk is None else [chunk]
        self._most_bytes = most_bytes
        self._rows_left = _MOST_ROWS
        self._plans: dict[int, list[tuple[str, np.dtype[Any] | None, int]]] = {}
        self._answers: dict[tuple[int, bytes], Answer] = {}
        self._lent: dict[int, _Lent] = {}
        self._gone: deque[_Lent] = deque()

    def map(self, descriptor: int) -> None:
        """Takes a chunk that the worker has made. Its descriptor stays the caller's, who closes it then."""
        is_wanted = self._most_bytes is None and len(self._chunks) < _MOST_CHUNKS and is_sealed(descriptor)
        try:
            chunk = Chunk(descriptor, owns=False) if is_wanted else None
        except (OSError, ValueError, OverflowError):
            chunk = None
        if chunk is None:
            raise ValueError("memory that cannot be used")
        self._chunks.append(chunk)

    def learn(self, plan: Any, rows: Any) -> None:
        """Keeps the names, types and ranks of outputs, which answers refer to by their number."""
        if not isinstance(plan, int) or not isinstance(rows, list):
            raise ValueError("a plan")
        if self._most_bytes is not None:
            self._rows_left -= len(rows) + 1
            if self._rows_left < 0:
                raise ValueError("more of them than are kept")
        self._plans[plan] = [_row(*row) for row in rows]

    def read(self, plan: int, body: bytes) -> Answer:
        """Returns what an answer names. Blocks come round again, and so do answers."""
        known = self._answers.get((plan, body))
        return self._read(plan, body) if known is None else known

    def _read(self, plan: int, body: bytes) -> Answer:
        numbers = wire.unpack(body)
        held, given = numbers[:2]
        at = 2 + given
        count = numbers[at]
        if count > _MOST_BLOCKS:
            raise ValueError(f"{count} blocks")
        blocks = tuple(numbers[at + 1 + 3 * k : at + 4 + 3 * k] for k in range(count))
        given_up = numbers[2:at]
        at += 1 + 3 * count
        outputs = []
        for name, dtype, rank in self._plans[plan]:
            shape = numbers[at + 2 : at + 2 + rank]
            is_huge = self._most_bytes is not None and 0 in shape and max(shape) > _MOST_SIZE
            if len(shape) < rank or is_huge:
                raise ValueError(f"output '{name}' of shape {shape}")
            outputs.append(_Output(name, dtype, shape, numbers[at], numbers[at + 1]))
            at += 2 + rank
        answer = Answer(held, given_up, blocks, tuple(outputs))
        if not held and not given and len(body) <= _KEPT_BYTES:
            if len(self._answers) >= _MOST_KEPT:
                self._answers.clear()
            self._answers[plan, body] = answer
        return answer

    def arrays(self, answer: Answer) -> dict[str, NDArray[Any]]:
        """Returns arrays over the worker's memory, of which each block is given back when its last array dies; or, of a
        worker that is not trusted, copies, which it cannot change any more."""
        roots = [self._root(*block) for block in answer.blocks]
        left_bytes = self._most_bytes
        found: dict[str, NDArray[Any]] = {}
        for name, dtype, shape, block, offset in answer.outputs:
            if offset % ALIGNMENT:
                raise ValueError(f"output '{name}' at byte {offset}")
            if dtype is None:
                array = decoded(roots[block].data[offset:], shape, left_bytes)
            elif 0 in shape:
                array = np.zeros(shape, dtype)
            else:
                # raises where the block ends before the array
                array = np.ndarray(shape, dtype, roots[block], offset)
            if left_bytes is not None:
                left_bytes -= array.nbytes
                if left_bytes < 0:  # arrays may lie upon each other
                    raise ValueError(f"more than {self._most_bytes} bytes")
                if dtype is not None:
                    array = private_copy(array) if array.dtype.kind in "biuf" else array.copy()
            found[name] = array
        return found

    def _root(self, chunk: int, offset: int, nbytes: int) -> NDArray[np.uint8]:
        if offset % ALIGNMENT:
            raise ValueError(f"a block at byte {offset}")
        root = np.frombuffer(self._chunks[chunk].memory, np.uint8, nbytes, offset)
        lent = _Lent(root, self._gone.append)
        lent.place = chunk << 48 | offset
        self._lent[id(lent)] = lent
        return root

    def given_back(self, most: int) -> Sequence[int]:
        """Returns blocks that nobody holds any more, each once, for the worker to use again."""
        if not self._gone:
            return ()
        places: list[int] = []
        while self._gone and len(places) < most:
            lent = self._gone.popleft()
            # Ctrl-C may have come before it was put there
            if self._lent.pop(id(lent), None) is not None:
                places.append(lent.place)
        return places


def _row(name: Any, dtype: Any, rank: Any) -> tuple[str, np.dtype[Any] | None, int]:
    if not isinstance(name, str) or not isinstance(rank, int) or not 0 <= rank <= 64:
        raise ValueError("a row of the outputs")
    found = None if dtype == "U" else np.dtype(dtype) if _TYPE.fullmatch(str(dtype)) else _NO_TYPE
    if found is not None and (found.hasobject or found.kind not in _KINDS or found.itemsize == 0):
        raise ValueError(f"an output of type {dtype}")
    return name, found, rank
