"""JSON files read straight into checked structures."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from perceptum.inputs import BrokenRecord

from .files import read_bytes

__all__ = ["read_json"]

Parsed = TypeVar("Parsed", bound=msgspec.Struct)


def read_json(path: Path, kind: type[Parsed], what: str) -> Parsed:
    """Returns the file as a `kind`; raises BrokenRecord that says where in it something is wrong."""
    encoded = read_bytes(path, what)
    try:
        return msgspec.json.decode(encoded, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BrokenRecord(f"{path}: not the JSON we want ({error})") from error
