"""The threads of a builder: one budget for stages, for the items of a stage, and for kernels.

No Condition, Future or executor of the standard library: those are Python inside, and an interrupt (Ctrl-C) between two
of their lines leaves a lock closed for good. Queues, sets and plain locks are not.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from queue import SimpleQueue
from typing import TypeVar

from .cpus import cpu, leave

__all__ = ["Crew"]

Item = TypeVar("Item")
Work = Callable[[], object]


class Crew:
    """The caller works too: `threads` counts the caller, the others are kept waiting.

    Several callers at once share the others. Nobody waits for work that has not been begun, so that work within work
    cannot lock up, however few threads there are.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._queue: SimpleQueue[Work | None] = SimpleQueue()
        self._starting = threading.Lock()
        self._started = 0
        self._busy: set[object] = set()
        """The others who are at work."""
        # they wait on the queue, and know nothing of the crew
        weakref.finalize(self, _send_home, self._queue, threads - 1).atexit = False

    @property
    def spare(self) -> int:
        """How many of the others have nothing to do at the moment."""
        return self.threads - 1 - len(self._busy)

    def each(self, work: Callable[[Item], object], items: Iterable[Item]) -> None:
        """Calls `work` on every item; the first error is raised once no one is working any more."""
        items = list(items)
        if self.threads == 1 or len(items) < 2:
            for item in items:
                work(item)
            return
        _Items(work, items).run(self, min(self.threads, len(items)) - 1)

    def steps(self, work: Callable[[int], None], needs: Sequence[int], then: Sequence[Sequence[int]]) -> None:
        """Calls `work(k)` for every step k, each after those it needs.

        needs: how many steps each step waits for. then: which steps each step is awaited by.
        """
        if self.threads == 1 or all(k + 1 in after for k, after in enumerate(then[:-1])):
            # the numbering is an order in which they can run, and in a chain the only one
            for k in range(len(needs)):
                work(k)
            return
        _Steps(work, needs, then).run(self)

    def call(self, work: Work) -> None:
        """Lets another thread do something, if one is free some time."""
        with self._starting:
            if self._started < self.threads - 1:
                thread = threading.Thread(
                    target=_worker,
                    args=(self._queue, self._busy),
                    name=f"perceptum-build-{self._started}",
                    daemon=True,
                )
                try:
                    thread.start()
                    self._started += 1
                # no more threads to be had, or the interpreter is about to end: the caller does it all
                except RuntimeError:
                    pass
        self._queue.put(work)


def _worker(queue: SimpleQueue[Work | None], busy: set[object]) -> None:
    me = object()
    while (work := queue.get()) is not None:
        busy.add(me)
        work()
        busy.discard(me)
        # what it holds must not live until there is more to do
        del work


def _send_home(queue: SimpleQueue[Work | None], threads: int) -> None:
    for _ in range(threads):
        queue.put(None)


class _Helped:
    """Work that a caller does with the help of others, who may come at any time, or never."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = True
        self._error: BaseException | None = None
        self._helpers: set[object] = set()
        self._news: SimpleQueue[None] = SimpleQueue()
        """Something changed: look again."""
        self._cpu = cpu()
        """The caller's."""

    def _next(self) -> Work | None:
        """Returns something to do; None where there is nothing at the moment. Called with the lock."""
        raise NotImplementedError

    def help_out(self) -> None:
        """What others do: as much as there is."""
        me = object()
        self._helpers.add(me)
        try:
            leave(self._cpu)
            while True:
                with self._lock:
                    work = self._next() if self._open else None
                if work is None:
                    return
                work()
                del work
        except BaseException as error:
            self._fail(error)
        finally:
            self._helpers.discard(me)
            self._news.put(None)

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            self._open = False
            self._error = self._error or error

    def _finish(self) -> None:
        """Lets nobody begin anything more, waits for those that have begun, and raises the first error."""
        try:
            self._settle()
        except BaseException:
            # a second interrupt while waiting: then at least once more
            self._settle()
            raise
        # the error's traceback holds this frame, and through it all that the work holds
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error

    def _settle(self) -> None:
        self._open = False
        while self._helpers:
            self._news.get()
        self._forget()

    def _forget(self) -> None:
        """Lets go of the work: a thread that was called and comes late must keep nothing alive."""


class _Items(_Helped):
    """The items of one `each`."""

    def __init__(self, work: Callable[[Item], object], items: list[Item]) -> None:
        super().__init__()
        self._todo = deque((work, item) for item in items)

    def _next(self) -> Work | None:
        if not self._todo:
            return None
        work, item = self._todo.popleft()
        return lambda: work(item)

    def _forget(self) -> None:
        self._todo.clear()

    def run(self, crew: Crew, others: int) -> None:
        try:
            for _ in range(others):
                crew.call(self.help_out)
            while True:
                with self._lock:
                    work = self._next() if self._open else None
                if work is None:
                    break
                work()
        except BaseException as error:
            self._fail(error)
        self._finish()


class _Steps(_Helped):
    """One run through a graph of steps."""

    def __init__(self, work: Callable[[int], None], needs: Sequence[int], then: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self._work: Callable[[int], None] | None = work
        self._waits = list(needs)
        self._then = then
        self._ready = deque(k for k, n in enumerate(needs) if n == 0)
        self._left = len(needs)
        self._crew: Crew | None = None

    def run(self, crew: Crew) -> None:
        try:
            self._crew = crew
            self._call(len(self._ready) - 1)
            while self._left and self._open:
                with self._lock:
                    work = self._next() if self._open else None
                if work is not None:
                    work()
                elif self._left and self._open:
                    # somebody is at a step, and will say when it is done
                    self._news.get()
        except BaseException as error:
            self._fail(error)
        self._finish()

    def _next(self) -> Work | None:
        if not self._ready:
            return None
        k, work = self._ready.popleft(), self._work
        assert work is not None

        def step() -> None:
            work(k)
            with self._lock:
                self._left -= 1
                new = self._free(k)
            self._news.put(None)
            self._call(new - 1)

        return step

    def _free(self, k: int) -> int:
        """Marks a step as done; returns how many others can begin now."""
        new = 0
        for other in self._then[k]:
            self._waits[other] -= 1
            if self._waits[other] == 0:
                self._ready.append(other)
                new += 1
        return new

    def _call(self, others: int) -> None:
        for _ in range(others):
            if self._crew is not None:
                self._crew.call(self.help_out)

    def _forget(self) -> None:
        self._work = self._crew = None
        self._ready.clear()
