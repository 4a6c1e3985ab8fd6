"""Several workers of one model, on one memory: as many calls at once as there are workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Condition, RLock
from typing import Any

from numpy.typing import NDArray

from ..errors import NeuropodError, WorkerError
from .remote import RemoteRunner

__all__ = ["WorkerPool"]


class WorkerPool:
    """Gives each call to a worker that is free, to the one that was used last; calls beyond that wait their turn."""

    def __init__(self, runners: Sequence[RemoteRunner]) -> None:
        self._runners = list(runners)
        self._free = list(runners)
        self._lost: WorkerError | None = None
        # entered by itself: Ctrl-C between two lines of a Condition's Python leaves it closed for good
        self._lock = RLock()
        self._turn = Condition(self._lock)
        self._is_closed = False
        self.memory = runners[0].memory
        """What the model's inputs are built into, whichever worker reads it."""

    @property
    def workers(self) -> int:
        return len(self._runners)

    @property
    def pids(self) -> tuple[int, ...]:
        return tuple(pid for runner in self._runners for pid in runner.pids)

    @property
    def beats(self) -> int:
        """How often the worker that counts least has counted."""
        return min(runner.beats for runner in self._runners)

    def loaded(self) -> dict[str, Any]:
        """Waits until all workers have loaded the model; returns what one of them says of it."""
        said = [runner.loaded() for runner in self._runners]
        return said[0]

    def run(self, inputs: Mapping[str, NDArray[Any]], wanted: Sequence[str]) -> dict[str, NDArray[Any]]:
        self.memory.require_own()
        while True:
            runner = self._take()
            try:
                return runner.run(inputs, wanted)
            except WorkerError as error:
                if runner.is_given_up:
                    # the others go on; what waits for it is theirs
                    self._lose(runner, error)
                if error.was_taken or not self._runners:
                    raise
            finally:
                self._give_back(runner)

    def _take(self) -> RemoteRunner:
        with self._lock:
            while not self._free:
                if self._is_closed:
                    raise NeuropodError("its workers are closed")
                if not self._runners:
                    assert self._lost is not None
                    raise self._lost.reworded(str(self._lost))
                self._turn.wait()
            return self._free.pop()

    def seal(self, name: str, array: NDArray[Any]) -> None:
        """Which worker will get it is not known before it is free, so there is nothing to begin with."""

    def _give_back(self, runner: RemoteRunner) -> None:
        with self._lock:
            if runner in self._runners:
                # one that must be started again first is the last to be asked
                self._free.insert(len(self._free) if runner.pids else 0, runner)
            self._turn.notify()

    def _lose(self, runner: RemoteRunner, error: WorkerError) -> None:
        with self._lock:
            if runner in self._runners:
                self._runners.remove(runner)
            # not the error itself, which has a call's arrays in its frames
            self._lost = error.reworded(str(error))
            if not self._runners:
                self._turn.notify_all()
        runner.close()

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            self._turn.notify_all()
            runners = list(self._runners)
        for runner in runners:
            runner.close()
