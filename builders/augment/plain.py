"""Augment from plain data, such as a JSON file has, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from perceptum.features import SpecError
from perceptum.spelling import did_you_mean

from .augment import Augment

__all__ = ["augment_of", "to_plain"]


def augment_of(plain: object) -> Augment:
    """Returns Augment(**plain), where a list may stand for a tuple, and an object for what has fields of its own.

    Raises SpecError for a field that there is not, with the nearest that there is, and for what cannot be drawn from.
    """
    if not isinstance(plain, Mapping):
        raise SpecError(f'augment must be an object of its fields, such as {{"rotate": 0.78}}, got {plain!r}')
    made: Augment = _made(Augment, plain, "augment")
    return made


def to_plain(augment: Any) -> dict[str, Any]:
    """Returns the fields that are not at their defaults, of which `augment_of` makes the same again."""
    own = {field.name: getattr(augment, field.name) for field in fields(augment)}
    changed = {field.name: own[field.name] for field in fields(augment) if own[field.name] != field.default}
    return {name: _plain(value) for name, value in changed.items()}


def _plain(value: Any) -> Any:
    # a database of objects is said by where it lies
    if hasattr(value, "folder"):
        return str(value.folder)
    return to_plain(value) if is_dataclass(value) else msgspec.to_builtins(value)


def _made(kind: type[Any], plain: Mapping[str, Any], where: str) -> Any:
    known, types = [field.name for field in fields(kind)], get_type_hints(kind)
    for name in plain:
        if name not in known:
            hint = did_you_mean(str(name), known) or f"; there are {', '.join(known)}"
            raise SpecError(f"{where}: no field '{name}'{hint}")
    missing = [f.name for f in fields(kind) if f.default is MISSING and f.name not in plain]
    if missing:
        raise SpecError(f"{where} must say its {' and '.join(missing)}")
    return kind(**{name: _value(types[name], value, f"{where}: {name}") for name, value in plain.items()})


def _value(kind: Any, plain: Any, where: str) -> Any:
    """Returns what a field of the type `kind` is given: an object becomes that of the types which has fields."""
    if isinstance(plain, list):
        return tuple(_value(kind, one, where) for one in plain)
    if not isinstance(plain, Mapping):
        return plain
    kinds = list(_kinds_in(kind))
    own = next((one for one in kinds if isinstance(one, type) and is_dataclass(one)), None)
    if own is not None:
        return _made(own, plain, where)
    struct = next((one for one in kinds if isinstance(one, type) and issubclass(one, msgspec.Struct)), None)
    if struct is not None:
        try:
            return msgspec.convert(dict(plain), struct)
        except msgspec.ValidationError as error:
            raise SpecError(f"{where}: {error}") from None
    if Mapping not in kinds:
        raise SpecError(f"{where} has no fields of its own, got {dict(plain)!r}")
    return dict(plain)


def _kinds_in(kind: Any) -> Iterator[Any]:
    yield get_origin(kind) or kind
    for one in get_args(kind):
        yield from _kinds_in(one)
