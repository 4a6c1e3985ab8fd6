"""The door to code of others, a package's model or a plug-in: it may raise anything; our error leaves here.

It stands on the ground: every floor may import it, and it imports nothing of ours.
"""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["foreign", "let_interrupts_pass", "said"]

# how much of an error is shown: frameworks write pages
MOST_CHARACTERS = 400

# where an error came from, not what it was: frames and lines of tracebacks, and what points into them
_WHERE = re.compile(
    r'Traceback |During handling of|The above exception was|in user code:|File "|frame #\d+|\^+$|~*(\^~*)?<--- HERE|'
    r"\.{3}$|C\+\+ CapturedTraceback|The following operation failed in the TorchScript interpreter|"
    r"Graph execution error"
)
# what begins with this is for who debugs the framework
_PAGES = re.compile(
    r"Exception raised from |Stack trace|Developer debug context|from user code|Set TORCH|"
    r"You can suppress this exception|To execute this program|The stack trace below|For simplicity, JAX has removed|"
    r"Detected at node |"
    r"The error occurred while tracing|Debug info:|Call arguments received by|Arguments received by "
)
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_ERROR = re.compile(r"(?:[A-Za-z_][\w]*\.)*[A-Z]\w*(?:Error|Exception|Interrupt|Exit|Warning)\b(?:: |$)")

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGALRM") if hasattr(signal, name))


def said(error: BaseException) -> str:
    """Returns an error's kind and what it says, on one line of at most a few hundred characters.

    Of a text with a traceback in it that is what stands behind the last of its errors' names. An error that cannot say
    what it is gives its kind alone. An interrupt is not one of others: it is raised again, as
    `let_interrupts_pass` does.
    """
    let_interrupts_pass(error)
    kind = type(error).__name__
    try:
        text = str(error)
    # an error of others may raise one where it should say what it is
    except BaseException as another:
        let_interrupts_pass(another)
        return f"{kind}: its message cannot be shown"
    text = _one_line(text).removeprefix(f"{kind}: ")
    return f"{kind}: {text}" if text else kind


def _one_line(text: str) -> str:
    lines = [line.strip() for line in _COLOUR.sub("", text).strip().splitlines()]
    traced = any(_WHERE.match(line) for line in lines)
    named = [number for number, line in enumerate(lines) if _ERROR.match(line)]
    if traced and named:
        lines = lines[named[-1] :]
    kept: list[str] = []
    for line in lines:
        if _PAGES.match(line) and kept:
            break
        if line and not _WHERE.match(line) and not _PAGES.match(line):
            kept.append(line)
    return _shortened(" ".join(" ".join(kept or lines).split()))


def _shortened(text: str) -> str:
    """Leaves out the middle: what was wrong may be at the end."""
    half = MOST_CHARACTERS // 2
    return text if len(text) <= MOST_CHARACTERS else f"{text[:half]} ... {text[-half:]}"


@contextmanager
def foreign(what: str, kind: type[Exception], *own: type[BaseException]) -> Iterator[None]:
    """Whatever is raised inside but an interrupt leaves as `kind`, with it as the cause: "WHAT: what it said".

    Errors of `kind`, and of the kinds in `own`, leave as they are. An interrupt leaves as itself, whatever the code
    inside made of it: see `let_interrupts_pass`.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise
    # SystemExit too: a plug-in or a model may not end the process of who uses it
    except BaseException as error:
        let_interrupts_pass(error)
        if isinstance(error, (kind, *own)):
            raise
        raise kind(f"{what}: {said(error)}") from error


def let_interrupts_pass(error: BaseException) -> None:
    """Raises the interrupt that an error is, or that it was raised over: Ctrl-C, or the exit of a signal's handler.

    Ctrl-C comes in whatever code runs at that moment, and that may make another error of it. Python itself does:
    pressed while a class is made, it is `RuntimeError: Error calling __set_name__ on ...`.
    """
    todo, seen = [error], set[int]()
    while todo:
        one = todo.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, KeyboardInterrupt) or _is_of_signal(one):
            raise one
        if isinstance(one, BaseExceptionGroup):
            todo += one.exceptions
        # what a traceback shows: the cause, or else what was being handled
        if one.__cause__ is not None:
            todo.append(one.__cause__)
        elif one.__context__ is not None and not (one.__suppress_context__ or _in_hand(one.__context__)):
            todo.append(one.__context__)


def _in_hand(error: BaseException) -> bool:
    """Whether a caller of ours is handling an error at this moment: what fails meanwhile was not raised over it.

    So a script that evaluates once more after Ctrl-C, in its `except KeyboardInterrupt:`, sees what went wrong there.
    """
    if error.__traceback__ is None:
        return False
    # the frame that caught it
    caught, frame = error.__traceback__.tb_frame, sys._getframe()
    while frame is not caught and frame.f_back is not None:
        frame = frame.f_back
    return frame is caught


def _is_of_signal(error: BaseException) -> bool:
    """Whether an error is the exit that a signal's handler of this program raised, whatever code ran at that moment.

    It looks like one that a model's or a plug-in's code raised, and must not be taken for it: the program is to end.
    """
    if not isinstance(error, SystemExit):
        return False
    handlers = {getattr(signal.getsignal(number), "__code__", None) for number in _SIGNALS} - {None}
    traced = error.__traceback__
    while traced is not None:
        if traced.tb_frame.f_code in handlers:
            return True
        traced = traced.tb_next
    return False
