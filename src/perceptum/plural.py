"""A number and what it counts. It is on the ground floor: every floor may import it, and it imports nothing of ours."""

from __future__ import annotations

__all__ = ["counted"]


def counted(number: int, one: str, many: str | None = None) -> str:
    """Returns "1 broken record" or "2 broken records"; give `many` where the plural is not formed by rule."""
    return f"{number} {one if number == 1 else many or _many(one)}"


def _many(one: str) -> str:
    if one.endswith(("s", "x", "ch", "sh")):
        return f"{one}es"
    if one.endswith("y") and one[-2:-1] not in "aeiou":
        return f"{one[:-1]}ies"
    return f"{one}s"
