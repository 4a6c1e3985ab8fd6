"""Threads that meet at a given line: what a race does now and then, done for certain."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, Self

__all__ = ["Held"]


class Held:
    """Within it, what this thread does stops before one of its lines until another thread has done something.

    Lines are those of the modules that are named, or lie in a package that is, each when this thread first comes to it;
    within a kernel nothing stops.

    Args:
        line: number of the line, from 1.
        meanwhile: what the other thread does. If it waits for a lock that this one has, this one goes on.
        modules: whose lines count.
        others: modules among those whose lines do not.
        patience_s: how long it is waited for.
    """

    def __init__(
        self,
        line: int,
        meanwhile: Callable[[], object],
        modules: tuple[str, ...],
        others: tuple[str, ...] = (),
        patience_s: float = 0.02,
    ) -> None:
        self._line = line
        self._meanwhile = meanwhile
        self._patience_s = patience_s
        self._modules = tuple(f"{module}." for module in modules)
        self._others = tuple(f"{module}." for module in others)
        self._lines: set[tuple[CodeType, int]] = set()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._before: Any = None

    @property
    def lines(self) -> int:
        """How many lines there were."""
        return len(self._lines)

    def __enter__(self) -> Self:
        # a debugger's, or that of who measures coverage
        self._before = sys.gettrace()
        sys.settrace(self._at_call)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)
        if self._thread is not None:
            self._thread.join()
        if self._error is not None:
            raise self._error

    def _at_call(self, frame: FrameType, event: str, argument: Any) -> Any:
        module = f"{frame.f_globals.get('__name__')}."
        return self._at_line if module.startswith(self._modules) and not module.startswith(self._others) else None

    def _at_line(self, frame: FrameType, event: str, argument: Any) -> Any:
        place = (frame.f_code, frame.f_lineno)
        if event == "line" and place not in self._lines:
            self._lines.add(place)
            if len(self._lines) == self._line:
                self._thread = threading.Thread(target=self._do_meanwhile)
                self._thread.start()
                self._thread.join(self._patience_s)
        return self._at_line

    def _do_meanwhile(self) -> None:
        try:
            self._meanwhile()
        except BaseException as error:
            self._error = error
