"""A worker that somebody else has started, by `perceptum worker --socket PATH`: found by its socket.

Who listens there starts a process for each parent that connects, and holds a line to it: by that line it says how its
process ended, and when the parent hangs up, or ends in whatever way, it kills it.
"""

from __future__ import annotations

import json
import os
import socket
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from ..errors import NeuropodError, WorkerError
from . import keeper
from .keeper import BOOTSTRAP, Ended
from .latch import Latch
from .worker import wire

__all__ = ["Attached", "attach", "listen"]

_GRACE_S = 10.0
"""How long who listens may take to start a process, of which nothing is imported yet."""
_LOST = Ended(-9, ("who listened for it is gone",))

_held: weakref.WeakSet[Attached] = weakref.WeakSet()


class Attached:
    """The process that answers; what it writes is seen where it was started, and not here."""

    lines: tuple[str, ...] = ()

    def __init__(self, line: socket.socket, pid: int, on_end: Callable[[Ended], object]) -> None:
        self._line = line
        self._on_end: Callable[[Ended], object] | None = on_end
        self.pid = pid
        """As it is called where it was started."""
        self.over = Latch()
        """Set when the process has ended and `ended` says how."""
        self.ended: Ended | None = None
        _held.add(self)
        keeper.watch(line.fileno(), self._read)

    def kill(self) -> None:
        """Lets who listens kill it; does not wait."""
        with suppress(OSError):
            self._line.shutdown(socket.SHUT_WR)

    def forget(self) -> None:
        """A forked child has its parent's workers no longer: they end with their parent, whoever else lives."""
        self._line.close()

    def _read(self) -> bool:
        """In the keeper's thread: what comes over the line is its end."""
        try:
            kind, body, _ = wire.receive(self._line, 1 << 16)
            ended = Ended(int(json.loads(body)["status"])) if kind == wire.ENDED else _LOST
        except (wire.Closed, OSError, ValueError, KeyError, TypeError):
            ended = _LOST
        self.ended = ended
        # the keeper closes it
        self._line.detach()
        # the keeper's thread may look at this object for long after
        on_end, self._on_end = self._on_end, None
        try:
            # before others see that it is over, and close what is written to here
            if on_end is not None:
                on_end(ended)
        finally:
            self.over.set()
        return False


def attach(path: str, on_end: Callable[[Ended], object]) -> tuple[socket.socket, Attached]:
    """Returns the socket of a new worker, and its process. Raises WorkerError where nobody listens."""
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    line.settimeout(_GRACE_S)
    descriptors: list[int] = []
    try:
        line.connect(path)
        kind, body, descriptors = wire.receive(line, 1 << 16)
        said: dict[str, Any] = json.loads(body)
        if kind != wire.WORKER or len(descriptors) != 1:
            raise ValueError("a message that is none of a worker's")
    except (OSError, ValueError, wire.Closed) as error:
        line.close()
        for descriptor in descriptors:
            os.close(descriptor)
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise WorkerError(
            f"no worker listens at '{path}' ({reason}); start one: perceptum worker --socket {path}", "start"
        ) from error
    connection = socket.socket(fileno=descriptors[0])
    if said.get("version") != wire.VERSION:
        line.close()
        connection.close()
        raise NeuropodError(f"the worker at '{path}' is of another version of perceptum; start it with this one")
    return connection, Attached(line, int(said["pid"]), on_end)


def listen(path: str | os.PathLike[str]) -> NoReturn:
    """Becomes who listens at a socket: this program ends here, and another takes its place."""
    face = str(Path(__file__).parents[2])
    others = [folder for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
    # what it forks finds the same perceptum
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join([os.path.dirname(face), *others])}
    words = [keeper.python(), *keeper.flags(), str(BOOTSTRAP), "--listen", os.fspath(path)]
    os.execve(words[0], words, variables)


def _forget() -> None:
    for process in list(_held):
        process.forget()


os.register_at_fork(after_in_child=_forget)
