"""A spec: what a model wants, as rows of name, dtype and shape in Neuropod's form, with parameters beside them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self, get_args

import msgspec
import numpy as np

from .errors import RowError, SpecError
from .vocabulary import DTYPES, ReferenceFrame

__all__ = ["Dim", "Row", "Spec", "as_params"]

Dim = int | str | None
"""A size: a number, a symbol that has one value across the spec, or None for any."""

_ALIASES = {"str": "string", "bytes": "string"}
_MOST = 2**63 - 1
"""The largest size that numpy, JSON's readers and Neuropod's wire format hold."""


class Row(msgspec.Struct, frozen=True):
    """One tensor that a model takes or gives. Its meaning depends on this row alone.

    The dtype may be said as numpy says it, numpy's integers are sizes, and params may be a preset's name; what is kept
    is plain. Raises RowError.
    """

    name: str
    dtype: str
    shape: tuple[Dim, ...]
    params: dict[str, Any] | None = None
    """The feature's parameters that differ from the schema's; {"preset": NAME} takes a preset first."""
    frame: ReferenceFrame | None = None
    """For an output: the axes in which its places and directions are given. None: those that the inputs agree on."""

    def __post_init__(self) -> None:
        name = self.name
        if not _is_text(name):
            raise RowError(f"a spec row's name must be a non-empty string, got {name!r}", "name", name, name)
        dtype = _dtype_name(self.dtype)
        if dtype not in DTYPES:
            raise RowError(f"'{name}': dtype must be one of {', '.join(DTYPES)}, got {dtype!r}", "dtype", name, dtype)
        if not isinstance(self.shape, (list, tuple)):
            raise RowError(f"'{name}': shape must be a list, got {self.shape!r}", "shape", name, self.shape)
        for dim in self.shape:
            if not _is_dim(dim):
                limit = f" (up to {_MOST})" if isinstance(dim, int) and dim > _MOST else ""
                raise RowError(
                    f"'{name}': a shape holds positive integers{limit}, symbols and None, "
                    f"got {dim!r} in {list(self.shape)}",
                    "dim",
                    name,
                    dim,
                )
        if self.frame not in (*get_args(ReferenceFrame), None):
            words = " or ".join(map(repr, get_args(ReferenceFrame)))
            raise RowError(f"'{name}': frame must be {words}, got {self.frame!r}", "frame", name, self.frame)
        kept = (str(name), dtype, tuple(map(_plain_dim, self.shape)), as_params(name, self.params), self.frame)
        for field, value in zip(self.__struct_fields__, kept, strict=True):
            msgspec.structs.force_setattr(self, field, value)

    @classmethod
    def of(cls, row: Row | Mapping[str, Any]) -> Row:
        """Checks one row in Neuropod's form, with "params" a dict or a preset's name, and "frame"; raises RowError."""
        if isinstance(row, Row):
            return row
        if not isinstance(row, Mapping):
            raise RowError(f"a spec row must be a dict with name, dtype and shape, got {row!r}", "not a row", None, row)
        missing = [key for key in ("name", "dtype", "shape") if key not in row]
        unknown = [key for key in row if key not in cls.__struct_fields__]
        if missing or unknown:
            what = f"is missing {', '.join(missing)}" if missing else f"has the unknown key {unknown[0]!r}"
            name = row.get("name", dict(row))
            message = f"spec row {name!r} {what}; it holds name, dtype, shape, params and frame"
            raise RowError(message, "missing key" if missing else "unknown key", name, (missing or unknown)[0])
        return cls(row["name"], row["dtype"], row["shape"], row.get("params"), row.get("frame"))

    def to_dict(self) -> dict[str, Any]:
        """Returns the row in Neuropod's form."""
        row: dict[str, Any] = {"name": self.name, "dtype": self.dtype, "shape": list(self.shape)}
        if self.params is not None:
            row["params"] = dict(self.params)
        return row if self.frame is None else {**row, "frame": self.frame}


class Spec(msgspec.Struct, frozen=True):
    """Rows in the model's order; names are distinct."""

    rows: tuple[Row, ...]

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for row in self.rows:
            if row.name in seen:
                raise SpecError(
                    f"'{row.name}' is listed twice in the spec; a second instance takes a suffix: {row.name}__b"
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
        # a string may hold half a character (UnicodeEncodeError is a ValueError), or brackets without end
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise SpecError(f"a spec must be JSON: {error}") from None
        if not isinstance(plain, list):
            raise SpecError(f"a spec must be a list of rows, got {type(plain).__name__}")
        return cls.of(plain)

    def to_json(self) -> str:
        return msgspec.json.encode([row.to_dict() for row in self.rows]).decode()

    def __repr__(self) -> str:
        rows = [f"{row.name} {row.dtype} ({', '.join(map(str, row.shape))})" for row in self.rows]
        return f"<Spec: {', '.join(rows) or 'no rows'}>"

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


def _is_text(value: object) -> bool:
    """Whether it is a string with something in it that UTF-8 can hold; JSON allows half a surrogate pair."""
    return isinstance(value, str) and bool(value) and not re.search("[\ud800-\udfff]", value)


def _is_dim(dim: object) -> bool:
    if dim is None or isinstance(dim, str):
        return dim is None or _is_text(dim)
    return isinstance(dim, (int, np.integer)) and not isinstance(dim, bool) and bool(0 < dim <= _MOST)


def _plain_dim(dim: Any) -> Dim:
    return int(dim) if isinstance(dim, np.integer) else str(dim) if isinstance(dim, str) else dim


def _dtype_name(dtype: Any) -> str:
    """Returns the name that a spec holds: "double" and float are float64, "str", np.str_ and "U7" are string."""
    if isinstance(dtype, str):
        name = _ALIASES.get(dtype, dtype)
        # numpy parses strings as Python: "f4,," is a SyntaxError, "(-1,)f4" a ValueError; only a name is shown to it
        if name in DTYPES or not re.fullmatch(r"[<>=|]?[A-Za-z]\w*", dtype, re.ASCII):
            return str(name)
    elif not isinstance(dtype, (type, np.dtype)):
        return str(dtype)
    try:
        found = np.dtype(dtype)
    # TypeError for what is not a dtype; a class may answer numpy's question for its `dtype` with anything
    except Exception:
        return str(dtype)
    return "string" if found.kind in "SUT" else found.name


def as_params(name: object, params: Any) -> dict[str, Any] | None:
    """Returns parameters as a dict: a preset's name alone is {"preset": NAME}; raises RowError that names `name`."""
    if params is None or isinstance(params, Mapping):
        return None if params is None else dict(params)
    if isinstance(params, str):
        return {"preset": str(params)}
    raise RowError(f"'{name}': params must be a dict or a preset's name, got {params!r}", "params", name, params)
