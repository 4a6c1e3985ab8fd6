"""How one array differs from another, in words."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xxhash
from numpy.typing import NDArray

__all__ = ["Seen", "difference", "seen"]


class Seen(NamedTuple):
    """What an array was: enough to know it again without keeping it."""

    dtype: str
    shape: tuple[int, ...]
    digest: str


def seen(array: NDArray[Any]) -> Seen:
    """Returns what `array` is; of equal dtype, shape and bytes are equal."""
    return Seen(array.dtype.str, array.shape, xxhash.xxh3_128_hexdigest(_rows_of_bytes(array).data))


def difference(found: NDArray[Any], wanted: NDArray[Any]) -> str | None:
    """Returns how `found` differs, as "has the shape (3, 4), wanted (2, 4)"; None where it has the same bytes.

    NaN is like NaN; 0 is not like -0.
    """
    if found.dtype != wanted.dtype:
        return f"is {found.dtype}, wanted {wanted.dtype}"
    if found.shape != wanted.shape:
        return f"has the shape {found.shape}, wanted {wanted.shape}"
    differs = (_rows_of_bytes(found) != _rows_of_bytes(wanted)).any(axis=1).reshape(found.shape)
    if not differs.any():
        return None
    first = np.unravel_index(int(np.argmax(differs)), differs.shape)
    at = f" at [{', '.join(map(str, first))}]" if first else ""
    return (
        f"differs in {differs.sum()} of {differs.size} numbers, first{at}: {found[first]!s}, wanted {wanted[first]!s}"
    )


def _rows_of_bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    """(elements, bytes of each)."""
    if array.size == 0:
        return np.zeros((0, 1), np.uint8)
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).reshape(array.size, -1)
