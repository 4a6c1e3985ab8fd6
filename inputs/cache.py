"""What a log remembers for its frames: bounded in bytes, made once, what was used longest ago dropped first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import fields, is_dataclass
from functools import lru_cache
from sys import getsizeof
from typing import Any, TypeVar, cast
from uuid import uuid4
from weakref import WeakValueDictionary

import numpy as np

from perceptum.plural import counted

from .errors import LogError
from .once import Guard, get_or_make

__all__ = ["Cache", "nbytes_of"]

Value = TypeVar("Value")

_ENTRY_BYTES = 1024
"""What an entry costs besides its arrays, roughly: its key, its record, an object per array."""


class Cache:
    """`cache.get(key, make)`: what is shared by the frames of a log.

    It holds at most `most_bytes`, counted by `nbytes_of`; 0 keeps nothing, and what is larger than all of it is not
    kept. Any number of threads may ask: of one key there is one maker and the others wait for it, makers of different
    keys run side by side, and a maker may ask for other keys. What a maker raises is not remembered. What is kept is
    given to every frame that asks: nobody may write to it. Pickled, the cache arrives empty; a forked process keeps
    what there was, and a bound of its own.

    `cache.part(name)` is a cache with keys of its own within the same bound, for each of several logs: what all of
    them used longest ago is dropped first. Parts pickled one by one meet again in the process they arrive in.
    """

    def __init__(self, most_bytes: int) -> None:
        if most_bytes < 0:
            raise LogError(f"cache_bytes must be 0 or more, got {most_bytes}")
        self.most_bytes = most_bytes
        self._kept = _Kept(most_bytes)
        self._shared_as: str | None = None
        self._part: Hashable = None

    def part(self, name: Hashable) -> Cache:
        """Returns the part of that name; asked again it has what was kept there."""
        if self._shared_as is None:
            self._shared_as = uuid4().hex
            _shared[self._shared_as] = self._kept
        return _part(self.most_bytes, self._shared_as, name, self._kept)

    def __reduce__(self) -> tuple[Callable[..., Cache], tuple[object, ...]]:
        if self._shared_as is None:
            return Cache, (self.most_bytes,)
        return _part, (self.most_bytes, self._shared_as, self._part)

    def __repr__(self) -> str:
        return f"<Cache {counted(len(self), 'thing')}, {self.nbytes} of {self.most_bytes} bytes>"

    def __len__(self) -> int:
        """How many things are kept, in all parts together, as `nbytes` counts their bytes."""
        return len(self._kept)

    def __contains__(self, key: Hashable) -> bool:
        return self._own(key) in self._kept

    def _own(self, key: Hashable) -> Hashable:
        return key if self._part is None else (self._part, key)

    @property
    def nbytes(self) -> int:
        """What is kept now, in bytes."""
        return self._kept.nbytes

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Returns what is kept under `key`, made by `make()` where there is nothing; it is made outside of any lock."""
        return cast(Value, get_or_make(self._kept, self._own(key), make))

    def clear(self) -> None:
        """Drops everything, of all parts."""
        self._kept.clear()


def _part(most_bytes: int, shared_as: str, name: Hashable, kept: _Kept | None = None) -> Cache:
    """Returns a part of the cache that is shared under an id; the first to come in a process begins it."""
    cache = Cache(most_bytes)
    with _sharing:
        known = _shared.get(shared_as) if kept is None else kept
        if known is None:
            known = _shared[shared_as] = cache._kept
    cache._kept, cache._shared_as, cache._part = known, shared_as, name
    return cache


class _Kept:
    """Key -> value, within the bound.

    The guard is held for bookkeeping alone: sizes are taken, and what goes is let go, outside of it, for both may run
    code of others.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._entries: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._guard = Guard()
        self.nbytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._entries

    def __getitem__(self, key: Hashable) -> Any:
        with self._guard.lock:
            value, _ = self._entries[key]
            self._entries.move_to_end(key)
            return value

    def __setitem__(self, key: Hashable, value: Any) -> None:
        if self._most_bytes < _ENTRY_BYTES:
            return
        size = nbytes_of(value) + _ENTRY_BYTES
        if size > self._most_bytes:
            return
        gone = []
        with self._guard:
            # counted before it is there and until it is gone: where a Ctrl-C or a fork comes between two of these
            # lines, the sum is too high and less is kept, but never too much
            self.nbytes += size
            while self.nbytes > self._most_bytes and self._entries:
                gone.append(self._entries.popitem(last=False)[1])
                self.nbytes -= gone[-1][1]
            if not self._entries:
                self.nbytes = size
            self._entries[key] = (value, size)
        gone.clear()

    def clear(self) -> None:
        with self._guard:
            gone, self._entries = self._entries, OrderedDict()
            self.nbytes = 0
        gone.clear()


_shared: WeakValueDictionary[str, _Kept] = WeakValueDictionary()
"""Id -> what the parts of one cache keep together, in this process."""
_sharing = Guard()

# a union made anew for each isinstance takes longer than the rest of it
_HOLDERS = (tuple, list, dict)
_INTEGERS = (int, np.integer)


def nbytes_of(value: object) -> int:
    """Returns the memory that a value keeps alive: for a view the full array under it, each once.

    Looks into tuples, lists, dicts and dataclasses; of other objects takes `nbytes`, or what Python says of them alone.
    """
    seen: dict[int, int] = {}
    _weigh(value, seen)
    return sum(seen.values())


@lru_cache(maxsize=64)
def _field_names(kind: type) -> tuple[str, ...]:
    # dataclasses looks for them anew each time, for as long as to weigh ten columns
    return tuple(field.name for field in fields(kind))


def _weigh(value: Any, seen: dict[int, int]) -> None:
    if value is None:
        return
    if isinstance(value, np.ndarray):
        while isinstance(base := value.base, np.ndarray):
            value = base
        seen[id(value)] = value.nbytes
    elif id(value) in seen:
        return
    elif isinstance(value, _HOLDERS):
        seen[id(value)] = 0
        for item in value.values() if isinstance(value, dict) else value:
            _weigh(item, seen)
    elif isinstance(nbytes := getattr(value, "nbytes", None), _INTEGERS):
        seen[id(value)] = int(nbytes)
    elif is_dataclass(value) and not isinstance(value, type):
        seen[id(value)] = 0
        for name in _field_names(type(value)):
            _weigh(getattr(value, name), seen)
    else:
        seen[id(value)] = getsizeof(value)
