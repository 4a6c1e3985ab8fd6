"""What a parameter may be, in words: for messages, `perceptum features NAME` and the docs."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from inspect import get_annotations
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec
from msgspec import inspect

from .errors import SpecError
from .vocabulary import Unit

__all__ = [
    "About",
    "Parameter",
    "Shared",
    "least_of",
    "choices_of",
    "parameters_of",
    "said_in_words",
    "set_name",
    "shared_by",
]


@dataclass(frozen=True)
class About:
    """What a field of a Params says of itself: `num_sweeps: Annotated[int, About("Newest first.", least=1)] = 1`."""

    prose: str
    """For people: no program compares it."""
    unit: Unit | None = None
    least: float | None = None
    """A smaller value is refused."""


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter, as it is shown."""

    name: str
    """With a dot before the fields of a field: grid.voxel."""
    allowed: str
    default: Any
    """Plain data; None for the fields of a field that is null, or a word instead."""
    unit: Unit | None
    prose: str
    shared: str | None = None
    """Which parameters it belongs to where other groups have it too, with the same default: "cloud"."""


class Shared(msgspec.Struct, frozen=True, kw_only=True):
    """Parameters that several groups have from one class: what is said of them once."""

    name: str
    """Of `CloudParams`: cloud."""
    prose: str
    parameters: tuple[Parameter, ...]


@cache
def abouts(kind: type) -> Mapping[str, About]:
    """Returns field -> what it says of itself, for the fields of a structure that say something."""
    hints = get_type_hints(kind, include_extras=True)
    said = {name: get_args(hint)[1:] for name, hint in hints.items() if get_origin(hint) is Annotated}
    return {name: extra for name, extras in said.items() for extra in extras if isinstance(extra, About)}


@cache
def least_of(kind: type) -> Mapping[str, float]:
    """Returns field -> the least that it may be, for the fields of a structure that say it."""
    return {name: about.least for name, about in abouts(kind).items() if about.least is not None}


def parameters_of(params: msgspec.Struct) -> tuple[Parameter, ...]:
    """Returns what can be set, in order; a field that has fields is followed by these."""
    kind = type(params)
    shared = {field.name: set_name(_declares(kind, field)) for field in _fields(kind) if _is_shared(params, field)}
    shown = _parameters(kind, msgspec.to_builtins(params), "")
    return tuple(msgspec.structs.replace(one, shared=shared.get(one.name.partition(".")[0])) for one in shown)


def shared_by(params: msgspec.Struct) -> tuple[Shared, ...]:
    """Returns the parameters that `params` shares with other groups, by the class that has them, the nearest first."""
    shown = parameters_of(params)
    classes = {set_name(kind): kind for kind in type(params).__mro__ if kind.__name__.endswith("Params")}
    return tuple(
        Shared(name=name, prose=_own_doc(kind), parameters=tuple(one for one in shown if one.shared == name))
        for name, kind in classes.items()
        if any(one.shared == name for one in shown)
    )


def _declares(kind: type, field: inspect.Field) -> type:
    """Returns the class that has the field in its own body, the last that says something of it."""
    return next(one for one in kind.__mro__ if field.name in get_annotations(one))


def _is_shared(params: msgspec.Struct, field: inspect.Field) -> bool:
    """A group that has another default than the class it has the parameter from shows it as its own."""
    kind = _declares(type(params), field)
    if kind is type(params):
        return False
    default = next(one.default for one in _fields(kind) if one.name == field.name)
    return bool(getattr(params, field.name) == default)


def set_name(kind: type) -> str:
    """Returns what the parameters of a class are called: cloud of CloudParams, radar cloud of RadarCloudParams."""
    words = re.findall(r"[A-Z][a-z0-9]*", kind.__name__.removesuffix("Params"))
    return " ".join(words).lower()


def _own_doc(kind: type) -> str:
    """Returns the first paragraph of a class's own docstring, on one line."""
    said: str = kind.__dict__.get("__doc__") or ""
    return " ".join(said.partition("\n\n")[0].split())


def _parameters(kind: type, plain: Mapping[str, Any], prefix: str) -> Iterator[Parameter]:
    for field in _fields(kind):
        about = abouts(kind).get(field.name, About(""))
        inner = _struct(field.type)
        # a grid leaves out what is as in most of them
        default = plain.get(field.name, None if field.default is msgspec.NODEFAULT else field.default)
        # one that may be an object may be null or a word instead
        fields = default if isinstance(default, dict) else None
        if inner is None or fields is None:
            allowed = _allowed(field.type, about.least)
            yield Parameter(
                name=prefix + field.name, allowed=allowed, default=default, unit=about.unit, prose=about.prose
            )
        if inner is not None:
            yield from _parameters(inner.cls, fields or {}, f"{prefix}{field.name}.")


# looking at a class's types takes 0.4 ms and more, and the catalogue asks some ten thousand times
@cache
def _fields(kind: type) -> tuple[inspect.Field, ...]:
    found = inspect.type_info(kind)
    return found.fields if isinstance(found, inspect.StructType) else ()


def _struct(kind: inspect.Type) -> inspect.StructType | None:
    kinds = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    return next((one for one in kinds if isinstance(one, inspect.StructType)), None)


def _allowed(kind: inspect.Type, least: float | None = None) -> str:
    """Returns what a value of this type may be: "'ego' or 'lidar'", "6 numbers", "a whole number of at least 1"."""
    match kind:
        case inspect.Metadata(type=inner):
            return _allowed(inner, least)
        case inspect.LiteralType(values=values):
            return _either([repr(value) for value in values])
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType() | inspect.FloatType():
            number = "a whole number" if isinstance(kind, inspect.IntType) else "a number"
            return number if least is None else f"{number} of at least {least:g}"
        case inspect.StrType():
            return "a text"
        case inspect.NoneType():
            return "null"
        case inspect.TupleType(item_types=items):
            return f"a list of {len(items)}, each {_allowed(items[0])}" if items else "an empty list"
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            return f"a list, each {_allowed(item)}"
        case inspect.StructType(fields=fields):
            return f"an object with {', '.join(field.name for field in fields)}"
        case inspect.UnionType(types=types):
            words = [_allowed(one, least) for one in types]
            # "a list, each a text, or null": the null is not one of the texts
            return ", or ".join(words) if any(" each " in word for word in words) else _either(words)
        case inspect.DictType():
            return "an object"
    return "a value of its own kind"


def choices_of(kind: type) -> dict[str, tuple[str, ...]]:
    """Returns field -> its words, for the fields of a structure that are one of several words."""
    types = {field.name: field.type for field in _fields(kind)}
    literals = {name: one.type if isinstance(one, inspect.Metadata) else one for name, one in types.items()}
    words = {name: one.values for name, one in literals.items() if isinstance(one, inspect.LiteralType)}
    return {name: tuple(word for word in own if isinstance(word, str)) for name, own in words.items()}


def _either(words: list[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


_AT = re.compile(r"^(?P<what>.*?)(?: - at `\$(?P<path>[^`]*)`)?$", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`", re.DOTALL)
_WRONG = re.compile(r"Expected |Invalid enum value ")


def said_in_words(error: msgspec.ValidationError, kind: type, plain: Any) -> str:
    """Returns what is wrong with plain data that is not a `kind`: which parameter, what it is, what was wanted."""
    match = _AT.match(str(error))
    assert match is not None, "any text matches"
    what, steps = match["what"], re.findall(r"\.(\w+)|\[(\d+|\.\.\.)\]", match["path"] or "")
    try:
        found, value, least = _follow(kind, plain, steps)
    except LookupError:
        return str(error)
    name = (match["path"] or "").removeprefix(".")
    if (unknown := _UNKNOWN.fullmatch(what)) and (inner := _struct(found)):
        return _no_parameter(name, unknown[1], inner)
    if missing := _MISSING.fullmatch(what):
        return f"{f'{name}.' if name else ''}{missing[1]} is missing"
    if _WRONG.match(what) and name:
        return f"{name} is {value!r}, wanted {_allowed(found, least)}"
    # what an object says of its own fields may begin with its name
    return f"{name}: {what}" if name and not what.startswith((f"{name}.", f"{name} ")) else what


def _no_parameter(within: str, name: str, struct: inspect.StructType) -> str:
    prefix, known = f"{within}." if within else "", [field.name for field in struct.fields]
    # a level too high: voxel, which is grid.voxel
    below = [(field.name, name) for field in struct.fields if name in _field_names(field.type)]
    outer, _, inner = name.partition(".")
    # as the lists name it, which no JSON takes
    below += [
        (field.name, inner) for field in struct.fields if field.name == outer and inner in _field_names(field.type)
    ]
    near: list[tuple[str, ...]] = [*below[:1]] or [(one,) for one in difflib.get_close_matches(name, known, 1)]
    path = [*filter(None, within.split(".")), *near[0]] if near else []
    hint = f"did you mean {_nested(path)}? " if near else ""
    listed = ", ".join(prefix + field for field in known) or "none"
    return f"no parameter '{prefix}{name[:40]}'; {hint}there are {listed}"


def _nested(path: list[str]) -> str:
    """Returns how a parameter is written: 'range', or {"lidar": {"num_sweeps": ...}}."""
    if len(path) == 1:
        return f"'{path[0]}'"
    return "".join(f'{{"{name}": ' for name in path) + "..." + "}" * len(path)


def _field_names(kind: inspect.Type) -> list[str]:
    struct = _struct(kind)
    return [field.name for field in struct.fields] if struct else []


def _follow(kind: type, plain: Any, steps: list[tuple[str, str]]) -> tuple[inspect.Type, Any, float | None]:
    """Returns the type and the value at a path, and the least that it may be; raises LookupError."""
    found: inspect.Type = inspect.type_info(kind)
    least = None
    for name, index in steps:
        kinds = found.types if isinstance(found, inspect.UnionType) else (found,)
        if name:
            struct = next(one for one in kinds if isinstance(one, inspect.StructType)) if _struct(found) else None
            if struct is None:
                raise LookupError(name)
            field = next((field for field in struct.fields if field.name == name), None)
            if field is None:
                raise LookupError(name)
            found, plain, least = field.type, plain[name], least_of(struct.cls).get(name)
        else:
            # a dict's values have no number: [...]
            row = int(index) if index.isdecimal() else -1
            found, plain, least = _item(kinds, row), plain[row], None
    return found, plain, least


def _item(kinds: tuple[inspect.Type, ...], index: int) -> inspect.Type:
    for kind in kinds:
        if isinstance(kind, inspect.TupleType):
            return kind.item_types[index]
        if isinstance(kind, inspect.VarTupleType | inspect.ListType):
            return kind.item_type
    raise LookupError(index)


_MOST = 2**31 - 1
"""Kernels count in int32 and int64."""


def check_least(params: msgspec.Struct) -> None:
    """Raises SpecError for a value that is less than its field says, or a whole number that no kernel can count to; NaN
    is refused too."""
    for name, least in least_of(type(params)).items():
        value = getattr(params, name)
        # not >=, rather than <: NaN is refused too
        if value is not None and not value >= least:
            raise SpecError(f"{name} must be at least {least:g}, got {value:g}")
        if isinstance(value, int) and value > _MOST:
            raise SpecError(f"{name} must be at most {_MOST}, got {value}")
