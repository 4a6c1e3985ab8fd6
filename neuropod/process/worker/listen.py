"""Waits at a socket for parents, and starts a process for each: `bootstrap.py --listen PATH`.

Nothing is imported here but the standard library, and there is one thread, so that a process can fork.
"""

import os
import select
import signal
import socket
import stat
import sys
from contextlib import suppress
from typing import Dict, Optional

from . import wire

__all__ = ["worker"]


def worker(path: str) -> socket.socket:
    """Listens for ever; returns in a new process for each parent, with the socket to it."""
    try:
        server = _server(path)
    except OSError as error:
        sys.exit("perceptum worker: cannot listen at {}: {}".format(path, error.strerror or error))
    sys.stderr.write("perceptum worker: listening at {}; Ctrl-C ends it\n".format(path))
    sys.stderr.flush()
    return _Listener(path, server).run()


def _server(path: str) -> socket.socket:
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    if _is_left_over(path):
        os.unlink(path)
    # whoever may connect may have anything run here
    before = os.umask(0o177)
    try:
        server.bind(path)
    finally:
        os.umask(before)
    server.listen(16)
    return server


def _is_left_over(path: str) -> bool:
    """Returns whether there is a socket at which nobody listens: who did was killed."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return False
        probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            probe.connect(path)
        finally:
            probe.close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


class _Listener(object):
    def __init__(self, path: str, server: socket.socket) -> None:
        self._path = path
        self._server = server
        self._lines: Dict[int, socket.socket] = {}
        """Process -> the line to its parent."""
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(self._woken, False)

    def run(self) -> socket.socket:
        signal.set_wakeup_fd(self._wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, _end)
        me = os.getpid()
        try:
            while True:
                connection = self._look()
                if connection is not None:
                    return connection
        finally:
            if os.getpid() == me:
                self._close()

    def _look(self) -> Optional[socket.socket]:
        """Sees to what has happened; returns the socket in a process that has just begun."""
        poll = select.poll()
        pids = {line.fileno(): pid for pid, line in self._lines.items()}
        for descriptor in (self._server.fileno(), self._woken, *pids):
            poll.register(descriptor, select.POLLIN)
        for descriptor, _ in poll.poll():
            if descriptor == self._server.fileno():
                connection = self._begin()
                if connection is not None:
                    return connection
            elif descriptor == self._woken:
                os.read(self._woken, 4096)
                self._reap()
            elif pids[descriptor] in self._lines:
                # the parent says nothing here: it has hung up
                _kill(pids[descriptor])
        return None

    def _begin(self) -> Optional[socket.socket]:
        line, _ = self._server.accept()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        listener = os.getpid()
        # until the handlers of the new process are its own
        signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
        pid = os.fork()
        if pid == 0:
            os.setsid()
            signal.set_wakeup_fd(-1)
            for number in _HANDLED:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
            for each in (self._server, line, ours, *self._lines.values()):
                each.close()
            os.close(self._woken)
            os.close(self._wake)
            _die_with(listener)
            return theirs
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
        theirs.close()
        self._lines[pid] = line
        try:
            wire.send(line, wire.WORKER, {"version": wire.VERSION, "pid": pid}, [ours.fileno()])
        except (wire.Closed, OSError):
            _kill(pid)
        finally:
            ours.close()
        return None

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            # what it started ends too
            with suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
            line = self._lines.pop(pid, None)
            if line is not None:
                ended = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
                with suppress(wire.Closed, OSError):
                    wire.send(line, wire.ENDED, {"status": ended})
                line.close()

    def _close(self) -> None:
        for pid in self._lines:
            _kill(pid)
        with suppress(OSError):
            os.unlink(self._path)


_HANDLED = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def _end(number: int, frame: object) -> None:
    raise SystemExit(0)


def _kill(pid: int) -> None:
    for kill in (os.killpg, os.kill):
        with suppress(OSError):
            kill(pid, signal.SIGKILL)


def _die_with(parent: int) -> None:
    """The system kills this process when the one that forked it ends."""
    import ctypes

    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
