"""A worker's errors, raised again in its parent: of the same names, and with the worker's traceback as the cause."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ..errors import NeuropodError, NotTrusted

__all__ = ["RemoteError", "raised_again"]


class RemoteError(Exception):
    """Where an error was raised in the worker."""

    def __str__(self) -> str:
        return f"in the worker:\n{self.args[0]}"


_CLASSES = {kind.__name__: kind for kind in (NeuropodError, NotTrusted)}


def raised_again(said: Mapping[str, Any]) -> BaseException:
    """Returns a worker's error as it would have been raised here, with its traceback as the cause."""
    kind, text = str(said.get("kind")), said.get("text")
    if not kind.isidentifier():
        raise ValueError("the name of an error")
    error: BaseException = _CLASSES.get(kind, NeuropodError)(str(text)) if said.get("ours") else _theirs(kind, text)
    error.__cause__ = RemoteError(str(said.get("traceback", "")))
    return error


def _theirs(kind: str, text: Any) -> Exception:
    """Returns an error of that name, which is a ValueError where the worker's was one, as in this process."""
    named = getattr(builtins, kind, None)
    if isinstance(named, type) and issubclass(named, Exception):
        # Python cannot join the memory of some, as of groups of exceptions, and others want more than a text
        with suppress(TypeError):
            error: Exception = type(kind, (_Theirs, named), {})(text)
            return error
    plain: Exception = type(kind, (_Theirs,), {})(text)
    return plain


class _Theirs(Exception):
    """An error that the model's own code raised, or its framework; it has their name."""

    def __str__(self) -> str:
        if not isinstance(self.args[0], str):
            raise ValueError("its message could not be sent")
        return self.args[0]
