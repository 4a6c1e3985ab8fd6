"""How long a worker may be at one sample."""

from __future__ import annotations

from .messages import At

__all__ = ["Patience"]


class Patience:
    """Counts how long one worker has been at the same sample, while it was waited for.

    Time in which nobody waited does not count: the worker may have been done, and this process busy or stopped. Nor
    does time in which it loads or compiles kernels, which happens once and takes what it takes.
    """

    def __init__(self, most_s: float) -> None:
        self._most_s = most_s
        self._at: At | None = None
        self._passed_s = 0.0

    def is_over(self, at: At, waited_s: float) -> bool:
        """at: what the worker is at now, after another wait of so many seconds."""
        if at != self._at or not at.ticket or at.prepares:
            self._at, self._passed_s = at, 0.0
            return False
        self._passed_s += waited_s
        return self._passed_s >= self._most_s
