"""What happens once, and is waited for by threads of which an interrupt may end any."""

from __future__ import annotations

import threading
import time

__all__ = ["Latch"]

_LOOK_S = 0.25
"""A waiter that an interrupt ends may not wake the next one: that costs this, and no more."""


class Latch:
    """As threading.Event, but set for ever. That is Python inside: Ctrl-C between two of its lines leaves its lock
    closed, and whoever sets it, as the thread that keeps all workers, would wait for ever."""

    def __init__(self) -> None:
        self._is_set = False
        self._closed = threading.Lock()
        self._closed.acquire()

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        """By one thread, or by several of which none is interrupted."""
        if not self._is_set:
            self._is_set = True
            self._closed.release()

    def wait(self, seconds: float | None = None) -> bool:
        """Returns whether it was set before so many seconds were over; None waits as long as it takes."""
        end = None if seconds is None else time.monotonic() + seconds
        while not self._is_set:
            left_s = _LOOK_S if end is None else min(end - time.monotonic(), _LOOK_S)
            if left_s <= 0:
                break
            if self._closed.acquire(timeout=left_s):
                # for whoever waits too
                self._closed.release()
        return self._is_set
