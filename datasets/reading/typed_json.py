"""JSON files read straight into checked structures."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from perceptum.inputs import BrokenRecord

from .files import read_bytes

__all__ = ["read_json", "read_table_sizes"]

Parsed = TypeVar("Parsed", bound=msgspec.Struct)


def read_json(path: Path, kind: type[Parsed], what: str) -> Parsed:
    """Returns the file as a `kind`; raises BrokenRecord that says where in it something is wrong."""
    encoded = read_bytes(path, what)
    try:
        return msgspec.json.decode(encoded, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BrokenRecord(f"{path}: not the expected JSON ({error})") from error


def read_table_sizes(path: Path) -> dict[str, int]:
    """Returns how many rows each table of an object of tables has, those that no structure knows too; 1 for others.

    For a file that `read_json` has read.
    """
    tables = msgspec.json.decode(read_bytes(path, "it was there a moment ago"), type=dict[str, msgspec.Raw])
    return {name: _rows(table) for name, table in tables.items()}


def _rows(table: msgspec.Raw) -> int:
    try:
        return len(msgspec.json.decode(table, type=list[msgspec.Raw] | dict[str, msgspec.Raw]))
    except msgspec.ValidationError:
        return 1
