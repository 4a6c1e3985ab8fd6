"""The two processes that wait for a sandboxed worker: one outside of the namespaces, and the first one inside."""

import contextlib
import os
import resource
import select
import signal
import struct
import sys
from typing import NoReturn

__all__ = ["is_over", "wait_outside", "watch_inside"]

_EVERY_S = 0.1
_PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_STATUS = struct.Struct("=i")


def is_over(pipe: int) -> bool:
    """Whether nobody reads from this pipe any more."""
    poll = select.poll()
    poll.register(pipe, 0)
    return bool(poll.poll(0))


def wait_outside(first: int, pipe: int) -> NoReturn:
    """Waits for the first process inside, and ends as the worker ended, of which `pipe` has the status."""
    _pass_signals_to(first)
    _, status = os.waitpid(first, 0)
    told = os.read(pipe, _STATUS.size) if select.select([pipe], [], [], 0)[0] else b""
    if len(told) == _STATUS.size:
        (status,) = _STATUS.unpack(told)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 1)


def watch_inside(worker: int, pipe: int, memory_bytes: int) -> NoReturn:
    """Waits for the worker, buries what it leaves behind, and kills it when all that runs inside has more memory of its
    own than it may; a limit of the system's counts each process alone, and not all that it has."""
    _pass_signals_to(worker)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    while True:
        ended, status = os.waitpid(-1, os.WNOHANG)
        if ended == worker:
            break
        if ended:
            continue
        if signal.sigtimedwait([signal.SIGCHLD], _EVERY_S) is None:
            used_bytes = _used_bytes()
            if used_bytes > memory_bytes:
                text = "sandbox: the model has {} MiB of memory and may have {}: killed\n"
                os.write(2, text.format(used_bytes >> 20, memory_bytes >> 20).encode())
                os.kill(worker, signal.SIGKILL)
                memory_bytes = sys.maxsize
    os.write(pipe, _STATUS.pack(status))
    # the system ends all that is left in these namespaces
    os._exit(0)


def _pass_signals_to(process: int) -> None:
    def pass_on(number: int, _: object) -> None:
        # it may be over
        with contextlib.suppress(OSError):
            os.kill(process, number)

    for number in _PASSED_ON:
        signal.signal(number, pass_on)


def _used_bytes() -> int:
    """Returns what the processes of these namespaces hold for themselves, with the tables of their memory."""
    total = 0
    for name in os.listdir("/proc"):
        if not name.isdigit() or name == "1":
            continue
        try:
            with open("/proc/{}/status".format(name)) as stream:
                lines = stream.read().splitlines()
        except OSError:
            continue
        for line in lines:
            if line.startswith(("RssAnon:", "VmPTE:", "VmSwap:")):
                total += int(line.split()[1]) << 10
    return total
