"""A feature: one named canonical tensor, and exactly what it means."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from operator import index
from typing import Any, get_args

import msgspec
import numpy as np

from perceptum.foreign import foreign
from perceptum.plural import a_or_an

from .collate import Collate, Concat, Stack
from .errors import SpecError
from .params import Params
from .vocabulary import DTYPES, Cut, FrameOfReference, Unit

__all__ = ["Axes", "Feature", "check_name", "fingerprint"]

Axes = tuple[str | int, ...]
"""Integers; names that the parameters fix; names that take the frame's own size."""


class Feature(msgspec.Struct, frozen=True, kw_only=True):
    """One named canonical tensor. The features of one `Group` have the same parameters and come from one stage."""

    name: str
    dtypes: tuple[str, ...]
    """Those it can be made in, the default first."""
    shape: Axes | Callable[[Any], Axes]
    """The axes, or a module's function that gives them for the group's parameters: [K, 1, H, W] or [K, H, W]."""
    units: Unit
    frame: FrameOfReference
    """The frame of reference."""
    fill: float = 0
    """What padding and empty cells hold."""
    cut: Cut | None = None
    """Which part is kept where a spec fixes a size that the frame exceeds."""
    collate: Collate = Stack()
    """How a batch is made."""
    counts: str | None = None
    """The feature whose rows this one counts."""
    rows_of: str | None = None
    """The feature whose rows this one's belong to, one by one, so that in a spec both must be of the same."""
    target: bool = False
    """Whether it is what a model is to learn: made for training only."""
    definition: int = 1
    """Goes up whenever the same parameters give other bytes."""
    prose: str = ""
    """For people: no program compares it."""

    def __post_init__(self) -> None:
        check_name("feature", self.name)
        wrong = [d for d in self.dtypes if d not in DTYPES]
        if wrong or not self.dtypes:
            raise SpecError(f"feature '{self.name}': dtypes must be of {', '.join(DTYPES)}, got {self.dtypes}")
        self._one_of("units", get_args(Unit), self.units)
        self._one_of("frame", get_args(FrameOfReference), self.frame)
        self._one_of("cut", (*get_args(Cut), None), self.cut)
        if not isinstance(self.collate, (Stack, Concat)):
            raise SpecError(f"feature '{self.name}': collate must be Stack() or Concat(...), got {self.collate!r}")
        if not callable(self.shape):
            self._check_axes(self.shape)
        elif "<" in getattr(self.shape, "__qualname__", "<"):
            # builders go to other processes with it
            raise SpecError(
                f"feature '{self.name}': the shape must be a tuple or a module's function, got {self.shape!r}"
            )
        self._check_fill()

    def __repr__(self) -> str:
        shape = "shape by the params" if callable(self.shape) else f"({', '.join(map(str, self.shape))})"
        unit = f"{self.units}, frame {self.frame}, fill {self.fill:g}"
        return f"<Feature {self.name}: {' or '.join(self.dtypes)} {shape}, {unit}>"

    def _check_fill(self) -> None:
        for name in self.dtypes:
            if name != "string" and not _fits(self.fill, name):
                raise SpecError(f"feature '{self.name}': the fill {self.fill!r} is not {a_or_an(name)}")

    def _one_of(self, field: str, words: tuple[object, ...], word: object) -> None:
        if word not in words:
            known = ", ".join(map(str, words))
            raise SpecError(f"feature '{self.name}': {field} must be one of {known}, got {word!r}")

    def _check_axes(self, axes: object) -> None:
        if not isinstance(axes, tuple) or not all(_is_axis(axis) for axis in axes):
            raise SpecError(
                f"feature '{self.name}': the shape must be a tuple of positive integers and names, got {axes!r}"
            )
        if isinstance(self.collate, Concat) and self.collate.axis >= len(axes):
            raise SpecError(
                f"feature '{self.name}': Concat(axis={self.collate.axis}) wants more axes than {list(axes)}"
            )

    def axes(self, params: Params) -> Axes:
        """Returns the shape in words, whatever the parameters decide of it."""
        if not callable(self.shape):
            return self.shape
        with self._shape_of(params):
            axes = self.shape(params)
        self._check_axes(axes)
        return axes

    def sizes(self, params: Params) -> Axes:
        """Returns the shape under `params`: integers, and the names of the frame's own sizes."""
        axes = self.axes(params)
        with self._shape_of(params):
            fixed = params.dims()
            # numpy's integers too, which are sizes and not the frame's own
            return tuple(index(fixed[d]) if d in fixed else d for d in axes)

    def _shape_of(self, params: Params) -> AbstractContextManager[None]:
        return foreign(f"feature '{self.name}': its shape for {type(params).__qualname__} fails", SpecError)

    def meaning(self, params: Params) -> dict[str, Any]:
        """Returns all that decides the tensor's bytes, as plain data: equal meanings are interchangeable."""
        return {
            "definition": self.definition,
            "shape": list(self.axes(params)),
            "units": self.units,
            "frame": self.frame,
            "fill": self.fill,
            "cut": self.cut,
            "params": params.meaning(),
        }

    def to_dict(self, params: Params) -> dict[str, Any]:
        """Returns plain data, ready for JSON."""
        plain = {**msgspec.structs.asdict(self), "shape": self.axes(params)}
        builtins: dict[str, Any] = msgspec.to_builtins(plain)
        return builtins

    def from_dict(self, plain: dict[str, Any], params: Params) -> Feature:
        """Returns the feature that `plain` describes; this one's function for the shape stays, where it says the same.

        Raises msgspec.ValidationError, KeyError, TypeError or SpecError.
        """
        types = {f.name: f.type for f in msgspec.structs.fields(Feature)} | {"shape": Axes}
        values = {key: msgspec.convert(value, type=types[key]) for key, value in plain.items()}
        if callable(self.shape) and values.get("shape") == self.axes(params):
            values["shape"] = self.shape
        return Feature(**values)


def check_name(what: str, name: object) -> None:
    """Raises SpecError for a name that no row could carry: a suffix follows two underscores."""
    if not isinstance(name, str) or not name.isidentifier() or "__" in name:
        raise SpecError(f"a {what}'s name must be an identifier without a double underscore, got '{name}'")


def _fits(fill: float, name: str) -> bool:
    dtype = np.dtype(name)
    if dtype.kind == "f":
        return True
    return fill == int(fill) and np.iinfo(dtype).min <= fill <= np.iinfo(dtype).max


def _is_axis(axis: object) -> bool:
    if isinstance(axis, str):
        return bool(axis)
    return isinstance(axis, int) and not isinstance(axis, bool) and axis > 0


def fingerprint(meaning: Any) -> str:
    """Returns 16 hex digits that stand for plain data, whatever the order of its keys; 1 and 1.0 are the same."""
    return hashlib.sha256(msgspec.json.encode(_whole(meaning), order="sorted")).hexdigest()[:16]


def _whole(plain: Any) -> Any:
    """Returns plain data with whole floats as integers: defaults in code and what comes from JSON differ in that."""
    if isinstance(plain, dict):
        return {key: _whole(value) for key, value in plain.items()}
    if isinstance(plain, (list, tuple)):
        return [_whole(value) for value in plain]
    return int(plain) if isinstance(plain, float) and plain.is_integer() else plain
