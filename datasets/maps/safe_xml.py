"""XML files as elements, where entities, which can grow without bound or name other files, are refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from perceptum.inputs import BrokenRecord

from ..reading.files import read_bytes

__all__ = ["number", "read_xml", "whole", "word", "yes"]

_DEEPEST = 64


class _Refused(ValueError):
    pass


def read_xml(path: Path, root: str, what: str) -> Element:
    """Returns the root element, which must be `root`; raises MissingRecord, or BrokenRecord with line and column."""
    encoded = read_bytes(path, what)
    parser, builder = expat.ParserCreate(), TreeBuilder()
    depth = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST:
            raise _Refused(f"elements are nested more than {_DEEPEST} deep")
        builder.start(name, attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(name)

    def entity(*_: Any) -> None:
        raise _Refused("it defines entities, which are not read")

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, builder.data
    parser.EntityDeclHandler = entity
    try:
        parser.Parse(encoded, True)
    except (expat.ExpatError, _Refused) as error:
        raise BrokenRecord(f"{path}: not the expected XML ({error})") from error
    found: Element = builder.close()
    if found.tag != root:
        raise BrokenRecord(f"{path}: its root element is <{found.tag[:40]}>, wanted <{root}>")
    return found


def number(path: Path, element: Element, name: str, default: float | None = None) -> float:
    """Returns an attribute as a finite number within 1e9; raises BrokenRecord where it is none, or has no default."""
    text = element.get(name)
    if text is None and default is not None:
        return default
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        value = math.nan
    if not abs(value) <= 1e9:
        raise BrokenRecord(f"{path}: <{element.tag}> has {name}={str(text)[:40]!r}, wanted a number within 1e9")
    return value


def whole(path: Path, element: Element, name: str) -> int:
    """Returns an attribute as a whole number; raises BrokenRecord."""
    text = element.get(name, "")
    if not text.removeprefix("-").removeprefix("+").isdecimal() or len(text) > 12:
        raise BrokenRecord(f"{path}: <{element.tag}> has {name}={text[:40]!r}, wanted a whole number")
    return int(text)


def word(path: Path, element: Element, name: str, words: tuple[str, ...]) -> str | None:
    """Returns an attribute that has one of these values; None where it is missing or empty. Raises BrokenRecord."""
    text = element.get(name, "")
    if text and text not in words:
        raise BrokenRecord(f"{path}: <{element.tag}> has {name}={text[:40]!r}, wanted {' or '.join(words)}")
    return text or None


def yes(path: Path, element: Element, name: str, default: bool) -> bool:
    """Returns an attribute that is true, false, 1 or 0; `default` where it is missing. Raises BrokenRecord."""
    text = word(path, element, name, ("true", "false", "1", "0"))
    return default if text is None else text in ("true", "1")
