"""One thread that starts workers, reads what they write, and sees them end.

The system kills a worker when the thread that started it ends: so that is a thread that lives as long as its process.
It waits for a worker's process by descriptor (pidfd), which tells of its end within a millisecond, whatever the end.
"""

from __future__ import annotations

import atexit
import ctypes
import io
import logging
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
import traceback
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from ..errors import NeuropodError
from .latch import Latch
from .printed import Printed, harmless

__all__ = ["BOOTSTRAP", "Ended", "Process", "die_with", "start", "start_forked", "watch"]

BOOTSTRAP = Path(__file__).parent / "worker" / "bootstrap.py"
"""The script that a worker runs."""

_log = logging.getLogger(__name__)
_LINES = 160
"""That are kept: the report of a crash has up to a hundred, and says what it was in the first."""
_LINE_BYTES = 500
_READ_BYTES = 65536
_PATIENCE_S = 0.02


@dataclass(frozen=True)
class Ended:
    """How a process ended."""

    status: int | None
    """As subprocess says it: negative for a signal. None where this program waits for all its children itself, or
    ignores that they end (SIGCHLD), so that nobody else learns it."""
    lines: tuple[str, ...] = ()
    """The last that it wrote."""

    @property
    def signal(self) -> str | None:
        if self.status is None or self.status >= 0:
            return None
        try:
            return signal.Signals(-self.status).name
        except ValueError:
            return f"signal {-self.status}"

    def __str__(self) -> str:
        if self.status is None:
            how = "its exit status is not known, since this program waits for all its children, or ignores SIGCHLD"
        else:
            how = f"killed by {self.signal}" if self.signal else f"exit status {self.status}"
            if self.signal == "SIGXCPU":
                how += ", since it had used up its CPU time"
        return f"{how} ({line})" if (line := _telling(self.lines)) else how


def _telling(lines: Sequence[str]) -> str | None:
    """Returns the line that says most about an end: the last, but of the report of a crash where it happened.

    Such a report (faulthandler's) ends with lists of frames and of modules, which name no reason.
    """
    crash = next((n for n, line in enumerate(lines) if line.startswith("Fatal Python error: ")), None)
    if crash is None:
        return lines[-1] if lines else None
    below = list(lines[crash:])
    current = next((n for n, line in enumerate(below) if line.startswith("Current thread ")), None)
    where = below[current + 1] if current is not None and current + 1 < len(below) else None
    return f"{below[0]}, in {where}" if where is not None and where.startswith("File ") else below[0]


class Process:
    """A worker's process, and the last lines that it wrote to stdout and stderr; all go to this process's stderr."""

    def __init__(
        self,
        popen: subprocess.Popen[bytes] | _Forked,
        descriptor: int,
        on_end: Callable[[Ended], object],
        printed: Printed | None = None,
    ) -> None:
        """printed: what makes the words of a worker that is not trusted harmless."""
        self._printed = printed
        self._popen = popen
        self._descriptor = descriptor
        self._on_end = on_end
        self._lock = threading.Lock()
        self._lines: deque[str] = deque(maxlen=_LINES)
        self._partial = b""
        self.pid = popen.pid
        self.over = Latch()
        """Set when the process has ended and `ended` says how."""
        self.ended: Ended | None = None

    def kill(self) -> None:
        """Kills the worker and what it has started, unless they went to another session; does not wait."""
        with self._lock:
            if self.ended is None:
                _kill_group(self.pid)

    def forget_waiters(self) -> None:
        """Nobody is told when it ends."""
        self._on_end = _nothing

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(self._lines)

    def _read(self) -> bool:
        """Passes on what was written; returns whether more may come."""
        assert self._popen.stdout is not None
        try:
            data = os.read(self._popen.stdout.fileno(), _READ_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            return False
        is_open = bool(data)
        if self._printed is not None:
            data = self._printed.clean(data)
            _pass_on(self._printed.passed_on(data))
        else:
            _pass_on(data)
        *lines, partial = (self._partial + data).split(b"\n")
        self._partial = partial[-_LINE_BYTES:]
        # no more than are kept: somebody may write nothing but lines
        self._lines.extend(text for line in lines[-_LINES:] if (text := _text(line[:_LINE_BYTES])))
        return is_open

    def _end(self) -> None:
        """The process is over: what it started ends too; then its lines and its status are known."""
        with self._lock:
            # before the system may give its number to another
            _kill_group(self.pid)
            status = _wait_for(self._popen)
            self._read_rest()
            assert self._popen.stdout is not None
            self._popen.stdout.close()
            os.close(self._descriptor)
            if text := _text(self._partial):
                self._lines.append(text)
            self.ended = Ended(status, tuple(self._lines))
        # called once, and let go of: whoever is told has this process
        on_end, self._on_end = self._on_end, _nothing
        try:
            # before others see that it is over, and close what is written to here
            on_end(self.ended)
        finally:
            self.over.set()

    def _read_rest(self) -> None:
        """What it wrote before its end; not what somebody else who has its stdout goes on to write."""
        assert self._popen.stdout is not None
        most = select.PIPE_BUF * 256
        # not select(), which takes no descriptor from 1024 on
        ready = select.poll()
        ready.register(self._popen.stdout.fileno(), select.POLLIN)
        while most > 0 and ready.poll(0) and self._read():
            most -= _READ_BYTES


def _wait_for(popen: subprocess.Popen[bytes] | _Forked) -> int | None:
    """Returns the status of a process that has ended, or is about to; None where somebody else has waited for it."""
    try:
        # popen's own wait says 0 for what somebody else has waited for
        _, status = os.waitpid(popen.pid, 0)
    except ChildProcessError:
        popen.returncode = 0
        return None
    popen.returncode = os.waitstatus_to_exitcode(status)
    return popen.returncode


def _text(line: bytes) -> str:
    """Returns a line as it can be part of an error's message."""
    return harmless(line.decode(errors="replace").strip("\0 \t\r"))


def _nothing(_: Ended) -> None:
    """Nobody is to be told."""


def _pass_on(data: bytes) -> None:
    """What a worker writes is seen where this process writes its errors; results on stdout stay clean."""
    if sys.__stderr__ is None:
        # this program was started without one: what lies at 2 is something else
        return
    writable = select.poll()
    writable.register(2, select.POLLOUT)
    with suppress(OSError):
        for at in range(0, len(data), select.PIPE_BUF):
            # where nobody reads it any more it is left out: this thread has other workers to see to.
            # So much a pipe takes whole, if it takes anything
            if not writable.poll(_PATIENCE_S * 1e3):
                return
            os.write(2, data[at : at + select.PIPE_BUF])


def _kill_group(pid: int) -> None:
    # one that was forked a moment ago may not lead its group yet
    for kill in (os.killpg, os.kill):
        with suppress(OSError):
            kill(pid, signal.SIGKILL)


@dataclass
class _Forked:
    """A process that was forked from this one, as far as it is dealt with like one that was started."""

    pid: int
    stdout: IO[bytes]
    returncode: int | None = None


@dataclass
class _Wish:
    argv: Sequence[str]
    environment: Mapping[str, str]
    sockets: Sequence[socket.socket]
    """Not their numbers: a socket that is closed before the process is started would pass on another's."""
    on_end: Callable[[Ended], object]
    printed: Printed | None
    run: Callable[[], object] | None = None
    """What is run in a fork of this process, where no program is started."""
    done: Latch = field(default_factory=Latch)
    process: Process | None = None
    """What came of it, or `error`."""
    error: BaseException | None = None
    is_abandoned: bool = False
    """Whether nobody waits for it any more."""


class _Keeper:
    def __init__(self) -> None:
        self._wishes: deque[_Wish] = deque()
        self._watches: deque[tuple[int, Callable[[], bool]]] = deque()
        self._selector = selectors.DefaultSelector()
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._wake, False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self.processes: weakref.WeakSet[Process] = weakref.WeakSet()
        self.thread = threading.Thread(target=self._run, name="perceptum keeper", daemon=True)
        self.thread.start()

    def start(self, wish: _Wish) -> Process:
        try:
            self._wishes.append(wish)
            os.write(self._wake, b"!")
            wish.done.wait()
            if wish.process is None:
                assert wish.error is not None
                raise wish.error
            return wish.process
        except BaseException:
            # Ctrl-C: nobody will have the process that is started meanwhile
            wish.is_abandoned = True
            if wish.process is not None:
                wish.process.kill()
            raise
        finally:
            # an error has this frame, which must not have it
            wish.error = None

    def watch(self, descriptor: int, read: Callable[[], bool]) -> None:
        self._watches.append((descriptor, read))
        os.write(self._wake, b"!")

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                try:
                    if key.data is None:
                        self._start_wished()
                    else:
                        key.data()
                except Exception:
                    # with this thread all workers would end, and nobody would hear of it
                    _log.exception("what is done when a worker ends, or writes, failed")

    def _start_wished(self) -> None:
        try:
            os.read(self._woken, 4096)
        except BlockingIOError:
            return
        while self._watches:
            self._watch(*self._watches.popleft())
        while self._wishes:
            wish = self._wishes.popleft()
            try:
                popen: subprocess.Popen[bytes] | _Forked
                if wish.run is None:
                    with _starting:
                        popen = self._popen(wish)
                else:
                    popen = _forked(wish.run)
                wish.process = self._watched(wish, popen)
                # looked at after that was written, as the other side does it the other way round
                if wish.is_abandoned:
                    wish.process.kill()
            except BaseException as error:
                wish.error = error
            wish.done.set()

    def _watch(self, descriptor: int, read: Callable[[], bool]) -> None:
        def look() -> None:
            # closed by nobody else before it says that there is no more
            if not read():
                self._selector.unregister(descriptor)
                os.close(descriptor)

        self._selector.register(descriptor, selectors.EVENT_READ, look)

    def _popen(self, wish: _Wish) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            wish.argv,
            env=dict(wish.environment),
            pass_fds=tuple([s.fileno() for s in wish.sockets]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # Ctrl-C in a terminal is its parent's to handle; and the whole group can be killed
            start_new_session=True,
        )

    def _watched(self, wish: _Wish, popen: subprocess.Popen[bytes] | _Forked) -> Process:
        assert popen.stdout is not None
        try:
            os.set_blocking(popen.stdout.fileno(), False)
            descriptor = os.pidfd_open(popen.pid)
        except BaseException:
            # no descriptor is left, or the system has none of that kind: nobody would see it end
            _kill_group(popen.pid)
            popen.stdout.close()
            _wait_for(popen)
            raise
        process = Process(popen, descriptor, wish.on_end, wish.printed)
        self.processes.add(process)
        output = popen.stdout.fileno()

        def read() -> None:
            # it may have ended by what was reported together with this
            if process.ended is None and not process._read():
                self._selector.unregister(output)

        def end() -> None:
            self._selector.unregister(descriptor)
            if output in self._selector.get_map():
                self._selector.unregister(output)
            process._end()

        self._selector.register(output, selectors.EVENT_READ, read)
        self._selector.register(descriptor, selectors.EVENT_READ, end)
        return process


def _forked(run: Callable[[], object]) -> _Forked:
    """Runs a call in a fork of this process, which has no other thread; what it writes comes here."""
    output, own_output = os.pipe()
    parent = os.getpid()
    try:
        pid = os.fork()
    except BaseException:
        os.close(output)
        os.close(own_output)
        raise
    if pid:
        os.close(own_output)
        return _Forked(pid, open(output, "rb", 0))
    status = 1
    try:
        os.setsid()
        die_with(parent)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for descriptor, number in ((nothing, 0), (own_output, 1), (own_output, 2)):
            os.dup2(descriptor, number)
        # what the parent has printed and not yet written out is the parent's
        output_file = io.FileIO(1, "w", closefd=False)
        sys.stdout = sys.stderr = io.TextIOWrapper(output_file, errors="backslashreplace", write_through=True)
        run()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def die_with(parent: int) -> None:
    """The system kills this process when the thread that started it ends; `parent` is that thread's process."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


_keeper: _Keeper | None = None
_lock = threading.Lock()
_starting = threading.Lock()
"""While a process is started, this one is not forked: the child would hold the pipe by which Python waits for the
program to begin, and so hold up the keeper as long as it lives."""


def start(
    argv: Sequence[str],
    environment: Mapping[str, str],
    sockets: Sequence[socket.socket],
    on_end: Callable[[Ended], object],
    printed: Printed | None = None,
) -> Process:
    """Starts a process that inherits these sockets, and calls `on_end` in the keeper's thread when it has ended.

    printed: for a process that is not trusted, what its stdout and stderr go through.

    Raises OSError where it cannot be started.
    """
    return _there().start(_Wish(argv, environment, sockets, on_end, printed))


def start_forked(run: Callable[[], object], on_end: Callable[[Ended], object]) -> Process:
    """As `start`, but calls `run` in a fork of this process, whose life ends when that returns.

    What this process has open is open there too. Raises OSError where it cannot be forked.
    """
    return _there().start(_Wish((), {}, (), on_end, None, run))


def occupy_standard_descriptors() -> None:
    """Opens those of 0, 1 and 2 that are closed, to nothing: else something of ours would lie there, to be written over
    by whatever prints, and to be lost where a worker gets its own stdout."""
    while True:
        descriptor = os.open(os.devnull, os.O_RDWR)
        if descriptor > 2:
            os.close(descriptor)
            return


def watch(descriptor: int, read: Callable[[], bool]) -> None:
    """Calls `read` in the keeper's thread when there is something to read, until it returns False.

    The descriptor is the keeper's from then on: it closes it after that.
    """
    _there().watch(descriptor, read)


def _there() -> _Keeper:
    global _keeper
    with _lock:
        if _keeper is None or not _keeper.thread.is_alive():
            _keeper = _Keeper()
        return _keeper


def _forget() -> None:
    """A forked child has its parent's workers no longer: they are its parent's."""
    global _keeper, _lock, _starting
    _keeper, _lock, _starting = None, threading.Lock(), threading.Lock()


def _kill_all() -> None:
    """At the end of the program no worker is waited for."""
    if _keeper is not None:
        for process in list(_keeper.processes):
            # a daemon thread that waits for an answer is not told: it ends with the program, and prints no error
            process.forget_waiters()
            process.kill()
        for process in list(_keeper.processes):
            process.over.wait(5)


os.register_at_fork(
    before=lambda: _starting.acquire(), after_in_parent=lambda: _starting.release(), after_in_child=_forget
)
atexit.register(_kill_all)


def python() -> str:
    """Returns the interpreter that runs this; raises NeuropodError where there is none to be found."""
    if not sys.executable:
        raise NeuropodError("this Python does not know its own interpreter (sys.executable is empty)")
    return sys.executable


def flags() -> list[str]:
    """Returns the words that start an interpreter as this one was: -O, -W, -X."""
    return list(_interpreter_flags())


def _interpreter_flags() -> list[str]:
    found: Any = getattr(subprocess, "_args_from_interpreter_flags", list)
    return list(found())
