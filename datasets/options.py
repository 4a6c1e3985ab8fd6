"""The options of a dataset: from the text of `synthetic:frames=20,seed=3`, and checked against what it takes."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from typing import Any

from perceptum.inputs import BadOption

__all__ = [
    "OF_OPEN_DATASET",
    "OF_OPEN_LOG",
    "check_options",
    "options_of_text",
    "split_options",
    "text_of",
    "texts_of_text",
]

_BEHIND_PATH = re.compile(r"(?P<path>.+?):(?P<options>\w+=.*)")
OF_OPEN_LOG = ("format", "camera_sync", "camera_tolerance_ns", "sweep_tolerance_ns", "on_error", "cache_bytes")
"""The keywords of `open_log` beside a dataset's own options."""
OF_OPEN_DATASET = ("split", "classes", *OF_OPEN_LOG, "most_open_logs")
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


def text_of(value: object) -> str:
    """Returns an option's value as a text that is read back as it: sizes with x, lists with +, switches as true."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        is_size = len(value) == 2 and all(isinstance(one, int) for one in value)
        return ("x" if is_size else "+").join(map(str, value))
    return str(value)


def check_options(
    dataset: str,
    open_source: Callable[..., Any],
    options: Mapping[str, Any],
    given: int,
    also: Sequence[str] = (),
    keywords: Sequence[str] = OF_OPEN_LOG,
) -> None:
    """Raises BadOption for an option that `open_source` does not take; its first `given` parameters are ours.

    also: options that whoever opens takes besides, such as split. keywords: what can only be said in Python.
    """
    parameters = list(inspect.signature(open_source).parameters.values())[given:]
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    takes = [*(p.name for p in parameters), *also]
    for name in options:
        if name not in takes:
            said = f"{dataset}: no option '{name}'; it takes {', '.join(takes) or 'none'}"
            near = get_close_matches(name, [*takes, *keywords], n=1)
            if not near:
                raise BadOption(said)
            is_typed = near[0] in takes
            typed = f"did you mean {{log}}:{near[0]}=...?" if is_typed else f"'{near[0]}' is for Python alone"
            raise BadOption(said, f"did you mean '{near[0]}'?", typed)
