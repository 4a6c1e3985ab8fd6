"""Tensors in shared memory: the views of a request, where outputs lie, and text as bytes."""

from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from . import wire
from .shared import ALIGNMENT, Chunk, Place, block_bytes

__all__ = ["SMALL_BYTES", "Layout", "Plan", "decoded", "encoded", "plain"]

SMALL_BYTES = 16 << 10
"""Outputs up to here lie in one block together."""
_KINDS = "biufc"
_Written = Tuple[Any, Tuple[int, ...], int, int, Tuple[int, ...]]
"""How an output lies in memory: dtype, shape, which block, offset in it; and the shape that the parent is told."""
_MOST_KEPT = 256
"""Places of blocks whose views are kept: they come round again."""


class Layout(object):
    """Where outputs of these types and shapes lie: large ones in blocks of their own, small ones together."""

    def __init__(self, plan: int, found: Mapping[str, Any]) -> None:
        self.plan = plan
        self.has_text = any(array.dtype.kind == "U" for array in found.values())
        self.blocks: List[int] = []
        self.told: Dict[Tuple[Place, ...], Tuple[bytes, List[Any]]] = {}
        """Blocks' places -> what the parent is told of them, and arrays over them to write into."""
        written: List[_Written] = []
        together = 0
        for array in found.values():
            text = encoded(array) if array.dtype.kind == "U" else None
            dtype, shape, nbytes = (
                (array.dtype, array.shape, array.nbytes) if text is None else (text.dtype, text.shape, text.nbytes)
            )
            if nbytes <= SMALL_BYTES:
                written.append((dtype, shape, -1, together, array.shape))
                together += -(-nbytes // ALIGNMENT) * ALIGNMENT
            else:
                written.append((dtype, shape, len(self.blocks), 0, array.shape))
                self.blocks.append(nbytes)
        if together or not self.blocks:
            self.blocks.append(together)
        last = len(self.blocks) - 1
        self.sizes = list(map(block_bytes, self.blocks))
        self.block_of = [None if block < 0 else block for _, _, block, _, _ in written]
        """Of each output, where it has one of its own."""
        self._written = [(d, s, last if block < 0 else block, offset, of) for d, s, block, offset, of in written]

    def put_at(self, places: Tuple[Place, ...], chunks: Sequence[Chunk]) -> Tuple[bytes, List[Any]]:
        """Returns what the parent is told, and the arrays to write into, for blocks that lie there."""
        numbers = [0, 0, len(places)]
        for (chunk, offset), nbytes in zip(places, self.blocks):
            numbers += [chunk, offset, nbytes]
        views = []
        for dtype, shape, block, offset, of in self._written:
            numbers += [block, offset]
            numbers += of
            chunk, begin = places[block]
            views.append(np.ndarray(shape, dtype, chunks[chunk].memory, begin + offset))
        told = wire.pack(numbers), views
        if len(self.told) >= _MOST_KEPT:
            self.told.clear()
        self.told[places] = told
        return told


def plain(name: Any, value: Any) -> Any:
    """Returns an output as an array that memory can hold: text as numpy's unicode."""
    if not isinstance(name, str):
        raise TypeError("the name of an output must be a string, got {}".format(type(name).__name__))
    array = np.asarray(value)
    if array.dtype.kind in "SUT":
        return np.asarray(array, np.str_)
    if array.dtype.kind not in _KINDS or not array.dtype.isnative:
        raise TypeError("output '{}' is an array of {}, which has no memory to share".format(name, array.dtype))
    return array


def encoded(array: Any) -> Any:
    """Returns text as bytes: where each element begins, and after the last its end, as int64; then UTF-8, or what an
    array of bytes holds."""
    words = np.ravel(array).tolist()
    if array.dtype.kind != "S":
        words = [word.encode("utf-8", "surrogatepass") for word in words]
    ends = np.zeros(len(words) + 1, np.int64)
    np.cumsum([len(word) for word in words], out=ends[1:])
    return np.frombuffer(ends.tobytes() + b"".join(words), np.uint8)


def decoded(data: memoryview, shape: Sequence[int], most_bytes: Optional[int] = None, as_bytes: bool = False) -> Any:
    """Returns the text of `encoded` in that shape; raises ValueError for what is none, or where it takes more memory:
    in an array each element takes as much as the longest.

    as_bytes: it is an array of bytes, which may be no text.

    What decides is copied before it is looked at: the other side may go on to write to it.
    """
    count = 1
    for size in shape:
        count *= size
    if count >= len(data) // 8:
        raise ValueError("text of {} elements in {} bytes".format(count, len(data)))
    ends = np.array(np.frombuffer(data, np.int64, count + 1))
    lengths = np.diff(ends)
    if ends[0] or (lengths < 0).any() or ends[-1] > len(data):
        raise ValueError("text whose offsets make no sense")
    if most_bytes is not None and count and 4 * count * int(lengths.max()) > most_bytes:
        raise ValueError("text of more than {} bytes".format(most_bytes))
    words = bytes(data[8 * (count + 1) : 8 * (count + 1) + int(ends[-1])])
    if len(words) != ends[-1]:
        raise ValueError("text whose offsets make no sense")
    items = [words[a:b] for a, b in zip(ends[:-1].tolist(), ends[1:].tolist())]
    if as_bytes:
        return np.array(items, np.bytes_).reshape(shape) if items else np.zeros(shape, "S1")
    text = [item.decode("utf-8", "surrogatepass") for item in items]
    return np.array(text, np.str_).reshape(shape) if text else np.zeros(shape, "U1")


class Plan(object):
    """What does not change from request to request: names, types, ranks, and which outputs are wanted."""

    def __init__(self, plan: Dict[str, Any], takes_bytes: bool) -> None:
        """takes_bytes: whether the runner takes text as bytes too, and says itself what is none."""
        self.rows = [(name, None if dtype in "US" else np.dtype(dtype), rank) for name, dtype, rank in plan["rows"]]
        self._bytes = {name for name, dtype, _ in plan["rows"] if dtype == "S"}
        self._takes_bytes = takes_bytes
        self.wanted = tuple(plan["wanted"])
        self.has_text = any(dtype is None for _, dtype, _ in self.rows)

    def views(self, body: bytes, chunk_of: Callable[[int], Chunk]) -> Tuple[Dict[str, Any], List[Any]]:
        """Returns name -> array over the parent's memory, and the arrays that all views of a block keep."""
        numbers = wire.unpack(body)
        at = 1
        arrays: Dict[str, Any] = {}
        roots: Dict[int, Any] = {}
        for name, dtype, rank in self.rows:
            where, offset = numbers[at], numbers[at + 1]
            shape = numbers[at + 2 : at + 2 + rank]
            at += 2 + rank
            number = where & wire.CHUNK_MASK
            memory = chunk_of(number).memory
            if where & wire.TEXT:
                found = decoded(memory[offset:], shape, as_bytes=name in self._bytes)
                arrays[name] = found if self._takes_bytes or name not in self._bytes else _as_text(name, found)
                continue
            if number not in roots:
                roots[number] = np.frombuffer(memory, np.uint8)
            array = np.ndarray(shape, dtype, roots[number], offset)
            if where & wire.READ_ONLY:
                array.flags.writeable = False
            arrays[name] = array
        return arrays, list(roots.values())


def _as_text(name: str, array: Any) -> Any:
    from .runners.errors import NeuropodError

    try:
        words = [word.decode() for word in np.ravel(array).tolist()]
    except UnicodeDecodeError as error:
        what = "input '{}': a string tensor holds bytes that are not UTF-8: {!r} ({})"
        raise NeuropodError(what.format(name, error.object[:40], error.reason)) from error
    return np.array(words, np.str_).reshape(array.shape) if words else np.zeros(array.shape, "U1")
