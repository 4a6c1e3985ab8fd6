"""The command line: one file per kind of command. docs/command_line.md has the table of exit statuses."""

from __future__ import annotations

# only what is loaded at once: Ctrl-C before `main` is not ours
import atexit
import gc
import os
import signal
import sys

__all__ = ["main"]

_INTERRUPTED = 130


class _Stopped(KeyboardInterrupt):
    """SIGTERM, which passes through the code of models and plug-ins as Ctrl-C does; SystemExit would end there."""


_status: list[int] = []
"""The exit status that a signal asked for."""


def main() -> None:
    """Runs the command line; an error that the user can fix, and Ctrl-C, is one line, without a traceback."""
    # an interpreter that ends looks through all objects five times for what nobody needs any more, here for all: 0.4 s
    # of 0.45 after the last line of `evaluate`, three times that beside other work, before Ctrl-C is over
    atexit.register(gc.freeze)
    signal.signal(signal.SIGTERM, _leave)
    # a script may have told what runs in its background to ignore Ctrl-C
    heeded = signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
    if heeded:
        signal.signal(signal.SIGINT, _leave)
    from .commands import run

    # as after Ctrl-C, so that what is half written is taken away
    signal.signal(signal.SIGTERM, _stop)
    if heeded:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    reported, sys.unraisablehook = sys.unraisablehook, _not_raised
    try:
        run()
    except (KeyboardInterrupt, SystemExit) as stop:
        # what typer ends with after Ctrl-C, or a second one that comes while it does
        if not _status and isinstance(stop, SystemExit) and stop.code != _INTERRUPTED:
            raise
        # the same Ctrl-C once more, from `_not_raised`, is not to interrupt the end; a second one ends at once
        signal.setitimer(signal.ITIMER_REAL, 0)
        if heeded:
            signal.signal(signal.SIGINT, _leave)
        if _status:
            sys.exit(_status[0])
        _tell()
        sys.exit(_INTERRUPTED)
    finally:
        sys.unraisablehook = reported


def _tell() -> None:
    os.write(2, b"perceptum: interrupted\n")


def _leave(number: int, _: object) -> None:
    """Ends while the libraries are loaded: nothing is half written, and some would swallow an exception."""
    if number == signal.SIGINT:
        _tell()
    os._exit(128 + number)


def _not_raised(lost: sys.UnraisableHookArgs) -> None:
    """Callbacks, as those of importlib and numba, cannot raise: Ctrl-C in one of them comes again a little later."""
    if not issubclass(lost.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(lost)
        return
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.005)


def _stop(number: int, _: object) -> None:
    _status.append(128 + number)
    raise _Stopped
