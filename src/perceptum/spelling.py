"""A name that is not known, such as a keyword that a call does not have, is met with the nearest one that is.

It is on the ground floor: every floor may import it, and it imports nothing of ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

__all__ = ["did_you_mean", "names_fields", "names_keywords"]

Given = ParamSpec("Given")
Returned = TypeVar("Returned")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns "; did you mean 'NAME'?" with the known name that is nearest, to put behind what was not found.

    "" where none is near.
    """
    from difflib import get_close_matches

    near = get_close_matches(name, list(known), n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def names_keywords(call: Callable[Given, Returned]) -> Callable[Given, Returned]:
    """Decorates a function, or the __init__ of a class, that takes no **keywords: an unknown one is a TypeError that
    suggests one, or lists them all."""
    code = call.__code__
    count = code.co_argcount + code.co_kwonlyargcount
    takes = frozenset(code.co_varnames[code.co_posonlyargcount : count]) - {"self"}

    @wraps(call)
    def checked(*given: Given.args, **keywords: Given.kwargs) -> Returned:
        if not takes.issuperset(keywords):
            raise TypeError(_unknown(call, next(name for name in keywords if name not in takes)))
        return call(*given, **keywords)

    return checked


def _unknown(call: Callable[..., Any], name: str) -> str:
    from inspect import signature

    called = call.__qualname__.removesuffix(".__init__").rpartition(".")[2]
    takes = [own for own in signature(call).parameters if own != "self"]
    hint = did_you_mean(name, takes) or f"; it takes {', '.join(takes)}"
    return f"{called}() has no argument '{name}'{hint}"


def names_fields(kind: type[Returned]) -> type[Returned]:
    """Decorates a dataclass: the same for what it is made with."""
    setattr(kind, "__init__", names_keywords(getattr(kind, "__init__")))  # noqa: B009, B010
    return kind
