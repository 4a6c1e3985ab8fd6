"""What may happen to a training sample: an option of the plan, never a parameter of a feature."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from perceptum.features import SpecError
from perceptum.spelling import names_fields

from .finite import check_turn, finite_number, from_and_to, is_finite_number
from .paste import Paste
from .photometric import ImageColor

__all__ = ["Augment"]

Span = tuple[float, float]
"""From and to; what is drawn is uniform between them."""

_MOST = {"scale": 1000.0, "image_resize": 100.0}
"""A factor above this, or below its inverse, is a slip: places would leave what float32 holds, pictures vanish."""
_FARTHEST_M = 1e6
"""As much of a shift."""


@names_fields
@dataclass(frozen=True, kw_only=True)
class Augment:
    """Random changes of a sample, made where points are moved and pictures resampled anyway.

    A builder with this changes samples that have a draw: `build(frame, draw=Draw(seed, epoch, index))`; without one
    nothing is random. Everything that speaks of places changes alike: points, velocities, boxes, map, agents, ground,
    matrices and pictures. Each of the fields draws from a stream of its own, so that asking for fewer features, or for
    fewer changes, leaves every other draw what it was.

    A place p of the frame of reference comes to scale * R * F * p + t: mirrored first, then turned about z, then
    scaled, then shifted. Raises SpecError for what cannot be drawn from.
    """

    rotate: float | Span | None = None
    """Radians about z, counterclockwise from above: from and to; a number r is (-r, r)."""
    flip_x: float = 0.0
    """How likely x becomes -x: front and back are exchanged."""
    flip_y: float = 0.0
    """How likely y becomes -y: left and right are exchanged."""
    scale: float | Span | None = None
    """The factor: from and to; a number s is (1 - s, 1 + s)."""
    translate: float | tuple[float, float, float] | None = None
    """The standard deviation along x, y, z in metres, normally distributed; a number is that along each."""
    drop_points: float | Span | None = None
    """The share of a lidar's points that are dropped, each by chance, from 0 to 1; or from and to, between which the
    share is drawn. A point that is dropped is so for every tensor; detections of radars stay."""
    shuffle_points: bool = False
    """Whether the points of lidars come in another order, which decides rows and what limits cut."""
    image_resize: float | Span | None = None
    """By how much pictures are resized more than the plan says, a factor of its own for each camera, as all of the
    next: from and to; a number s is (1 - s, 1 + s). Wants an `image.crop` or `image.pad`: a tensor has one size."""
    image_crop: tuple[float | Span, float | Span] | None = None
    """Where `image.crop` lies, in place of `image.crop_at`: which share of what is cut away lies above, and which to
    the left, from and to each; a number is that share itself. What lies beyond the picture is black."""
    image_flip: float = 0.0
    """How likely left and right of a picture are exchanged, back where the plan exchanges them."""
    image_rotate: float | Span | None = None
    """Degrees counterclockwise about the crop's middle, more than the plan says: from and to; a number r is (-r, r)."""
    image_color: ImageColor | None = None
    """What may happen to the colours of pictures, before they are scaled."""

    paste: Paste | None = None
    """Labelled objects of other frames that are pasted, with their points, before anything else happens."""

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        if self.paste is not None and not isinstance(self.paste, Paste):
            raise SpecError(f"augment: paste must be a Paste, got {self.paste!r}")
        turn = _span("rotate", self.rotate)
        if turn is not None:
            check_turn("augment: rotate", turn, self.rotate)
        set_(self, "rotate", turn)
        set_(self, "scale", _factor("scale", self.scale))
        for name in ("flip_x", "flip_y"):
            set_(self, name, _share(name, getattr(self, name)))
        if self.translate is not None:
            given = self.translate if isinstance(self.translate, (tuple, list)) else (self.translate,) * 3
            shift = tuple(_number("translate", one) for one in given)
            if len(shift) != 3 or min(shift) < 0:
                raise SpecError(f"augment: translate must be a standard deviation, or three, got {self.translate!r}")
            if max(shift) > _FARTHEST_M:
                raise SpecError(f"augment: translate must be at most {_FARTHEST_M:.0f} m, got {self.translate!r}")
            set_(self, "translate", shift if any(shift) else None)
        if self.drop_points is not None:
            low, high = _share_or_span("drop_points", self.drop_points)
            set_(self, "drop_points", (low, high) if high > 0 else None)
        if not isinstance(self.shuffle_points, bool):
            raise SpecError(f"augment: shuffle_points must be True or False, got {self.shuffle_points!r}")
        self._check_pictures()

    def _check_pictures(self) -> None:
        set_ = object.__setattr__
        set_(self, "image_resize", _factor("image_resize", self.image_resize))
        if self.image_crop is not None:
            set_(self, "image_crop", _shares("image_crop", self.image_crop))
        set_(self, "image_flip", _share("image_flip", self.image_flip))
        set_(self, "image_rotate", _span("image_rotate", self.image_rotate))
        if self.image_color is not None and not isinstance(self.image_color, ImageColor):
            raise SpecError(f"augment: image_color must be an ImageColor, got {self.image_color!r}")

    def __repr__(self) -> str:
        return f"Augment({self.said('=')})"

    def said(self, between: str = " ") -> str:
        """Returns what may happen, in a line: "rotate (-0.5, 0.5), flip_y 0.5"; empty where nothing can."""
        given = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        return ", ".join(f"{name}{between}{value!r}" for name, value in given.items())

    @property
    def moves(self) -> bool:
        """Whether places may move."""
        return bool(self.rotate or self.flip_x or self.flip_y or self.scale or self.translate)

    @property
    def picks_points(self) -> bool:
        """Whether points may be dropped, or come in another order."""
        return self.drop_points is not None or self.shuffle_points

    @property
    def moves_pixels(self) -> bool:
        """Whether the pixels of pictures may move."""
        return bool(self.image_resize or self.image_crop or self.image_flip or self.image_rotate)

    @property
    def changes_pictures(self) -> bool:
        """Whether the pixels of pictures may move, or their colours change."""
        return self.moves_pixels or self.image_color is not None


def _share_or_span(name: str, given: Any) -> Span:
    """Returns from and to of a share; a number is both."""
    span = tuple(given) if isinstance(given, (tuple, list)) else (given, given)
    if len(span) != 2:
        raise SpecError(f"augment: {name} must be a number, or from and to, got {given!r}")
    low, high = (_number(name, one) for one in span)
    if not 0 <= low <= high <= 1:
        raise SpecError(f"augment: {name} must be a share from 0 to 1, or from the lower to the higher, got {given!r}")
    return low, high


def _factor(name: str, given: Any) -> Span | None:
    """Returns `_span` about 1, of which both are factors."""
    span = _span(name, given, about=1.0)
    if span is None:
        return None
    low, high = span
    got = f"got {given!r}"
    if is_finite_number(given):
        got += f", and a number s is (1 - s, 1 + s), here ({low:g}, {high:g}); say from and to, such as (0.95, 1.05)"
    if low <= 0:
        raise SpecError(f"augment: {name} must be above 0, {got}")
    most = _MOST[name]
    if low < 1 / most or high > most:
        raise SpecError(f"augment: {name} must be from {1 / most:g} to {most:g}, {got}")
    return span


def _number(name: str, given: Any) -> float:
    return finite_number(f"augment: {name}", given)


def _share(name: str, given: Any) -> float:
    share = _number(name, given)
    if not 0 <= share <= 1:
        raise SpecError(f"augment: {name} is how likely it is, from 0 to 1, got {given!r}")
    return share


def _shares(name: str, given: Any) -> tuple[Span, Span]:
    """Returns from and to, of what lies above and of what lies to the left."""
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        raise SpecError(f"augment: {name} must be two shares, above and to the left, from and to each, got {given!r}")
    spans = []
    for one in given:
        ends = one if isinstance(one, (tuple, list)) else (one, one)
        if len(ends) != 2:
            raise SpecError(f"augment: {name} must be two shares, from and to each, got {given!r}")
        low, high = (_number(name, end) for end in ends)
        if not 0 <= low <= high <= 1:
            raise SpecError(f"augment: {name} must go from the lower to the higher, within 0 to 1, got {given!r}")
        spans.append((low, high))
    return spans[0], spans[1]


def _span(name: str, given: Any, about: float = 0.0) -> Span | None:
    """Returns from and to, as floats; None where nothing can be drawn but what changes nothing."""
    if given is None:
        return None
    span = from_and_to(f"augment: {name}", given, about)
    return None if span == (about, about) else span
