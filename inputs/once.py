"""What is made when it is first asked for, once whatever the threads: others wait, different things go side by side.

`functools.cached_property` does neither: in Python 3.11 it has one lock for all objects of a class, and later none.
"""

from __future__ import annotations

import os
from _thread import LockType
from collections.abc import Callable, Hashable
from threading import Lock, RLock, get_ident
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from weakref import WeakSet

from .opened import kept_meanwhile

__all__ = ["Guard", "get_or_make", "once"]

Key = TypeVar("Key", bound=Hashable)
Key_contra = TypeVar("Key_contra", bound=Hashable, contravariant=True)
Value = TypeVar("Value")


class Store(Protocol[Key_contra, Value]):
    """As a dict: `store[key]` is a KeyError where there is nothing. It need not keep what it is given."""

    def __getitem__(self, key: Key_contra, /) -> Value: ...
    def __setitem__(self, key: Key_contra, value: Value, /) -> None: ...


class Guard:
    """A lock for a few lines of our own: `with guard:`, or `with guard.lock:`, which takes a third of the
    time.

    In a forked child it is open, for the thread that held it is not there; pickled, it arrives as a new one.
    """

    __slots__ = ("__weakref__", "lock")

    def __init__(self) -> None:
        # re-entrant: the garbage collector may run a finalizer within those lines, and that may come back here
        self.lock = RLock()
        _guards.add(self)

    def __reduce__(self) -> tuple[type[Guard], tuple[()]]:
        return Guard, ()

    def __enter__(self) -> None:
        self.lock.acquire()

    def __exit__(self, *error: object) -> None:
        self.lock.release()

    def renew(self) -> None:
        self.lock = RLock()


_guards: WeakSet[Guard] = WeakSet()


class _Making:
    """One thing in the making: by which thread, and what came of it."""

    __slots__ = ("made", "over", "thread", "value", "waited_for")

    def __init__(self) -> None:
        self.thread = get_ident()
        # closed until it is over, made by the first who waits: mostly nobody does
        self.waited_for: LockType | None = None
        self.over = False
        self.made = False
        self.value: Any = None


_guard = Guard()
# (the store's id, key) -> what is being made for it; the store is held by its maker for as long
_makings: dict[tuple[int, Hashable], _Making] = {}
# thread -> what it waits for
_waits: dict[int, _Making] = {}


def get_or_make(store: Store[Key, Value], key: Key, make: Callable[[], Value]) -> Value:
    """Returns store[key]; where that is missing, one thread makes it and puts it there, and the others wait for it.

    They get what was made even if the store does not keep it. Where `make` raises, nothing is kept, and each of those
    that waited makes it in turn. `make` may ask for other keys; raises RuntimeError where it asks for its own, be it
    through other threads that wait for each other.
    """
    while True:
        try:
            return store[key]
        except KeyError:
            pass
        mine, where, kept = _Making(), (id(store), key), kept_meanwhile()
        try:
            with _guard.lock:
                making = _makings.setdefault(where, mine)
                if making is not mine:
                    _check_no_circle(making, key)
                    _waits[mine.thread] = making
                    if making.waited_for is None:
                        # closed before it is there, wherever a Ctrl-C comes
                        closed = Lock()
                        closed.acquire()
                        making.waited_for = closed
            if making is mine:
                try:
                    # another thread may have finished it since we looked
                    mine.value = store[key]
                except KeyError:
                    kept.append(None)
                    try:
                        mine.value = store[key] = make()
                    finally:
                        kept.pop()
                mine.made = True
            elif making.waited_for is not None:
                with making.waited_for:
                    pass
            if making.made:
                made: Value = making.value
                return made
        finally:
            # also after a Ctrl-C between any two of the lines above
            with _guard.lock:
                _waits.pop(mine.thread, None)
                if _makings.get(where) is mine:
                    del _makings[where]
                mine.over = True
                if mine.waited_for is not None:
                    mine.waited_for.release()


def _check_no_circle(wanted: _Making, key: Hashable) -> None:
    """Raises RuntimeError where what is wanted waits, through however many threads, for this one."""
    at: _Making | None = wanted
    # what is over holds nobody up, though those that waited for it may not have noticed yet
    while at is not None and not at.over:
        if at.thread == get_ident():
            raise RuntimeError(f"making {key!r} asks for {key!r} itself")
        at = _waits.get(at.thread)


def _renew_in_child() -> None:
    """What other threads held or were making when a process forked stays with them, in the parent."""
    for guard in list(_guards):
        guard.renew()
    _waits.clear()
    for where, making in list(_makings.items()):
        if making.thread == get_ident():
            making.waited_for = None
        else:
            del _makings[where]


os.register_at_fork(after_in_child=_renew_in_child)


if TYPE_CHECKING:
    # to a type checker it is what it behaves like
    from functools import cached_property as once
else:

    class once:
        """A property worked out when it is first asked for, once whatever the threads, and kept in the object."""

        def __init__(self, make: Callable[[Any], Any]) -> None:
            self._make = make
            self.__doc__ = make.__doc__

        def __set_name__(self, owner: type, name: str) -> None:
            self._name = name

        def __get__(self, of: Any, owner: type | None = None) -> Any:
            return self if of is None else get_or_make(vars(of), self._name, lambda: self._make(of))
