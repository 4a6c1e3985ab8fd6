"""Splitting the points of a frame among the threads of a build."""

from __future__ import annotations

from itertools import pairwise

__all__ = ["is_much", "shares", "split"]

_FEWEST = 16_384
"""Points that are worth a thread of their own: below, waking it takes longer than it saves."""


def shares(n: int, parts: int) -> list[slice]:
    """Returns 0..n in so many parts, some of them empty where n is less."""
    bounds = [n * k // parts for k in range(parts + 1)]
    return [slice(low, high) for low, high in pairwise(bounds)]


def split(n: int, threads: int) -> list[slice]:
    """Returns 0..n in as many parts as there are threads, or fewer where that is too little work; at least one."""
    return shares(n, max(min(threads, n // _FEWEST), 1))


def is_much(n: int, threads: int) -> bool:
    """Whether so many points are worth more than one thread."""
    return len(split(n, threads)) > 1
