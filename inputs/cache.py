"""What a log remembers for its frames: bounded in bytes, made once, what was used longest ago dropped first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import fields, is_dataclass
from functools import lru_cache
from sys import getsizeof
from typing import Any, TypeVar, cast

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
    """

    def __init__(self, most_bytes: int) -> None:
        if most_bytes < 0:
            raise LogError(f"cache_bytes must be 0 or more, got {most_bytes}")
        self.most_bytes = most_bytes
        self._kept = _Kept(most_bytes)

    def __reduce__(self) -> tuple[type[Cache], tuple[int]]:
        return Cache, (self.most_bytes,)

    def __repr__(self) -> str:
        return f"<Cache {counted(len(self), 'thing')}, {self.nbytes} of {self.most_bytes} bytes>"

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._kept

    @property
    def nbytes(self) -> int:
        """What is kept now, in bytes."""
        return self._kept.nbytes

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Returns what is kept under `key`, made by `make()` where there is nothing; it is made outside of any lock."""
        return cast(Value, get_or_make(self._kept, key, make))

    def clear(self) -> None:
        """Drops everything."""
        self._kept.clear()


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
