"""Calls in other threads, in order, with room for so many that wait."""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any

__all__ = ["Line"]


class Line:
    """Daemon threads that run calls: a program that ends does not wait for a model that hangs.

    workers: calls that run at once. room: calls that may wait; who comes beyond that waits to get in.
    """

    def __init__(self, workers: int = 1, room: int = 64) -> None:
        self._waiting = _Waiting(room)
        self._owner = os.getpid()
        self._end = weakref.finalize(self, self._waiting.close)
        self._end.atexit = False
        for _ in range(workers):
            threading.Thread(target=_run, args=(self._waiting,), name="perceptum infer", daemon=True).start()

    def put(self, call: Callable[[], Any]) -> Future[Any]:
        """Returns a future of what the call returns. Raises RuntimeError after close, and in a forked child."""
        future: Future[Any] = Future()
        if os.getpid() != self._owner or not self._waiting.put(future, call):
            raise RuntimeError("no calls are taken any more: the model is closed, or this process was forked from it")
        return future

    def close(self) -> None:
        """Cancels the calls that wait; those that run go on. Who waits to get in gets RuntimeError."""
        self._waiting.close()


class _Waiting:
    """The calls that wait: nobody gets in after it is closed, and none that got in is forgotten."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._calls: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        # reentrant: a line may be dropped, and so closed, at any line of its own thread. Entered by itself: Ctrl-C
        # between two lines of a Condition's Python leaves it closed for good
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._is_closed = False

    def put(self, future: Future[Any], call: Callable[[], Any]) -> bool:
        """Returns whether it was taken, once there is room."""
        with self._lock:
            self._changed.wait_for(lambda: self._is_closed or len(self._calls) < self._room)
            if not self._is_closed:
                self._calls.append((future, call))
                self._changed.notify_all()
            return not self._is_closed

    def get(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        """Waits for the next call; None when there are to be no more."""
        with self._lock:
            self._changed.wait_for(lambda: self._is_closed or self._calls)
            if self._is_closed:
                return None
            self._changed.notify_all()
            return self._calls.popleft()

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            left = list(self._calls)
            self._calls.clear()
            self._changed.notify_all()
        for future, _ in left:
            future.cancel()
            # else who waits for several futures is not told
            with suppress(InvalidStateError):
                future.set_running_or_notify_cancel()


def _run(waiting: _Waiting) -> None:
    while True:
        item = waiting.get()
        if item is None:
            return
        future, call = item
        del item
        if future.set_running_or_notify_cancel():
            try:
                _answer(future, call)
            except BaseException as error:
                future.set_exception(error)
        # what waits for the next call must not hold this one's arrays
        del future, call


def _answer(future: Future[Any], call: Callable[[], Any]) -> None:
    answer = call()
    with suppress(InvalidStateError):
        future.set_result(answer)
