"""What only first calls cost: loading compiled kernels, or compiling them. Measured, in the thread that waited for it.

A time that holds such costs says nothing about the next frame, so whoever takes times looks here before and after.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Literal, NamedTuple

__all__ = ["COMPILING", "LOADING", "FirstCall", "Kind", "first_call", "first_calls_since", "latest", "seconds", "watch"]

Kind = Literal["loading kernels", "compiling kernels"]
LOADING: Kind = "loading kernels"
COMPILING: Kind = "compiling kernels"


class FirstCall(NamedTuple):
    """When a thread waited for a kernel's code, by the clock of perf_counter."""

    kind: Kind
    start_s: float
    end_s: float


class _Latest:
    """When a first call last ended, in any thread: one look says that there is nothing to look for."""

    __slots__ = ("end_s",)

    def __init__(self) -> None:
        self.end_s = float("-inf")


latest = _Latest()


class _Own(threading.local):
    def __init__(self) -> None:
        # as many as one build could have; older ones are in nobody's time any more
        self.calls: deque[FirstCall] = deque(maxlen=1024)
        self.busy = False


_own = _Own()
_waiting: set[int] = set()
"""Threads that are in a first call."""
_watching: list[Callable[[bool], object]] = []
# a forked child has one thread, which is in none
os.register_at_fork(after_in_child=_waiting.clear)


def watch(told: Callable[[bool], object]) -> None:
    """From now on calls `told` when a first call begins or ends, with whether any thread is in one."""
    _watching.append(told)


def _tell() -> None:
    for told in _watching:
        told(bool(_waiting))


@contextmanager
def first_call(kinds: list[Kind]) -> Iterator[None]:
    """Notes the time that the block takes as a first call of `kinds[-1]`, read at its end; within another, nothing."""
    if _own.busy:
        yield
        return
    _own.busy = True
    _waiting.add(threading.get_ident())
    _tell()
    start = perf_counter()
    try:
        yield
    finally:
        end = perf_counter()
        _own.busy = False
        _waiting.discard(threading.get_ident())
        _tell()
        _own.calls.append(FirstCall(kinds[-1], start, end))
        latest.end_s = end


def first_calls_since(start_s: float) -> list[FirstCall]:
    """Returns this thread's first calls that ended after `start_s`."""
    return [call for call in _own.calls if call.end_s > start_s]


def seconds(calls: Iterable[FirstCall]) -> dict[str, float]:
    """Returns how long it took by kind; what threads waited for at the same time counts once."""
    found: dict[str, float] = {}
    until = float("-inf")
    for kind, start, end in sorted(calls, key=lambda call: call.start_s):
        if end > until:
            found[kind] = found.get(kind, 0.0) + end - max(start, until)
            until = end
    return found
