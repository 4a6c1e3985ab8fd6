"""Starts a worker, or who forks workers: `python -P start_worker.py DESCRIPTOR`, of a socket to the parent.

Only the standard library is imported before the parent has said where everything else lies.
"""

from __future__ import annotations

import json
import os
import pickle
import runpy
import select
import signal
import socket
import sys
import types
from typing import Any

__all__ = ["main"]


def main() -> None:
    # Ctrl-C in a terminal is the parent's to handle; this process ends with it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = socket.socket(fileno=int(sys.argv[1]))
    connection.set_inheritable(False)
    size = int.from_bytes(connection.recv(8, socket.MSG_WAITALL), "little")
    if not size:
        return
    start = json.loads(connection.recv(size, socket.MSG_WAITALL))
    sys.path[:], sys.argv = start["sys_path"], [""]

    from perceptum.neuropod.process.keeper import die_with
    from perceptum.neuropod.process.worker import wire

    die_with(start["parent"])
    try:
        _, _, descriptors = wire.receive(connection)
        _import_main(start["main"])
        with open(descriptors[0], "rb") as file:
            # all who get it share one place in the file
            work = pickle.loads(os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0))
        if start["forks"]:
            _fork_workers(connection, work, start["keep_bytes"])
        else:
            from perceptum.loading.worker import serve

            jobs, control = descriptors[1:]
            serve(connection, socket.socket(fileno=jobs), control, start["keep_bytes"], work)
    except wire.Closed:
        # there is nothing to be tidied up that the system does not
        os._exit(0)


def _import_main(main: list[str] | None) -> None:
    """Imports the program again, under another name, where what was sent has classes of it."""
    if main is None:
        return
    kind, where = main
    module = types.ModuleType("__mp_main__")
    run = runpy.run_module if kind == "module" else runpy.run_path
    module.__dict__.update(run(where, run_name="__mp_main__"))
    # as multiprocessing does
    sys.modules["__main__"] = sys.modules["__mp_main__"] = module


def _fork_workers(connection: socket.socket, work: Any, keep_bytes: int) -> None:
    """Forks a worker for each message, and reports how each ended, until the parent is gone."""
    from perceptum.builders.kernels.preparing import prepare
    from perceptum.loading.messages import ENDED, FORKED
    from perceptum.loading.worker import serve
    from perceptum.neuropod.process.worker import wire

    # once for all that are forked
    prepare()
    watched: dict[int, int] = {}
    parent = os.getpid()
    ready = select.poll()
    ready.register(connection, select.POLLIN)
    try:
        while True:
            for descriptor, _ in ready.poll():
                if descriptor in watched:
                    ready.unregister(descriptor)
                    os.close(descriptor)
                    pid, status = os.waitpid(watched.pop(descriptor), 0)
                    said = {"pid": pid, "status": os.waitstatus_to_exitcode(status)}
                    wire.send(connection, ENDED, said)
                    continue
                _, _, descriptors = wire.receive(connection)
                pid = os.fork()
                if not pid:
                    _run_forked(parent, connection, watched, lambda: _serve(serve, descriptors, keep_bytes, work))  # noqa: B023
                for own in descriptors:
                    os.close(own)
                pidfd = os.pidfd_open(pid)
                watched[pidfd] = pid
                ready.register(pidfd, select.POLLIN)
                wire.send(connection, FORKED, {"pid": pid})
    finally:
        for pid in watched.values():
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _serve(serve: Any, descriptors: list[int], keep_bytes: int, work: Any) -> None:
    connection, jobs, control = descriptors
    serve(socket.socket(fileno=connection), socket.socket(fileno=jobs), control, keep_bytes, work)


def _run_forked(parent: int, connection: socket.socket, watched: dict[int, int], run: Any) -> None:
    """In the forked process, which ends here."""
    import traceback

    from perceptum.neuropod.process.keeper import die_with

    status = 1
    try:
        die_with(parent)
        connection.close()
        for descriptor in watched:
            os.close(descriptor)
        run()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


if __name__ == "__main__":
    main()
