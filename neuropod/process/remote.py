"""A model that a worker process runs: to `Model` a runner like any other."""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..errors import NeuropodError, WorkerError
from .attached import Attached
from .channel import Channel
from .command import expand
from .door import Door
from .keeper import Process
from .latch import Latch
from .memory import SharedMemory
from .requests import Requests
from .worker.shared import WAITS
from .worker.wire import BEAT_S

__all__ = ["RemoteRunner", "Restart", "Start"]

_CLOSE_S = 2.0
_LOOK_S = 0.1
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Restart:
    """Whether a worker that ended is started again, and how often.

    A model that keeps something between calls begins anew, so nothing is restarted unless this is asked for.
    """

    policy: str = "on_failure"
    """"never", or "on_failure": after it died, hung or answered garbage."""
    most: int = 5
    """How often within `within_s`; then it is given up."""
    within_s: float = 60.0
    backoff_s: float = 0.05
    """How long is waited before the second restart in that time, and twice as long before each one after it."""

    def __post_init__(self) -> None:
        if self.policy not in ("never", "on_failure"):
            raise NeuropodError(f"restart must be 'never' or 'on_failure', got {self.policy!r}")
        if not isinstance(self.most, int) or isinstance(self.most, bool) or self.most < 0:
            raise NeuropodError(f"restart: most must be a whole number from 0 on, got {self.most!r}")
        for name in ("within_s", "backoff_s"):
            seconds = getattr(self, name)
            if not _is_time(seconds):
                raise NeuropodError(f"restart: {name} must be a number of seconds from 0 on, got {seconds!r}")

    @classmethod
    def of(cls, value: str | Restart) -> Restart:
        return value if isinstance(value, Restart) else cls(value)


@dataclass(frozen=True)
class Start:
    """How a worker is started, and what it is told to load."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    order: Mapping[str, Any]
    output_bytes: int | None = None
    """For a worker that is not trusted: how large its outputs may be, together."""
    command: str | Sequence[str] | None = None
    """What starts it, if not `argv` itself: a template of `command.PLACES`."""
    package: str = ""
    socket: str | None = None
    """Where a worker listens that somebody else has started; nothing is started then."""


class RemoteRunner:
    """Runs a model in a process of its own, one call at a time. Several may share one memory."""

    def __init__(
        self,
        start: Start,
        memory: SharedMemory,
        requests: Requests,
        *,
        restart: Restart,
        timeout_s: float | None = None,
        load_timeout_s: float | None = None,
        heartbeat_timeout_s: float | None = None,
        free_memory: bool = False,
        wait: str = "adaptive",
    ) -> None:
        if wait not in WAITS:
            raise NeuropodError(f"wait must be {', '.join(map(repr, WAITS[:-1]))} or {WAITS[-1]!r}, got {wait!r}")
        for name, seconds in (("timeout_s", timeout_s), ("load_timeout_s", load_timeout_s)):
            if seconds is not None and not _is_time(seconds):
                raise NeuropodError(f"{name} must be a number of seconds from 0 on, or None, got {seconds!r}")
        if heartbeat_timeout_s is not None and not (_is_time(heartbeat_timeout_s) and heartbeat_timeout_s > BEAT_S):
            raise NeuropodError(
                f"heartbeat_timeout_s must be more than {BEAT_S:g}, the seconds between two beats, "
                f"got {heartbeat_timeout_s!r}"
            )
        self._start = replace(start, order={**start.order, "free_memory": True}) if free_memory else start
        self._requests = requests
        self._restart = restart
        self._timeout_s = timeout_s
        self._load_timeout_s = load_timeout_s
        self._heartbeat_timeout_s = heartbeat_timeout_s
        self._free_memory = free_memory
        self._wait = wait
        self._lock = threading.Lock()
        self._owner = os.getpid()
        self._restarts: deque[float] = deque(maxlen=max(restart.most, 1))
        self._channel: Channel | None = None
        self._lost: WorkerError | None = None
        self._closing = Latch()
        self.memory = memory
        """What the model's inputs are built into; `Model.allocator`."""
        self._begin()

    def _begin(self) -> None:
        start = self._start
        try:
            self._channel = self._opened(start)
        except OSError as error:
            raise WorkerError(f"its worker could not start: {error}", "start") from error
        self._end = weakref.finalize(self, _kill, self._channel.process, os.getpid())
        # at the end of the program the keeper ends all that are left
        self._end.atexit = False

    def _opened(self, start: Start) -> Channel:
        open_channel = partial(
            Channel,
            environment=start.environment,
            order=start.order,
            memory=self.memory,
            requests=self._requests,
            wait=self._wait,
            output_bytes=start.output_bytes,
            heartbeat_timeout_s=self._heartbeat_timeout_s,
        )
        if start.command is None:
            return open_channel(start.argv, socket_path=start.socket)
        door = Door()
        try:
            argv = expand(start.command, start.argv, door.path, start.package)
            return open_channel(argv, door=door, door_s=self._load_timeout_s)
        finally:
            door.close()

    def _revive(self) -> None:
        """Starts the next worker before anybody asks for it, where that is not over the limit."""
        with self._lock:
            if self._closing.is_set() or self.is_given_up:
                return
            try:
                self._live()
            except Exception as error:
                # the next call tries again, and says it
                if not self._closing.is_set():
                    # as text: who keeps what is logged would keep this worker with the error
                    _log.warning("a worker could not be restarted: %s", str(error))

    def loaded(self) -> dict[str, Any]:
        """Waits until the model is loaded; returns what the worker says of it."""
        channel = self._channel
        assert channel is not None
        try:
            said = channel.loaded(self._load_timeout_s)
        except BaseException:
            self._drop()
            raise
        if self._restart.policy != "never":
            # not before: one that ends while it is loaded is an error of who loads it, and no worker comes after it
            revive = weakref.WeakMethod(self._revive)
            channel.on_lost = lambda: _in_a_thread(revive)
        return said

    def run(self, inputs: Mapping[str, NDArray[Any]], wanted: Sequence[str]) -> dict[str, NDArray[Any]]:
        # before the lock, which another thread may have held when this process was forked
        self.memory.require_own()
        with self._lock:
            while True:
                channel = self._live()
                try:
                    outputs: dict[str, NDArray[Any]] = channel.infer(inputs, tuple(wanted), self._timeout_s)
                except WorkerError as error:
                    # it had ended a moment before: its successor is asked, where there is to be one
                    if error.was_taken or self._restart.policy == "never":
                        raise
                else:
                    if self._free_memory:
                        self.memory.free_pages()
                    return outputs

    def seal(self, name: str, array: NDArray[Any]) -> None:
        self.memory.require_own()
        channel = self._channel
        if channel is None or not channel.seals or channel.is_over or not self.memory.holds(array):
            return
        # it is an offer: the call itself will say what is wrong
        with suppress(WorkerError):
            channel.seal({name: array})

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        return self.memory.empty(shape, np.dtype(dtype))

    @property
    def pids(self) -> tuple[int, ...]:
        """The worker's process; empty where there is none at the moment."""
        channel = self._channel
        return () if channel is None or channel.is_over else (channel.process.pid,)

    @property
    def is_given_up(self) -> bool:
        """Whether no later call can be answered: the worker is over, and is not restarted any more."""
        channel = self._channel
        if channel is not None and not channel.is_over:
            return False
        return self._restart.policy == "never" or self._recent_restarts() >= self._restart.most

    def _recent_restarts(self) -> int:
        now = time.monotonic()
        return sum(now - then <= self._restart.within_s for then in self._restarts)

    @property
    def beats(self) -> int:
        channel = self._channel
        return 0 if channel is None else channel.beats

    def _live(self) -> Channel:
        channel = self._channel
        if channel is not None and channel.is_loaded and not channel.is_over:
            return channel
        self._require_open()
        if channel is not None:
            if not channel.is_over:
                # Ctrl-C came while it loaded
                channel.process.kill()
            self._lost = channel._died()
        assert self._lost is not None
        if self._restart.policy == "never":
            raise _not_taken(self._lost, f"{self._lost}; it is not restarted, unless loaded with restart='on_failure'")
        self._wait_for_turn(self._lost)
        self._drop()
        self._require_open()
        try:
            self._begin()
            self.loaded()
        except Exception as error:
            # not the error itself, which has this call's arrays in its frames
            self._lost = _not_taken(error if isinstance(error, WorkerError) else WorkerError(str(error)), str(error))
            if isinstance(error, WorkerError):
                error.was_taken = False
            # closed meanwhile, which ended it
            self._require_open()
            raise
        assert self._channel is not None
        return self._channel

    def _require_open(self) -> None:
        if self._closing.is_set():
            raise NeuropodError("its worker is closed")

    def _wait_for_turn(self, died: WorkerError) -> None:
        count, most_s = self._recent_restarts(), self._restart.within_s
        if count >= self._restart.most:
            said = f"its worker was restarted {count} times within {most_s:g} s and is given up: {died}"
            raise _not_taken(died, said)
        if count:
            # after within_s nothing of it counts any more, and nobody waits longer than a lock can
            pause_s = min(self._restart.backoff_s * 2.0 ** min(count - 1, 99), most_s, threading.TIMEOUT_MAX)
            self._closing.wait(pause_s)
        self._restarts.append(time.monotonic())

    def _drop(self) -> None:
        channel = self._channel
        if channel is not None:
            channel.on_lost = None
            channel.process.kill()
            channel.process.over.wait(_CLOSE_S)
            channel.forget()
            self._end.detach()
            # last: Ctrl-C may come before
            self._channel = None

    def abandon(self) -> None:
        """Ends its worker at once: the model was not loaded, and nobody has this."""
        self._closing.set()
        self._drop()

    def close(self) -> None:
        if os.getpid() != self._owner:
            return
        self._closing.set()
        wait_s = _CLOSE_S
        while not self._lock.acquire(timeout=wait_s):
            # a call that does not end ends with its worker; so does a restart, whose worker may come only now
            channel = self._channel
            if channel is not None:
                channel.process.kill()
            wait_s = _LOOK_S
        try:
            channel, self._channel = self._channel, None
            if channel is not None:
                channel.close(_CLOSE_S)
                self._end.detach()
        finally:
            self._lock.release()


def _not_taken(died: WorkerError, message: str) -> WorkerError:
    """Returns the error of a call that came after its worker's end."""
    error = died.reworded(message)
    error.was_taken = False
    return error


def _is_time(seconds: object) -> bool:
    return isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and seconds >= 0


def _in_a_thread(revive: weakref.WeakMethod[Callable[[], None]]) -> None:
    method = revive()
    if method is not None:
        threading.Thread(target=method, name="perceptum restart", daemon=True).start()


def _kill(process: Process | Attached, owner: int) -> None:
    if os.getpid() == owner:
        process.kill()
