"""Long JSON lists of objects, read in pieces: a table of a gigabyte takes the memory of a few megabytes of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec
from msgspec.json import Decoder

from perceptum.inputs import BrokenRecord

from ..reading.files import open_file

__all__ = ["pieces"]

Parsed = TypeVar("Parsed", bound=msgspec.Struct)

PIECE_BYTES = 2 << 20
_LONGEST_PIECE = 64 << 20
_GAP_WINDOW = 64 << 10
# the end of one object of the list and the start of the next
_GAP = re.compile(rb"\}[ \t\r\n]{0,64},[ \t\r\n]{0,64}(?=\{)")
_SPACE = b" \t\r\n"


def pieces(path: Path, kind: type[Parsed], what: str) -> Iterator[list[Parsed]]:
    """Yields the objects of the file's list, some at a time, in order; `what` says what is lost without the file.

    Numbers written as NaN or Infinity, which JSON does not know, are read as such. Raises MissingRecord or
    BrokenRecord.
    """
    decoder = Decoder(list[kind])  # type: ignore[valid-type]
    try:
        with open_file(path, what) as file:
            yield from _decoded(path, _blocks(file), decoder)
    except OSError as error:
        raise BrokenRecord(f"{path}: cannot be read ({error.strerror})") from error


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(PIECE_BYTES):
        yield block


def _decoded(path: Path, blocks: Iterator[bytes], decoder: Decoder[list[Parsed]]) -> Iterator[list[Parsed]]:
    """Cuts between objects. A cut that fell inside one, where objects hold lists of objects, is taken back."""
    pending = next(blocks, b"").lstrip(_SPACE)
    if not pending.startswith(b"["):
        raise BrokenRecord(f"{path}: starts with {pending[:12]!r}, wanted [, a list of rows")
    pending, seen = pending[1:], 0
    for block in blocks:
        end, start = _last_gap(pending)
        rows = _decode_or_none(path, b"[%b]" % pending[:end], decoder, seen) if end else None
        if rows is not None:
            yield rows
            pending, seen = pending[start:], seen + len(rows)
        elif len(pending) > _LONGEST_PIECE:
            raise BrokenRecord(f"{path}: {len(pending)} bytes are not complete rows, wanted a list of short objects")
        pending += block
    yield _decode(path, b"[" + pending, decoder, seen)


def _last_gap(pending: bytes) -> tuple[int, int]:
    """Returns the end of the last object that another follows and the start of that one; 0, 0 where there is none."""
    gaps = list(_GAP.finditer(pending, max(len(pending) - _GAP_WINDOW, 0)))
    return (gaps[-1].start() + 1, gaps[-1].end()) if gaps else (0, 0)


def _decode_or_none(path: Path, piece: bytes, decoder: Decoder[list[Parsed]], seen: int) -> list[Parsed] | None:
    """None where the piece is not complete JSON; rows of another form are an error at once. `seen`: rows before it."""
    try:
        return decoder.decode(piece)
    except msgspec.ValidationError as error:
        raise BrokenRecord(f"{path}: not the expected rows ({_in_file(error, seen)})") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _decode_with_nan(path, piece, decoder, seen)


def _decode(path: Path, piece: bytes, decoder: Decoder[list[Parsed]], seen: int) -> list[Parsed]:
    rows = _decode_or_none(path, piece, decoder, seen)
    if rows is not None:
        return rows
    try:
        return decoder.decode(piece)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BrokenRecord(f"{path}: not the expected JSON after row {seen} ({error})") from error


def _decode_with_nan(path: Path, piece: bytes, decoder: Decoder[list[Parsed]], seen: int) -> list[Parsed] | None:
    """Python's own parser knows NaN and Infinity; it is slow, and asked only where they may be the reason."""
    if b"NaN" not in piece and b"Infinity" not in piece:
        return None
    try:
        return msgspec.convert(json.loads(piece), decoder.type)
    except msgspec.ValidationError as error:
        raise BrokenRecord(f"{path}: not the expected rows ({_in_file(error, seen)})") from error
    except (ValueError, RecursionError):
        return None


def _in_file(error: msgspec.ValidationError, seen: int) -> str:
    """Returns the message with the row's number in the file, not in the piece."""
    return re.sub(r"\$\[(\d+)\]", lambda match: f"$[{int(match[1]) + seen}]", str(error), count=1)
