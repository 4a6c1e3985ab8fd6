"""A spec: what a model wants, as rows of name, dtype and shape in Neuropod's form, with parameters beside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

import msgspec
import numpy as np

from .errors import SpecError
from .feature import DTYPES

__all__ = ["Dim", "Row", "Spec", "as_params"]

Dim = int | str | None
"""A size: a number, a symbol that has one value across the spec, or None for any."""

_ALIASES = {"str": "string", "bytes": "string", "double": "float64", "float": "float64", "int": "int64"}


class Row(msgspec.Struct, frozen=True):
    """One tensor that a model takes or gives. Its meaning depends on this row alone."""

    name: str
    dtype: str
    shape: tuple[Dim, ...]
    params: dict[str, Any] | None = None
    """The feature's parameters that differ from the schema's; {"preset": NAME} takes a preset first."""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise SpecError(f"a spec row's name must be a string that is not empty, got {self.name!r}")
        if self.dtype not in DTYPES:
            raise SpecError(f"'{self.name}': dtype must be one of {', '.join(DTYPES)}, got {self.dtype!r}")
        for dim in self.shape:
            if not _is_dim(dim):
                raise SpecError(
                    f"'{self.name}': a shape holds positive integers, symbols and None, "
                    f"got {dim!r} in {list(self.shape)}"
                )

    @classmethod
    def of(cls, row: Row | Mapping[str, Any]) -> Row:
        """Checks one row in Neuropod's form, with "params" a dict or a preset's name."""
        if isinstance(row, Row):
            return row
        if not isinstance(row, Mapping):
            raise SpecError(f"a spec row must be a dict with name, dtype and shape, got {row!r}")
        missing = [key for key in ("name", "dtype", "shape") if key not in row]
        unknown = [key for key in row if key not in cls.__struct_fields__]
        if missing or unknown:
            what = f"lacks {', '.join(missing)}" if missing else f"has the unknown key {unknown[0]!r}"
            raise SpecError(f"spec row {row.get('name', dict(row))!r} {what}; it holds name, dtype, shape and params")
        shape = row["shape"]
        if isinstance(shape, (str, bytes, bytearray)) or not isinstance(shape, Sequence):
            raise SpecError(f"'{row['name']}': shape must be a list, got {shape!r}")
        return cls(row["name"], _dtype_name(row["dtype"]), tuple(shape), as_params(row["name"], row.get("params")))

    def to_dict(self) -> dict[str, Any]:
        """Returns the row in Neuropod's form."""
        row: dict[str, Any] = {"name": self.name, "dtype": self.dtype, "shape": list(self.shape)}
        return row if self.params is None else {**row, "params": self.params}


class Spec(msgspec.Struct, frozen=True):
    """Rows in the model's order; names are distinct."""

    rows: tuple[Row, ...]

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for row in self.rows:
            if row.name in seen:
                raise SpecError(
                    f"'{row.name}' stands twice in the spec; a second instance takes a suffix: {row.name}__b"
                )
            seen.add(row.name)

    @classmethod
    def of(cls, rows: Iterable[Row | Mapping[str, Any]]) -> Self:
        """Checks rows in Neuropod's form; raises SpecError that names the row."""
        return cls(tuple(Row.of(row) for row in rows))

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        try:
            plain = msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            raise SpecError(f"a spec must be JSON: {error}") from None
        if not isinstance(plain, list):
            raise SpecError(f"a spec must be a list of rows, got {type(plain).__name__}")
        return cls.of(plain)

    def to_json(self) -> str:
        return msgspec.json.encode([row.to_dict() for row in self.rows]).decode()

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


def _is_dim(dim: object) -> bool:
    if dim is None:
        return True
    if isinstance(dim, str):
        return bool(dim)
    return isinstance(dim, int) and not isinstance(dim, bool) and dim > 0


def _dtype_name(dtype: Any) -> str:
    if isinstance(dtype, str) and (dtype in DTYPES or dtype in _ALIASES):
        return _ALIASES.get(dtype, dtype)
    if not isinstance(dtype, (str, type, np.dtype)):
        return str(dtype)
    try:
        return str(np.dtype(dtype).name)
    # numpy parses strings as Python: "f4,," is a SyntaxError, "(-1,)f4" a ValueError
    except (TypeError, ValueError, SyntaxError):
        return str(dtype)


def as_params(name: str, params: Any) -> dict[str, Any] | None:
    """Returns parameters as a dict: a preset's name alone is {"preset": NAME}; raises SpecError that names `name`."""
    if params is None or isinstance(params, dict):
        return params
    if isinstance(params, str):
        return {"preset": params}
    raise SpecError(f"'{name}': params must be a dict or a preset's name, got {params!r}")
