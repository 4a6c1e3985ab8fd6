"""What may happen to the colours of pictures."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from perceptum.features import SpecError
from perceptum.spelling import names_fields

from ..sample import Draw
from .finite import finite_number, from_and_to

__all__ = ["ColorChange", "ImageColor"]

Span = tuple[float, float]
Formulas = Literal["torchvision", "opencv"]
Order = Literal["drawn", "fixed"]

NAMES = ("brightness", "contrast", "saturation", "hue")
_MOST_HUE = {"torchvision": 0.5, "opencv": 360.0}
"""Half a turn; a whole one in degrees."""


@dataclass(frozen=True)
class ColorChange:
    """Drawn for one camera of one sample: what is done, in this order."""

    formulas: Formulas
    steps: tuple[tuple[str, float], ...]
    """One of NAMES, and by how much."""
    channels: tuple[int, int, int] = (0, 1, 2)
    """Which of red, green and blue comes in their places, last of all."""


@names_fields
@dataclass(frozen=True, kw_only=True)
class ImageColor:
    """Random changes of the colours of pictures, for each camera by itself, after they are resized.

    Values stay whole numbers from 0 to 255; scaling follows. What lies beyond a crop, and the corners of turned
    pictures, stay black. Raises SpecError for what cannot be drawn from.

    torchvision: its ColorJitter, with the formulas that it has for tensors of bytes, each rounded down to bytes; all
    are done, in an order that is drawn. opencv: PhotoMetricDistortion of mmdetection and all that came of it, in
    float32 by OpenCV's HSV, rounded once at the end (mmdetection leaves fractions, and values below 0 and above 255);
    each is done half the time, the contrast before or after saturation and hue.
    """

    formulas: Formulas = "torchvision"
    brightness: float | Span | None = None
    """torchvision: a factor, from and to; a number b is (1 - b, 1 + b), not below 0. opencv: levels of 255 that are
    added, from and to; a number d is (-d, d): mmdetection's brightness_delta, 32."""
    contrast: float | Span | None = None
    """A factor: from and to; a number c is (1 - c, 1 + c), not below 0. torchvision: of the distance from the mean of
    the picture in gray; opencv: of the values."""
    saturation: float | Span | None = None
    """A factor: from and to; a number s is (1 - s, 1 + s), not below 0. torchvision: of the distance from gray; opencv:
    of S."""
    hue: float | Span | None = None
    """What is added to the hue, from and to; a number h is (-h, h). torchvision: in turns, at most 0.5; opencv: in
    degrees: mmdetection's hue_delta, 18."""
    swap: float = 0.0
    """How likely red, green and blue are put in an order that is drawn, last of all: 0.5 in mmdetection."""
    likely: float | None = None
    """How likely each of the first four is done; None: 1 of torchvision, 0.5 of opencv, as published."""
    order: Order = "drawn"
    """fixed: brightness, contrast, saturation, hue, always."""

    def __post_init__(self) -> None:
        for name, known in (("formulas", get_args(Formulas)), ("order", get_args(Order))):
            if getattr(self, name) not in known:
                raise SpecError(f"image_color: {name} must be {' or '.join(known)}, got {getattr(self, name)!r}")
        about = {"brightness": 1.0 if self.formulas == "torchvision" else 0.0, "contrast": 1.0, "saturation": 1.0}
        for name in NAMES:
            object.__setattr__(self, name, _span(name, getattr(self, name), about.get(name, 0.0)))
        most = _MOST_HUE[self.formulas]
        if self.hue is not None and not -most <= self.hue[0] <= self.hue[1] <= most:  # type: ignore[index]
            raise SpecError(f"image_color: hue of {self.formulas} must be from {-most:g} to {most:g}, got {self.hue}")
        for name in ("swap", "likely"):
            share = getattr(self, name)
            if share is not None and not 0 <= _number(name, share) <= 1:
                raise SpecError(f"image_color: {name} is how likely it is, from 0 to 1, got {share!r}")
        if not self.swap and not any(getattr(self, name) is not None for name in NAMES):
            raise SpecError("image_color: nothing to draw: give brightness, contrast, saturation, hue or swap")

    def __repr__(self) -> str:
        said = (f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if getattr(self, f.name) != f.default)
        return f"ImageColor({', '.join(said)})"

    def drawn(self, draw: Draw, camera: str) -> ColorChange:
        # in which each of them has its own places, used or not
        numbers = draw.numbers(f"image_color {camera}", 17)
        amounts, chances, order, channels = (numbers[k : k + 4] for k in (0, 4, 8, 12))
        swaps, later = channels.pop(), numbers[16]
        likely = (1.0 if self.formulas == "torchvision" else 0.5) if self.likely is None else self.likely
        steps = {}
        for name, amount, chance in zip(NAMES, amounts, chances, strict=True):
            span: Any = getattr(self, name)
            if span is not None and chance < likely:
                steps[name] = span[0] + (span[1] - span[0]) * amount
        names = list(steps)
        if self.order == "drawn" and self.formulas == "torchvision":
            names.sort(key=lambda name: order[NAMES.index(name)])
        elif self.order == "drawn" and later < 0.5:
            names.sort(key=lambda name: name == "contrast")
        first = sorted(range(3), key=channels.__getitem__) if swaps < self.swap else range(3)
        red, green, blue = first
        return ColorChange(self.formulas, tuple((name, steps[name]) for name in names), (red, green, blue))


def _number(name: str, given: Any) -> float:
    return finite_number(f"image_color: {name}", given)


def _span(name: str, given: Any, about: float) -> Span | None:
    """Returns from and to; None where nothing can be drawn but what changes nothing."""
    if given is None:
        return None
    low, high = from_and_to(f"image_color: {name}", given, about)
    if about == 1:
        # a number further than 1 stops at no light at all
        low = low if isinstance(given, (tuple, list)) else max(low, 0.0)
        if low < 0:
            raise SpecError(f"image_color: {name} is a factor, which must not be below 0, got {given!r}")
    return None if low == high == about else (low, high)
