"""`server.py SOCKET MODULE...` imports modules once, which takes seconds, and then forks a worker for whoever asks.

What runs in it is the worker's own code; only the imports are those of before.
"""

import importlib
import json
import os
import select
import signal
import socket
import sys

import perceptum.neuropod.process.hosted  # noqa: F401
from perceptum.neuropod.process.worker import bootstrap


def main(path: str, *modules: str) -> None:
    for name in modules:
        importlib.import_module(name)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(path)
    listening.listen(64)
    print("ready", flush=True)
    kin = set()
    while True:
        # who looked after a worker that has ended
        kin -= {pid for pid in kin if os.waitpid(pid, os.WNOHANG)[0]}
        # the end of stdin is the end of the tests; frameworks need not be torn down
        if sys.stdin in select.select([sys.stdin, listening], [], [])[0]:
            os._exit(0)
        asked, _ = listening.accept()
        pid = os.fork()
        if pid == 0:
            listening.close()
            look_after(asked)
        kin.add(pid)
        asked.close()


def look_after(asked: socket.socket) -> None:
    """Forks the worker, and kills it when the process that asked for it ends."""
    size, descriptors, _, _ = socket.recv_fds(asked, 8, 3)
    folder, variables = json.loads(asked.makefile("rb").read(int.from_bytes(size, "little")))
    pid = os.fork()
    if pid == 0:
        asked.close()
        work(descriptors, folder, variables)
    for descriptor in descriptors:
        os.close(descriptor)
    worker = os.pidfd_open(pid)
    if worker not in select.select([worker, asked], [], [])[0]:
        os.kill(pid, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        asked.sendall(f"{status}\n".encode())
    finally:
        os._exit(0)


def work(descriptors: list[int], folder: str, variables: dict[str, str]) -> None:
    connection, stdout, stderr = descriptors
    status = 1
    try:
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        os.close(stdout)
        os.close(stderr)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(variables)
        # the one that started it is another than the one that asked for it
        bootstrap._die_with_parent = lambda parent: None
        sys.argv = [bootstrap.__file__, str(connection)]
        bootstrap.main()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


main(*sys.argv[1:])
