"""How workers are started: as a new Python each ("spawn"), forked from one that is ("forkserver"), or from this one."""

from __future__ import annotations

import io
import json
import os
import pickle
import signal
import socket
import sys
import time
import types
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Literal, Protocol

from perceptum.errors import UsageError, WorkerDied
from perceptum.foreign import said
from perceptum.neuropod.process import keeper
from perceptum.neuropod.process.keeper import Ended
from perceptum.neuropod.process.worker import wire
from perceptum.neuropod.process.worker.shared import make_file

from .messages import ENDED, FORK, FORKED, WORK
from .work import Work

__all__ = ["Begun", "ForkServer", "Forks", "Spawns", "StartMethod", "Starts", "starts_of"]

StartMethod = Literal["fork", "spawn", "forkserver"]
_SCRIPT = Path(__file__).parent / "start_worker.py"
_GRACE_S = 5.0
"""How long the system may take over what takes no time: to end what was killed, or has died."""
_REAP_S = 0.5
"""How long what forks workers may take to wait for them, which were killed."""
_LINES_S = 0.05
_UNKNOWN = Ended(None)


class Begun(Protocol):
    """A worker's process."""

    pid: int

    def kill(self) -> None: ...
    def abort(self) -> None:
        """Lets it say where it is, which ends it, if it can."""
        ...

    def wait(self, most_s: float = _GRACE_S) -> Ended:
        """Returns how it ended, once it has, which is soon; after `most_s` that nobody knows how."""
        ...


class Starts(Protocol):
    def start(self, ours: socket.socket, theirs: socket.socket, jobs: socket.socket, control: int) -> Begun:
        """Returns a process that serves `theirs`, the other end of `ours`. It has copies of what it needs."""
        ...

    def close(self) -> None:
        """Ends what only starts workers; they have been killed before. What an interrupt left of it is done by the
        next call."""
        ...

    def forget(self) -> None:
        """In a forked child: closes what is its parent's."""
        ...


def starts_of(method: StartMethod, work: Work, keep_bytes: int) -> Starts:
    """Returns how to start workers. Raises UsageError where the work cannot be sent to another process."""
    if method == "fork":
        return Forks(work, keep_bytes)
    return Spawns(work, keep_bytes) if method == "spawn" else ForkServer(work, keep_bytes)


class _Kept:
    """A process that the keeper has started."""

    def __init__(self, start: Callable[[Callable[[Ended], object]], keeper.Process]) -> None:
        """start: starts it, and calls what it is given when that process has ended."""
        # not the process's Event: Ctrl-C between two lines of its Python can leave as a RuntimeError
        self._told: SimpleQueue[Ended] = SimpleQueue()
        self._process = start(self._told.put)
        self.pid = self._process.pid

    def kill(self) -> None:
        self._process.kill()

    def abort(self) -> None:
        if self._process.ended is None:
            with suppress(OSError):
                os.kill(self.pid, signal.SIGABRT)

    def wait(self, most_s: float = _GRACE_S) -> Ended:
        if self._process.ended is None:
            with suppress(Empty):
                self._told.get(timeout=most_s)
        return self._process.ended or _UNKNOWN

    @property
    def lines(self) -> tuple[str, ...]:
        return self._process.lines


class Forks:
    """Workers are forks of this process: they begin at once, with all that it has, and with what its other threads held
    at that moment."""

    def __init__(self, work: Work, keep_bytes: int) -> None:
        self._work, self._keep_bytes = work, keep_bytes

    def start(self, ours: socket.socket, theirs: socket.socket, jobs: socket.socket, control: int) -> Begun:
        from .worker import serve

        # copies: what this process holds for a loader is closed in its forks. As objects, which close themselves: after
        # Ctrl-C in the middle of closing them nobody else would
        own = theirs.dup(), jobs.dup(), os.fdopen(os.dup(control), "r+b", 0)

        def run() -> None:
            ours.close()
            theirs.close()
            serve(own[0], own[1], os.dup(own[2].fileno()), self._keep_bytes, self._work)

        try:
            return _Kept(partial(keeper.start_forked, run))
        finally:
            for one in own:
                one.close()

    def close(self) -> None:
        """Nothing else was started."""

    def forget(self) -> None:
        """Nor is anything else open."""


class _Fresh:
    """Starts new Pythons, and sends them the work."""

    def __init__(self, work: Work, keep_bytes: int) -> None:
        pickled, main = _pickled(work)
        self._start = {"parent": os.getpid(), "main": main, "keep_bytes": keep_bytes}
        # a file of its own: a socket takes little before somebody reads it
        self._file = make_file("perceptum work", len(pickled))
        with open(self._file, "wb", closefd=False) as file:
            file.write(pickled)

    def _started(
        self, ours: socket.socket, theirs: socket.socket, *, forks: bool, descriptors: Sequence[int] = ()
    ) -> _Kept:
        argv = [keeper.python(), *keeper.flags(), "-P", str(_SCRIPT), str(theirs.fileno())]
        process = _Kept(partial(keeper.start, argv, os.environ, [theirs]))
        start = json.dumps({**self._start, "sys_path": sys.path, "forks": forks}).encode()
        # where it has died meanwhile, it says so itself
        with suppress(OSError, wire.Closed):
            ours.sendall(len(start).to_bytes(8, "little") + start, socket.MSG_NOSIGNAL)
            wire.send(ours, WORK, b"", [self._file, *descriptors])
        return process

    def close(self) -> None:
        self.forget()

    def forget(self) -> None:
        # first it is nobody's: Ctrl-C between two lines must not have it closed twice
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)


class Spawns(_Fresh):
    """Every worker is a new Python."""

    def start(self, ours: socket.socket, theirs: socket.socket, jobs: socket.socket, control: int) -> Begun:
        return self._started(ours, theirs, forks=False, descriptors=[jobs.fileno(), control])


class ForkServer(_Fresh):
    """One new Python imports what workers need, and forks them: they share that, and a new one is there at once."""

    def __init__(self, work: Work, keep_bytes: int) -> None:
        super().__init__(work, keep_bytes)
        self._line, theirs = socket.socketpair()
        self._ended: dict[int, int] = {}
        self._has_forked = False
        try:
            self._server = self._started(self._line, theirs, forks=True)
        except BaseException:
            self._line.close()
            super().close()
            raise
        finally:
            theirs.close()

    def start(self, ours: socket.socket, theirs: socket.socket, jobs: socket.socket, control: int) -> Begun:
        try:
            wire.send(self._line, FORK, b"", [theirs.fileno(), jobs.fileno(), control])
            pid = self._read(FORKED)["pid"]
            self._has_forked = True
            return _Grandchild(self, pid)
        except (wire.Closed, OSError) as error:
            raise WorkerDied(f"what forks the workers ended before it did: {self._server.wait()}") from error

    def ended(self, pid: int, lines_s: float, most_s: float) -> Ended:
        """Returns how a worker ended; its last words may take `lines_s` to arrive."""
        try:
            # 0 would be not to wait at all, also for what is there
            self._line.settimeout(max(most_s, 1e-3))
            while pid not in self._ended:
                self._read(ENDED)
        # what nobody knows: it takes longer, or Ctrl-C came in the middle of an earlier message
        except (TimeoutError, ValueError, KeyError):
            return _UNKNOWN
        except (wire.Closed, OSError):
            return self._server.wait(most_s)
        finally:
            self._line.settimeout(None)
        time.sleep(lines_s)
        return Ended(self._ended[pid], self._server.lines)

    def _read(self, wanted: int) -> dict[str, Any]:
        while True:
            kind, body, _ = wire.receive(self._line)
            said: dict[str, Any] = json.loads(body)
            if kind == ENDED:
                self._ended[said["pid"]] = said["status"]
            if kind == wanted:
                return said

    def close(self) -> None:
        # not close alone: a fork of this process may have the line too, and what forks would not see it end
        with suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)
        self.forget()
        # it ends when it has waited for those that it forked. One that has forked none may be importing still, for
        # seconds
        if not self._has_forked or self._server.wait(_REAP_S) is _UNKNOWN:
            self._server.kill()
            self._server.wait(_REAP_S)

    def forget(self) -> None:
        super().forget()
        self._line.close()


class _Grandchild:
    _descriptor = -1

    def __init__(self, server: ForkServer, pid: int) -> None:
        self._server = server
        self.pid = pid
        self._descriptor = os.pidfd_open(pid)
        self._is_killed = False

    def kill(self) -> None:
        self._is_killed = True
        self._send(signal.SIGKILL)

    def abort(self) -> None:
        self._send(signal.SIGABRT)

    def _send(self, number: int) -> None:
        # by descriptor: its number may be another's by now
        with suppress(OSError):
            signal.pidfd_send_signal(self._descriptor, number)

    def wait(self, most_s: float = _GRACE_S) -> Ended:
        ended = self._server.ended(self.pid, 0 if self._is_killed else _LINES_S, most_s)
        if ended is not _UNKNOWN:
            descriptor, self._descriptor = self._descriptor, -1
            if descriptor >= 0:
                os.close(descriptor)
        return ended

    def __del__(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class _Pickler(pickle.Pickler):
    """Notices what another process finds only in the program that runs here."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self.of_main: set[str] = set()

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, type | types.FunctionType) and value.__module__ == "__main__":
            self.of_main.add(value.__qualname__)
        return NotImplemented


def _pickled(work: Work) -> tuple[bytes, list[str] | None]:
    """Returns the work as bytes, and where a new process finds the running program, if it needs it."""
    file = io.BytesIO()
    pickler = _Pickler(file)
    try:
        pickler.dump(work)
    # what is pickled may be anybody's
    except Exception as error:
        raise UsageError(
            f"the logs or the spec cannot be sent to a worker process ({said(error)}); with start_method='fork' "
            "nothing is sent, and with workers=0 there are no others"
        ) from error
    main = _main() if pickler.of_main else None
    if pickler.of_main and main is None:
        raise UsageError(
            f"{', '.join(sorted(pickler.of_main))}: defined in a program that has no file, so that a worker process "
            "cannot import it; put it into a module, or use start_method='fork'"
        )
    return file.getvalue(), main


def _main() -> list[str] | None:
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return ["module", spec.name]
    path = getattr(main, "__file__", None)
    return ["path", os.path.abspath(path)] if path and Path(path).is_file() else None
