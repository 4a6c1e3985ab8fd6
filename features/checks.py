"""Checks that parameters make of their values; each raises SpecError."""

from __future__ import annotations

from math import isfinite

from .errors import SpecError

_FLOAT32_MAX = 3.4028234663852886e38

__all__ = ["at_least", "check_area", "distinct", "finite"]


def at_least(low: float, **values: float | None) -> None:
    for name, value in values.items():
        # not >=, rather than <: NaN is refused too
        if value is not None and not value >= low:
            raise SpecError(f"{name} must be at least {low:g}, got {value:g}")


def finite(name: str, values: tuple[float, ...]) -> None:
    """In float32, in which tensors are written: 1e300 is as good as infinite."""
    if not all(isfinite(v) and abs(v) <= _FLOAT32_MAX for v in values):
        raise SpecError(f"{name} must be finite, got {list(values)}")


def distinct(name: str, values: tuple[str, ...]) -> None:
    if not values or len(set(values)) != len(values):
        raise SpecError(f"{name} must be one or more names, each once, got {list(values)}")


def check_area(name: str, area: tuple[float, float, float, float]) -> None:
    finite(name, area)
    if not (area[0] < area[2] and area[1] < area[3]):
        raise SpecError(f"{name} must be xmin ymin xmax ymax, each max above its min, got {list(area)}")
