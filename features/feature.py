"""A feature: one named canonical tensor, and exactly what it means."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import msgspec

from .errors import SpecError
from .params import Params

__all__ = ["DTYPES", "Feature", "fingerprint"]

DTYPES = (
    "float32",
    "float64",
    "string",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
)
"""What a tensor's dtype may be: Neuropod's eleven, in the order of its type codes."""


class Feature(msgspec.Struct, frozen=True, kw_only=True):
    """One named canonical tensor. Two features of one `group` have the same parameters and come from one stage."""

    name: str
    group: str
    dtypes: tuple[str, ...]
    """Those it can be made in, the default first."""
    shape: tuple[str | int, ...]
    """Integers; names that the parameters fix; names that take the frame's own size."""
    units: str
    frame: str
    """The frame of reference."""
    params: Params
    fill: float = 0
    """What padding and empty cells hold."""
    cut: str = ""
    """Which part is kept where a spec fixes a size that the frame exceeds."""
    collate: Literal["stack", "concat", "concat_with_index"] = "stack"
    """How a batch is made: a new first axis, one after the other, or that with the batch index as first column."""
    definition: int = 1
    """Goes up whenever the same parameters give other bytes."""
    prose: str = ""

    def __post_init__(self) -> None:
        wrong = [d for d in self.dtypes if d not in DTYPES]
        if wrong or not self.dtypes:
            raise SpecError(f"feature '{self.name}': dtypes must be of {', '.join(DTYPES)}, got {self.dtypes}")
        if not self.name.isidentifier() or "__" in self.name:
            raise SpecError(f"a feature's name must be an identifier without a double underscore, got '{self.name}'")

    def sizes(self, params: Params) -> tuple[int | str, ...]:
        """Returns the shape under `params`: integers, and the names of the frame's own sizes."""
        fixed = params.dims()
        return tuple(fixed.get(d, d) if isinstance(d, str) else d for d in self.shape)

    def meaning(self, params: Params | None = None) -> dict[str, Any]:
        """Returns all that decides the tensor's bytes, as plain data: equal meanings are interchangeable."""
        return {
            "definition": self.definition,
            "shape": list(self.shape),
            "units": self.units,
            "frame": self.frame,
            "fill": self.fill,
            "params": (params or self.params).to_dict(),
        }

    def to_dict(self) -> dict[str, Any]:
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain

    def from_dict(self, plain: dict[str, Any]) -> Feature:
        """Returns the feature that `plain` describes; this one gives the type of its parameters."""
        params = msgspec.convert(plain.get("params", {}), type=type(self.params))
        rest = {key: value for key, value in plain.items() if key != "params"}
        fields = {f.name: f.type for f in msgspec.structs.fields(Feature) if f.name != "params"}
        values = {key: msgspec.convert(value, type=fields[key]) for key, value in rest.items()}
        return Feature(params=params, **values)


def fingerprint(meaning: Any) -> str:
    """Returns 16 hex digits that stand for plain data, whatever the order of its keys; 1 and 1.0 are the same."""
    return hashlib.sha256(msgspec.json.encode(_whole(meaning), order="sorted")).hexdigest()[:16]


def _whole(plain: Any) -> Any:
    """Returns plain data with whole floats as integers: defaults in code and what comes from JSON differ in that."""
    if isinstance(plain, dict):
        return {key: _whole(value) for key, value in plain.items()}
    if isinstance(plain, (list, tuple)):
        return [_whole(value) for value in plain]
    return int(plain) if isinstance(plain, float) and plain.is_integer() else plain
