"""How first calls are shown: separately from the work, in a table's words and in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["first_in_words", "in_ms"]


def in_ms(once_s: Mapping[str, float]) -> dict[str, float]:
    """Returns the milliseconds of what only first calls take, by what took them."""
    return {what: round(seconds * 1e3, 3) for what, seconds in once_s.items()}


def first_in_words(ms: float, once_ms: Mapping[str, Any]) -> str:
    """Returns "287.3 ms, of which 284.1 ms loading kernels"."""
    parts = " and ".join(f"{spent:.1f} ms {what}" for what, spent in once_ms.items())
    return f"{ms:.1f} ms" + (f", of which {parts}" if parts else "")
