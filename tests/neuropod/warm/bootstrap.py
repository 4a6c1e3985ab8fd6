"""Stands in for the script that starts a worker: `bootstrap.py DESCRIPTOR` asks server.py, whose socket is beside it.

This process lives as long as that worker and ends as it ends, so whoever started it sees no difference.
"""

import json
import os
import signal
import socket
import sys


def main() -> None:
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.connect(os.path.join(os.path.dirname(__file__), "socket"))
    surroundings = json.dumps([os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(server, [len(surroundings).to_bytes(8, "little")], [int(sys.argv[1]), 1, 2])
    # it would keep the connection of the worker open
    os.close(int(sys.argv[1]))
    server.sendall(surroundings)
    status = int(server.makefile().readline() or -signal.SIGKILL)
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


main()
