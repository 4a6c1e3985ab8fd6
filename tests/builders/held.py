"""A crew whose steps meet at a given line: what threads do now and then, done for certain."""

from __future__ import annotations

from perceptum.builders.crew import Crew
from perceptum.testing.held import Held

NOT_STAGES = tuple(f"perceptum.builders.{name}" for name in ("lane", "pool", "pages", "crew"))
"""They have locks of their own, and tests."""


class HeldCrew(Crew):
    """It stops one step before one of its lines until all that need not wait for that step is done; see Held."""

    def __init__(self, step, line, patience_s):
        super().__init__(3)
        self.step, self.line, self.patience_s = step, line, patience_s
        self.lines = 0
        """How many lines the step has."""

    def each(self, work, items):
        for item in items:
            work(item)

    def steps(self, work, needs, then):
        self._work, self._then = work, then
        self._waits, self._left = list(needs), set(range(len(needs)))
        while self._waits[self.step]:
            self._do(next(k for k in self._ready() if self._leads_to_it(k)))
        self._left.discard(self.step)
        with Held(self.line, self._do_all, ("perceptum.builders",), NOT_STAGES, self.patience_s) as held:
            work(self.step)
        self.lines = held.lines
        self._done(self.step)
        self._do_all()

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
