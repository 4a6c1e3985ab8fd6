"""Starts a worker: `python bootstrap.py DESCRIPTOR`, or the path of a socket to connect to, or --listen and the path of
a socket at which parents are waited for.

Nothing but the standard library is imported before the limits hold that the order asks for.
"""

import importlib.util
import json
import os
import signal
import socket
import sys
from typing import Any, Dict, Sequence

__all__ = ["main"]

_NAME = "perceptum_worker"


def _package() -> None:
    """Imports this folder as a package, whatever else has the names of its files."""
    folder = os.path.dirname(os.path.abspath(__file__))
    # Python put the folder of the script here
    sys.path[:] = [path for path in sys.path if os.path.abspath(path) != folder]
    spec = importlib.util.spec_from_file_location(
        _NAME, os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[_NAME] = module
    spec.loader.exec_module(module)


def _connection(word: str) -> socket.socket:
    if word.isdigit():
        # its family is said: asking the descriptor would do, but not in old Pythons
        return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, int(word))
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(word)
    return connection


def _die_with_parent(parent: int) -> None:
    """The system kills this process when the one that started it ends."""
    import ctypes

    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if parent and os.getppid() != parent:
        os._exit(1)


def _confine(order: Dict[str, Any], connection: socket.socket, descriptors: Sequence[int]) -> None:
    """Limits this process, or goes on in another one inside of a sandbox; ends where that cannot be had."""
    from perceptum_worker import confine, wire

    try:
        confine.confine(order, (connection.fileno(), *descriptors))
    except confine.CannotConfine as error:
        said = {"kind": "NeuropodError", "ours": True, "text": str(error), "traceback": ""}
        wire.send(connection, wire.LOADED, {"error": said})
        os._exit(1)


def main() -> None:
    _package()
    from perceptum_worker import wire

    if sys.argv[1] == "--listen":
        from perceptum_worker import listen

        connection = listen.worker(sys.argv[2])
    else:
        connection = _connection(sys.argv[1])
    # the parent decides what Ctrl-C in its terminal means
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection.set_inheritable(False)
    sys.argv = [""]

    try:
        kind, body, descriptors = wire.receive(connection)
    except wire.Closed:
        return
    if kind == wire.CLOSE:
        # nothing was loaded, and nothing is to be
        return
    order = json.loads(body.decode()) if kind == wire.ORDER else {}
    if order.get("version") != wire.VERSION:
        raise SystemExit("perceptum: this worker is not of the same version as its parent")
    if order.get("parent"):
        _die_with_parent(order["parent"])
    if order.get("confine"):
        _confine(order["confine"], connection, descriptors)
    if order.get("sys_path"):
        sys.path[:] = order["sys_path"]
    from perceptum_worker import loop

    loop.serve(connection, order, descriptors)


if __name__ == "__main__":
    main()
