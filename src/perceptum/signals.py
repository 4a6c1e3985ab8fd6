"""Exits that a signal asked for. It stands on the ground: every floor may import it, and it imports nothing of ours."""

from __future__ import annotations

import signal

__all__ = ["is_of_signal"]

_NUMBERS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGALRM") if hasattr(signal, name))


def is_of_signal(error: BaseException) -> bool:
    """Whether an error is the exit that a signal's handler of this program raised, whatever code ran at that moment.

    It looks like one that a model's or a plug-in's code raised, and must not be taken for it: the program is to end.
    """
    if not isinstance(error, SystemExit):
        return False
    handlers = {getattr(signal.getsignal(number), "__code__", None) for number in _NUMBERS} - {None}
    traced = error.__traceback__
    while traced is not None:
        if traced.tb_frame.f_code in handlers:
            return True
        traced = traced.tb_next
    return False
