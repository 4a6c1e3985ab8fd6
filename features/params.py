"""What every group's parameters have in common."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Self

import msgspec

from perceptum.foreign import foreign

from .errors import SpecError
from .parameter import check_least, said_in_words

__all__ = ["Params", "merge"]


class Params(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameters of a group. A subclass names them, gives their defaults, and checks itself when made.

    What a field means, its unit and the least that it may be are said with it: `Annotated[int, About(...)]`.
    """

    def __post_init__(self) -> None:
        check_least(self)

    def dims(self) -> dict[str, int]:
        """Returns the sizes of a shape's parameters: `{"P": 10, "C": 4}`.

        By default an axis may have the name of a field that is a whole number: `{"sectors": 360}`.
        """
        values = {name: getattr(self, name) for name in self.__struct_fields__}
        return {name: size for name, size in values.items() if isinstance(size, int) and not isinstance(size, bool)}

    def decided_by(self, dim: str) -> tuple[str, ...]:
        """Returns the fields that decide one of `dims`, for the message that a spec has another size there.

        By default the field of its name; empty where that is not known.
        """
        return (dim,) if dim in self.__struct_fields__ else ()

    def fixed_by(self, dim: str) -> str:
        """Returns what to say so that a size that the frame decides is one number: "name image.cameras".

        For the message that frames of different size cannot be one batch. By default nothing: a spec may fix it.
        """
        return ""

    def column_names(self) -> tuple[str, ...]:
        """Returns what the columns or channels of a tensor whose unit is "mixed" hold, in order: words of COLUMN_UNITS.

        By default the parameters `columns` and `channels`, where there are any.
        """
        return (*getattr(self, "columns", ()), *getattr(self, "channels", ()))

    def cap(self, dim: str) -> int | None:
        """Returns the most that a frame's own size `dim` can be, where a parameter bounds it."""
        return None

    def parts(self) -> dict[str, Any]:
        """Returns the fields, by their names, on which all rows of one suffix must agree: `{"frame": "ego"}`.

        Two rows of one suffix with unequal values are refused, whatever their groups.
        """
        return {}

    def size_key(self, dim: str) -> Hashable:
        """Returns what alone decides a frame's own size `dim`: rows whose keys are equal may share a symbol.

        By default nothing else has the same size. A subclass whose parameters do not all matter returns a tuple that
        begins with the dim's name and holds those that do, so that other groups can return an equal one.
        """
        return (type(self), self, dim)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain data, ready for JSON."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain

    def meaning(self) -> dict[str, Any]:
        """Returns what decides the tensors' bytes, as plain data: what fingerprints cover. By default all, `to_dict`.

        A subclass says what its words stand for, where code could give them other values.
        """
        return self.to_dict()

    def replace(self, changes: Mapping[str, Any], where: str) -> Self:
        """Returns these parameters with `changes` (nested dicts merge); raises SpecError that begins with `where`."""
        return self.of(merge(self.to_dict(), changes), where)

    @classmethod
    def of(cls, plain: Mapping[str, Any], where: str) -> Self:
        """Returns the parameters that plain data says; raises SpecError that begins with `where`."""
        try:
            with foreign(f"{cls.__qualname__} fails", SpecError, msgspec.ValidationError):
                return msgspec.convert(plain, type=cls)
        except SpecError as error:
            raise SpecError(f"{where}: {error}") from error.__cause__
        except msgspec.ValidationError as error:
            # a subclass that checks itself with a ValueError or a TypeError: what it raised is the cause
            raise SpecError(f"{where}: {said_in_words(error, cls, plain)}") from error.__cause__


def merge(old: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Returns `old` with `changes`; where both have a dict, those merge."""
    merged = dict(old)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged
