"""The options of a dataset: from the text of `synthetic:frames=20,seed=3`, and checked against what it takes."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import partial
from typing import Any

from perceptum.inputs import BadOption

__all__ = ["check_options", "options_of_text", "split_options", "texts_of_text"]

_BEHIND_PATH = re.compile(r"(?P<path>.+?):(?P<options>\w+=.*)")
_SIZE = re.compile(r"(\d{1,6})x(\d{1,6})")


def options_of_text(dataset: str, text: str, wanted: bool) -> dict[str, Any]:
    """Returns the options of "frames=20,noise_m=0.02,image_size=160x90": ints, floats and WxH pairs.

    `wanted`: whether the name was followed by a colon at all.
    """
    if not wanted:
        return {}
    return _each_option(dataset, text, "frames=20", partial(_value, dataset))


def _each_option(dataset: str, text: str, such_as: str, value_of: Callable[[str, str], Any]) -> dict[str, Any]:
    """Returns the options of "name=value,name=value", each as `value_of(name, value)` reads it."""
    options: dict[str, Any] = {}
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not (name and equals and value):
            raise BadOption(f"{dataset}: option '{part.strip()}' is not of the form name=value, e.g. {such_as}")
        if name in options:
            raise BadOption(f"{dataset}: option {name} is given twice, {options[name]} and {value}")
        options[name] = value_of(name, value)
    return options


def split_options(path: str) -> tuple[str, str | None]:
    """Returns a path and the text of the options behind it: "drive/:scene=a" is "drive/" and "scene=a"."""
    found = _BEHIND_PATH.fullmatch(path)
    if found is None or os.path.exists(path):
        return path, None
    return found["path"], found["options"]


def texts_of_text(dataset: str, text: str, takes: Callable[..., Any]) -> dict[str, Any]:
    """Returns the options of "scene=scene-0061,frames=sweeps" as the parameters of `takes` annotate them.

    Texts stay texts, lists are joined by +, true and false are switches, the rest are numbers and sizes. Raises
    BadOption.
    """
    parameters = inspect.signature(takes).parameters

    def typed(name: str, value: str) -> Any:
        kind = str(parameters[name].annotation) if name in parameters else ""
        return _typed(dataset, name, value, kind)

    return _each_option(dataset, text, "frames=sweeps", typed)


def _typed(dataset: str, name: str, value: str, kind: str) -> Any:
    if "Sequence[str]" in kind or "tuple[str" in kind:
        return tuple(value.split("+"))
    if "tuple[float" in kind or "tuple[int" in kind:
        return tuple(_value(dataset, name, number) for number in value.split("+"))
    if "bool" in kind:
        if value.lower() not in ("true", "false"):
            raise BadOption(f"{dataset}: option {name} is '{value}', wanted true or false")
        return value.lower() == "true"
    if "int" in kind or "float" in kind:
        number = _value(dataset, name, value)
        if "float" not in kind and not isinstance(number, int):
            raise BadOption(f"{dataset}: option {name} is '{value}', wanted a whole number")
        return number
    return value


def _value(dataset: str, name: str, text: str) -> int | float | tuple[int, int]:
    size = _SIZE.fullmatch(text)
    if size:
        return int(size[1]), int(size[2])
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    raise BadOption(f"{dataset}: option {name} is '{text}', wanted a number or a size such as 1600x900")


def check_options(dataset: str, open_source: Callable[..., Any], options: Mapping[str, Any], given: int) -> None:
    """Raises BadOption for an option that `open_source` does not take; its first `given` parameters are ours."""
    parameters = list(inspect.signature(open_source).parameters.values())[given:]
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    takes = [p.name for p in parameters]
    for name in options:
        if name not in takes:
            near = get_close_matches(name, takes, n=1)
            said = f"{dataset}: no option '{name}'; it takes {', '.join(takes) or 'none'}"
            if near:
                raise BadOption(said, f"did you mean '{near[0]}'?", f"did you mean {{log}}:{near[0]}=...?")
            raise BadOption(said)
