"""Threads that meet at a given line: what a race does now and then, done for certain."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from perceptum.builders.crew import Crew

NOT_STAGES = {"lane.py", "pool.py", "pages.py", "crew.py"}
"""They have locks of their own, and tests."""


class Held(Crew):
    """A crew that stops one step before one of its lines until all that need not wait for that step is done.

    Lines are those of stages, each when the step first comes to it; within a kernel nothing is stopped.
    """

    def __init__(self, step, line):
        super().__init__(3)
        self.step, self.line = step, line
        self.lines = set()
        """Those that the step has come to."""
        self._others = None

    def each(self, work, items):
        for item in items:
            work(item)

    def steps(self, work, needs, then):
        self._work, self._then = work, then
        self._waits, self._left = list(needs), set(range(len(needs)))
        while self._waits[self.step]:
            self._do(next(k for k in self._ready() if self._leads_to_it(k)))
        self._left.discard(self.step)
        self._hold()
        self._done(self.step)
        self._do_all()

    def _hold(self):
        sys.settrace(self._at_call)
        try:
            self._work(self.step)
        finally:
            sys.settrace(None)
            if self._others is not None:
                self._others.join()

    def _at_call(self, frame, event, argument):
        file = Path(frame.f_code.co_filename)
        return self._at_line if "builders" in file.parts and file.name not in NOT_STAGES else None

    def _at_line(self, frame, event, argument):
        place = (frame.f_code, frame.f_lineno)
        if event == "line" and place not in self.lines:
            self.lines.add(place)
            if len(self.lines) == self.line:
                self._others = threading.Thread(target=self._do_all)
                self._others.start()
                # unless they wait for what the step that is held has locked
                self._others.join(0.05)
        return self._at_line

    def _ready(self):
        return [k for k in sorted(self._left) if not self._waits[k]]

    def _leads_to_it(self, k):
        return k == self.step or any(map(self._leads_to_it, self._then[k]))

    def _do_all(self):
        while ready := self._ready():
            self._do(ready[0])

    def _do(self, k):
        self._left.discard(k)
        self._work(k)
        self._done(k)

    def _done(self, k):
        for other in self._then[k]:
            self._waits[other] -= 1
