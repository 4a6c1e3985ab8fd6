"""Starting a worker through another program: a container, a sandbox of one's own, another set of limits."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence

from ..errors import NeuropodError

__all__ = ["PLACES", "check", "expand"]

PLACES = {
    "worker": "the whole command of the worker, as several words",
    "python": "the interpreter",
    "bootstrap": "the script that it runs, in a folder that it needs",
    "socket": "the socket that it connects to, the script's only argument",
    "folder": "the folder that the socket is in",
    "code": "the folder that the script is in",
    "package": "the model's package",
}
"""What may stand in a template, in braces."""

_PLACE = re.compile(r"\{(\w*)\}")


def expand(template: str | Sequence[str], argv: Sequence[str], socket: str, package: str) -> list[str]:
    """Returns the words of a command.

    template: one string, which is split as a shell does, or a sequence of words, in which the names of PLACES stand in
        braces. It must start the worker: {worker}, or {bootstrap} and {socket}.
    argv: the worker's own command, without the socket, which is its last word.

    Raises NeuropodError.
    """
    words = check(template)
    worker = [*argv, socket]
    values = {
        # inside of a longer word, as of `sh -c '... {worker}'`
        "worker": shlex.join(worker),
        "python": argv[0],
        "bootstrap": argv[-1],
        "socket": socket,
        "folder": os.path.dirname(socket),
        "code": os.path.dirname(argv[-1]),
        "package": package,
    }
    expanded: list[str] = []
    for word in words:
        expanded += worker if word == "{worker}" else [_PLACE.sub(lambda found: values[found[1]], word)]
    return expanded


def check(template: str | Sequence[str]) -> list[str]:
    """Returns a template's words; raises NeuropodError for one that starts no worker."""
    words = _words(template)
    named = {name for word in words for name in _PLACE.findall(word)}
    known = ", ".join(f"{{{name}}}" for name in PLACES)
    for name in sorted(named - PLACES.keys()):
        raise NeuropodError(f"command: there is no {{{name}}}; there are {known}")
    if "worker" not in named and not {"bootstrap", "socket"} <= named:
        wanted = "{worker}, or {bootstrap} and {socket}"
        raise NeuropodError(f"command: nothing in it starts the worker; add {wanted}, got: {shlex.join(words)}")
    return words


def _words(template: str | Sequence[str]) -> list[str]:
    if not isinstance(template, str):
        words = list(template)
        if not all(isinstance(word, str) for word in words):
            raise NeuropodError(f"command: it must be a string or a sequence of strings, got {template!r}")
    else:
        try:
            words = shlex.split(template)
        except ValueError as error:
            raise NeuropodError(f"command: {error}: {template}") from None
    if not words:
        raise NeuropodError("command: it is empty")
    return words
