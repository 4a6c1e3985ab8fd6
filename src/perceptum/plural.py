"""A number and what it counts, and "a" or "an" before a word that comes from elsewhere.

It is on the ground floor: every floor may import it, and it imports nothing of ours.
"""

from __future__ import annotations

__all__ = ["a_or_an", "counted"]

# spelled with a vowel, spoken without: uint8, a Unicode text, one
_SPOKEN_WITHOUT = ("uint", "uni", "use", "one", "eu")


def counted(number: int, one: str, many: str | None = None) -> str:
    """Returns "1 broken record" or "2 broken records"; give `many` where the plural is not formed by rule."""
    return f"{number} {one if number == 1 else many or _many(one)}"


def a_or_an(word: str) -> str:
    """Returns "an int" or "a float", for messages that name a type, a dtype or a platform."""
    spoken = word.lower()
    vowel = spoken.startswith(("a", "e", "i", "o", "u")) and not spoken.startswith(_SPOKEN_WITHOUT)
    # read letter by letter or nearly so: en-dee-array
    return f"{'an' if vowel or spoken.startswith('ndarray') else 'a'} {word}"


def _many(one: str) -> str:
    if one.endswith(("s", "x", "ch", "sh")):
        return f"{one}es"
    if one.endswith("y") and one[-2:-1] not in "aeiou":
        return f"{one[:-1]}ies"
    return f"{one}s"
