"""What can go wrong while a frame is built, besides what is wrong with its records or its spec."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from perceptum.features.errors import BuildError, SpecError
from perceptum.foreign import said
from perceptum.inputs import LogError

Answer = TypeVar("Answer")

__all__ = ["BuildError", "ask"]

_OURS = (KeyboardInterrupt, LogError, MemoryError, SpecError)
"""What says by itself what is wrong, and leaves a stage as it is."""


def ask(stage: object, method: Callable[..., Answer], *args: object) -> Answer:
    """Calls a method of a stage, and returns what it does.

    A plug-in's may raise anything, SystemExit too: BuildError says which stage failed over what.
    """
    try:
        return method(*args)
    except _OURS:
        raise
    except BaseException as error:
        group = getattr(stage, "group", None)
        who = f"stage '{getattr(stage, 'title', '') or type(stage).__name__}'"
        who += f" of group '{group}'" if group else ""
        doing = getattr(method, "__name__", "a method")
        if args and isinstance(args[0], str):
            doing += f"('{args[0]}')"
        kind = f"{type(stage).__module__}.{type(stage).__qualname__}"
        raise BuildError(f"{who} ({kind}) failed in {doing}: {said(error)}") from error
