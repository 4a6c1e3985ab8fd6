"""Tokens to rows: by a dict where the table is small; as 16 bytes, a million among a million, where it is not."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord

__all__ = ["find", "numbered", "packed", "rows_of"]

Packed = NDArray[np.uint64]

_HEX = re.compile("[0-9a-fA-F]{32}")


def numbered(tokens: Sequence[str]) -> dict[str, int]:
    """Returns token -> its row."""
    return {token: row for row, token in enumerate(tokens)}


def rows_of(
    path: Path, tokens: Sequence[str], table: Sequence[str] | Mapping[str, int], other: str
) -> NDArray[np.int32]:
    """Returns (n,) the row of each token in the table `other`; raises BrokenRecord for one that is not there."""
    rows = table if isinstance(table, Mapping) else numbered(table)
    try:
        return np.array([rows[token] for token in tokens], dtype=np.int32)
    except KeyError as error:
        text = str(error.args[0])[:80]
        raise BrokenRecord(f"{path}: a row names '{text}', which {other}.json does not have") from None


def packed(tokens: Sequence[str]) -> Packed:
    """Returns (n, 2): the 16 bytes of 32 hex digits; of a token of another form its 128-bit hash."""
    # all at once where all are of the usual form: 20 times as fast as one by one
    if set(map(len, tokens)) <= {32}:
        try:
            encoded = bytes.fromhex("".join(tokens))
        except ValueError:
            encoded = b""
        if len(encoded) == 16 * len(tokens):
            return np.frombuffer(encoded, np.uint64).reshape(-1, 2)
    return np.frombuffer(b"".join(map(_packed_one, tokens)), np.uint64).reshape(-1, 2)


def _packed_one(token: str) -> bytes:
    return bytes.fromhex(token) if _HEX.fullmatch(token) else xxhash.xxh3_128_digest(token.encode("utf-8", "replace"))


def find(table: Packed, wanted: Packed) -> NDArray[np.int64]:
    """Returns (k,) the row of the table (n, 2) that holds each wanted token (k, 2); -1 where there is none.

    Of two equal rows the first is found.
    """
    order = np.argsort(table[:, 0], kind="stable")
    if len(table) and len(wanted):
        at = np.searchsorted(table[order, 0], wanted[:, 0])
        row = order[np.minimum(at, len(table) - 1)]
        if (table[row] == wanted).all():
            return row
    return _find_any(table, wanted)


def _find_any(table: Packed, wanted: Packed) -> NDArray[np.int64]:
    """The same for tokens that are not there or share their first half: sorts both together, and takes more memory."""
    both = np.concatenate([table, wanted])
    order = np.lexsort((both[:, 1], both[:, 0]))
    ordered = both[order]
    first = np.ones(len(order), dtype=np.bool_)
    first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    # lexsort is stable: the first of each group of equals is of the table if any of them is
    row = np.empty(len(order), dtype=np.int64)
    row[order] = order[first][np.cumsum(first) - 1]
    row = row[len(table) :]
    return np.where(row < len(table), row, -1)
