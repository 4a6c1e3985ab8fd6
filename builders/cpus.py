"""Which CPU a thread runs on. Linux wakes a thread on the CPU of whoever woke it, and may leave it there for good.

Then two threads take turns, while another CPU has nothing to do: builds with two threads took longer than with one.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from contextlib import suppress

__all__ = ["cpu", "leave"]


def _asking() -> Callable[[], int]:
    """The C library's sched_getcpu, called with the GIL held: 0.1 us; -1 where there is none."""
    with suppress(OSError, AttributeError, TypeError):
        ask: Callable[[], int] = ctypes.PyDLL(None).sched_getcpu
        os.sched_getaffinity(0)
        return ask
    return lambda: -1


cpu: Callable[[], int] = _asking()
"""Returns the number of the CPU that the calling thread runs on; -1 where that is not known."""


def leave(number: int) -> None:
    """Moves the calling thread off the CPU of that number, if it is there and may run elsewhere."""
    if number < 0 or cpu() != number:
        return
    # the system may refuse; then it stays
    with suppress(OSError):
        allowed = os.sched_getaffinity(0)
        others = allowed - {number}
        if others:
            os.sched_setaffinity(0, others)
            os.sched_setaffinity(0, allowed)
