"""Which numbers the options of augmentation take: finite ones, numpy's too."""

from __future__ import annotations

from math import isfinite, radians
from numbers import Integral, Real
from typing import Any

from perceptum.features import SpecError

__all__ = ["check_turn", "finite_number", "from_and_to", "is_finite_number", "is_whole_number"]

_MOST_TURN_RAD = 6.2832
"""A whole turn, as it is written with four decimals."""


def is_finite_number(given: Any) -> bool:
    if isinstance(given, bool) or not isinstance(given, Real):
        return False
    try:
        return isfinite(given)
    # a whole number that no float holds
    except OverflowError:
        return False


def is_whole_number(given: Any) -> bool:
    return isinstance(given, Integral) and not isinstance(given, bool)


def finite_number(name: str, given: Any) -> float:
    """Returns `given` as Python's float; raises SpecError that begins with the name: "augment: scale"."""
    if not is_finite_number(given):
        raise SpecError(f"{name} must be a finite number, got {given!r}")
    return float(given)


def from_and_to(name: str, given: Any, about: float) -> tuple[float, float]:
    """Returns from and to, of which a number says how far they are from `about`, as floats.

    Raises SpecError that begins with the name.
    """
    if isinstance(given, (tuple, list)):
        if len(given) != 2:
            raise SpecError(f"{name} must be a number, or from and to, got {given!r}")
        low, high = (finite_number(name, one) for one in given)
    else:
        width = finite_number(name, given)
        low, high = about - width, about + width
    if low > high:
        raise SpecError(f"{name} must go from the lower to the higher, got {given!r}")
    return low, high


def check_turn(name: str, ends_rad: tuple[float, float], given: Any) -> None:
    """Raises SpecError for more than a whole turn either way, which degrees are that were taken for radians."""
    if max(map(abs, ends_rad)) <= _MOST_TURN_RAD:
        return
    low, high = (f"{radians(one):.4g}" for one in ends_rad)
    meant = f"({low}, {high})" if isinstance(given, (tuple, list)) else f"{radians(given):.4g}"
    raise SpecError(
        f"{name} is in radians, at most 2 pi either way, got {given!r}; if these are degrees, it is {meant}"
    )
