"""What every feature's parameters have in common."""

from __future__ import annotations

from typing import Any, Self

import msgspec

from .errors import SpecError

__all__ = ["Params"]


class Params(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameters of a feature. A subclass names them, gives their defaults, and checks itself when made."""

    def dims(self) -> dict[str, int]:
        """Returns the sizes of a shape's parameters: `{"P": 10, "C": 4}`."""
        return {}

    def cap(self, dim: str) -> int | None:
        """Returns the most that a frame's own size `dim` can be, where a parameter bounds it."""
        return None

    def to_dict(self) -> dict[str, Any]:
        """Returns plain data, ready for JSON."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain

    def replace(self, changes: dict[str, Any], where: str) -> Self:
        """Returns these parameters with `changes` (nested dicts merge); raises SpecError that begins with `where`."""
        try:
            return msgspec.convert(_merge(self.to_dict(), changes), type=type(self))
        except (msgspec.ValidationError, SpecError) as error:
            raise SpecError(f"{where}: {error}{self._known(str(error))}") from None

    def _known(self, error: str) -> str:
        unknown = "unknown field" in error
        return f"; there are {', '.join(self.__struct_fields__)}" if unknown else ""


def _merge(old: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(old)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged
