"""The threads of a builder: one budget for stages, for the items of a stage, and for kernels."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Condition
from typing import TypeVar

__all__ = ["Crew"]

Item = TypeVar("Item")


class Crew:
    """Whoever calls works too: `threads` counts the caller, the others are kept waiting.

    Several callers at once share the others. Nobody waits for work that has not been begun, so that work within work
    cannot lock up, however few threads there are.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        # its threads start when the first work is handed to them
        self._others = ThreadPoolExecutor(threads - 1, "perceptum-build") if threads > 1 else None

    def each(self, work: Callable[[Item], object], items: Iterable[Item]) -> None:
        """Calls `work` on every item; the first error is raised once nobody works any more."""
        items = list(items)
        if self._others is None or len(items) < 2:
            for item in items:
                work(item)
            return
        todo = deque(items)
        # taken out at the end: a thread that was called and comes late must not keep alive what the work holds
        held = [work]

        def help_out() -> None:
            # popleft is atomic
            while todo:
                try:
                    item = todo.popleft()
                except IndexError:
                    return
                try:
                    held[0](item)
                except BaseException:
                    todo.clear()
                    raise

        others = [self._others.submit(help_out) for _ in range(min(self.threads, len(items)) - 1)]
        try:
            help_out()
        except BaseException:
            todo.clear()
            raise
        finally:
            _settle(others)
            held.clear()
        for other in others:
            if not other.cancelled():
                other.result()

    def steps(self, work: Callable[[int], None], needs: Sequence[int], then: Sequence[Sequence[int]]) -> None:
        """Calls `work(k)` for every step k, each after those it needs.

        needs: how many steps each step waits for. then: which steps each step is awaited by.
        """
        if self._others is None:
            # the numbering is an order in which they can run
            for k in range(len(needs)):
                work(k)
            return
        _Steps(work, needs, then, self._others).run()


class _Steps:
    """One run through a graph of steps."""

    def __init__(
        self,
        work: Callable[[int], None],
        needs: Sequence[int],
        then: Sequence[Sequence[int]],
        others: ThreadPoolExecutor,
    ) -> None:
        self._work = work
        self._waits = list(needs)
        self._then = then
        self._others = others
        self._ready = deque(k for k, n in enumerate(needs) if n == 0)
        self._left = len(needs)
        # others than the caller: only the caller can be interrupted, between any two lines of this
        self._busy_others = 0
        self._error: BaseException | None = None
        self._changed = Condition()

    def run(self) -> None:
        self._call_others(len(self._ready) - 1)
        try:
            self._help_out(stay=True)
        except BaseException as error:
            # an interrupt of the caller: begin nothing more, and let go of no memory that somebody is writing
            with self._changed:
                self._error = self._error or error
                self._ready.clear()
                self._changed.wait_for(lambda: self._busy_others == 0)
            raise
        finally:
            # a thread that was called and came late must not keep alive what the work holds
            self._work = _nothing
        if self._error is not None:
            raise self._error

    def _call_others(self, more: int) -> None:
        for _ in range(more):
            self._others.submit(self._help_out, stay=False)

    def _help_out(self, stay: bool) -> None:
        while True:
            with self._changed:
                if stay:
                    self._changed.wait_for(self._has_news)
                if not self._ready:
                    return
                k = self._ready.popleft()
                self._busy_others += not stay
            error: BaseException | None = None
            try:
                self._work(k)
            except BaseException as raised:
                error = raised
            with self._changed:
                self._busy_others -= not stay
                more = self._finish(k, error)
                self._changed.notify_all()
            self._call_others(more)

    def _has_news(self) -> bool:
        if self._error is not None:
            return self._busy_others == 0
        return bool(self._ready) or self._left == 0

    def _finish(self, k: int, error: BaseException | None) -> int:
        """Returns how many more threads have something to do now."""
        if error is not None or self._error is not None:
            self._error = self._error or error
            self._ready.clear()
            return 0
        self._left -= 1
        new = 0
        for other in self._then[k]:
            self._waits[other] -= 1
            if self._waits[other] == 0:
                self._ready.append(other)
                new += 1
        return new - 1


def _nothing(k: int) -> None:
    """Is never called."""


def _settle(others: list[Future[None]]) -> None:
    """Waits for those that have begun; the rest need not begin."""
    wait([other for other in others if not other.cancel()])
