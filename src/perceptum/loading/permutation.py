"""The shuffled order of n things, one place at a time: nothing is kept, however many there are."""

from __future__ import annotations

import hashlib
import struct
from functools import lru_cache

__all__ = ["permuted"]

_ROUNDS = 8
_WORD = 2**64 - 1


def permuted(place: int, size: int, *key: int) -> int:
    """Returns which of `size` things comes at a place, 0 <= place < size: each once, and the same for the same key.

    A Feistel network (Luby and Rackoff 1988) on the next power of four, walked until it falls inside of `size` (Black
    and Rogaway 2002): at most four steps on average, 20 us. Its values are part of what a saved state means.
    """
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    words = _round_keys(key)
    while True:
        left, right = place >> half, place & mask
        for word in words:
            left, right = right, left ^ _mixed(right ^ word) & mask
        place = left << half | right
        if place < size:
            return place


def _mixed(value: int) -> int:
    """The last step of SplitMix64 (Steele et al. 2014)."""
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & _WORD
    value = (value ^ value >> 27) * 0x94D049BB133111EB & _WORD
    return value ^ value >> 31


@lru_cache(maxsize=256)
def _round_keys(key: tuple[int, ...]) -> tuple[int, ...]:
    digest = hashlib.sha512(struct.pack(f"<{len(key)}Q", *key)).digest()
    return struct.unpack(f"<{_ROUNDS}Q", digest)
