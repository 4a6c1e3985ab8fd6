"""Spec rows at Uber's doors: what is refused is what `features.Row` refuses, in Uber's words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from perceptum.features import DTYPES, Row, RowError

from ..errors import NeuropodError

__all__ = ["read_row", "read_rows"]


def read_rows(rows: Any, key: str) -> tuple[Row, ...]:
    """Returns the rows of a spec; raises NeuropodError, in which `key` is the spec's name."""
    if isinstance(rows, (str, bytes, Mapping)) or not isinstance(rows, Iterable):
        raise NeuropodError(f"'{key}' must be a list of rows, got {type(rows).__name__}")
    return tuple(_read_row(row, f"'{key}', row {number}: ") for number, row in enumerate(rows))


def read_row(row: Any) -> Row:
    """Returns one row in Neuropod's form, a dict or a Row; raises NeuropodError."""
    return _read_row(row, "")


def _read_row(row: Any, where: str) -> Row:
    try:
        return Row.of(row)
    except RowError as error:
        raise NeuropodError(f"{where}{_in_ubers_words(error)}") from None


def _in_ubers_words(error: RowError) -> str:
    name, got = error.name, error.got
    match error.fault:
        case "missing key" | "unknown key":
            what = "is missing" if error.fault == "missing key" else "has the unknown key"
            return f"spec row {name!r} {what} {got!r}; a row holds {', '.join(Row.__struct_fields__)}"
        case "name":
            wanted = "a non-empty string" if isinstance(got, str) else "a string"
            return f"Field 'name' must be {wanted}! Got value {got} of type {type(got)}."
        case "dtype":
            return f"{got} is not an allowed data type! Tensor '{name}': {', '.join(DTYPES)}"
        case "shape":
            return f"Field 'shape' must be a tuple! Got value {got} of type {type(got)} in tensor '{name}'."
        case "dim":
            return (
                "All items in 'shape' must either be None, a string, or a positive integer! "
                f"Got {got if isinstance(got, int) else repr(got)} in tensor '{name}'"
            )
        case "not a row" | "params" | "frame":
            return str(error)
