"""Where a worker comes in that inherits no descriptor: one in a container, or behind another program."""

from __future__ import annotations

import contextlib
import select
import socket
import time

from ..errors import WorkerError
from ..package.tied_folder import TiedFolder
from .keeper import Process

__all__ = ["Door"]

_LOOK_S = 0.05
_MOST_S = 120.0
"""How long a container may take to start."""


class Door:
    """A socket in a folder that only this user can enter; both go when it is closed, or this process ends."""

    def __init__(self) -> None:
        self._folder = TiedFolder()
        self.path = str(self._folder.path / "socket")
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.listener.bind(self.path)
            self.listener.listen(1)
        except BaseException as error:
            self.close()
            if isinstance(error, OSError) and "too long" in str(error):
                raise OSError(
                    f"the path of its socket, {self.path}, is too long; set TMPDIR to a shorter one"
                ) from None
            raise

    def admit(self, process: Process, seconds: float | None) -> socket.socket:
        """Returns the connection of the first who comes; raises WorkerError where nobody does."""
        end = time.monotonic() + (_MOST_S if seconds is None else seconds)
        arriving = select.poll()
        arriving.register(self.listener, select.POLLIN)
        while not process.over.is_set():
            if arriving.poll(_LOOK_S * 1e3):
                # where the process has just ended, the socket was shut to wake whoever waits
                with contextlib.suppress(OSError):
                    return self.listener.accept()[0]
            if time.monotonic() > end:
                process.kill()
                raise WorkerError("its worker did not connect in time; what its command started was killed", "start")
        ended = process.ended
        assert ended is not None
        raise WorkerError(f"its worker could not start: {ended}", "start", ended.status, ended.signal, ended.lines)

    def close(self) -> None:
        self.listener.close()
        self._folder.close()
