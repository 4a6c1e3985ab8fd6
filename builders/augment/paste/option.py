"""Which objects of a database may be pasted into a training sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from perceptum.features import SpecError
from perceptum.features.classes import CLASS_LISTS, Classes, LabelClass, check_classes, class_of, classes_of
from perceptum.inputs.objects import ObjectDatabase
from perceptum.spelling import did_you_mean

from ..finite import check_turn, is_finite_number, is_whole_number

__all__ = ["Paste"]

_GROUNDS = ("plane", "recorded")


@dataclass(frozen=True, kw_only=True)
class Paste:
    """Labelled objects with their points, pasted where they were in the ego frame: `Augment(paste=Paste(...))`.

    After SECOND's sampling of ground truth, and OpenPCDet's and mmdetection3d's. An object that would overlap a box of
    the frame's labels, or one pasted before, seen from above, is left out. A frame without labels stays as it is.
    Raises SpecError for what cannot be, LogErrors for what is not a database.
    """

    database: ObjectDatabase | str | Path
    """The objects, or the folder that holds them."""
    counts: Mapping[str, int] | tuple[tuple[str, int], ...]
    """Class -> how many: {"car": 15}; they are pasted in this order."""
    classes: Classes | None = None
    """What the names in `counts` mean: a list of classes by its name, such as "road_users", or in full. None: the
    categories of the database."""
    up_to: bool = True
    """True: as many are pasted as the frame's labels have fewer than the count; False: the count, whatever is there."""
    min_points: int = 5
    """Objects with fewer points are never pasted."""
    tries: int = 1
    """How many objects are looked at for one that is pasted: 1: those that overlap leave their places empty, as
    published; more: others are tried in their stead."""
    rotate: float | tuple[float, float] | None = None
    """Radians about z of the ego frame, by which each object is turned about the vehicle, so that it comes to stand
    elsewhere at the same distance: from and to; a number r is (-r, r)."""
    remove_points: bool = True
    """Whether the points of the frame that are inside a pasted box go, those of all sweeps."""
    extra_size: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Metres by which boxes are longer, wider and higher for this."""
    ground: Literal["plane", "recorded"] = "plane"
    """plane: an object stands as high above the level ground of this log as it did above that of its own; recorded: at
    its own z."""
    names: Mapping[str, str] | tuple[tuple[str, str], ...] = ()
    """Category of the database -> what the labels call what is pasted, where this log calls it otherwise:
    {"Car": "vehicle.car"}."""

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        if not isinstance(self.database, ObjectDatabase):
            if not isinstance(self.database, (str, Path)):
                raise SpecError(f"augment: paste: database must be a folder of objects, got {self.database!r}")
            set_(self, "database", ObjectDatabase.open(self.database))
        set_(self, "counts", _counts(self.counts))
        if self.classes is not None:
            set_(self, "classes", _classes(self.classes))
            check_classes("augment: paste: classes", self.classes)
        for name, least in (("min_points", 0), ("tries", 1)):
            given = getattr(self, name)
            if not is_whole_number(given) or given < least:
                raise SpecError(f"augment: paste: {name} must be a whole number, at least {least}, got {given!r}")
            set_(self, name, int(given))
        for name in ("up_to", "remove_points"):
            if not isinstance(getattr(self, name), bool):
                raise SpecError(f"augment: paste: {name} must be True or False, got {getattr(self, name)!r}")
        if self.ground not in _GROUNDS:
            raise SpecError(f"augment: paste: ground must be one of {', '.join(_GROUNDS)}, got {self.ground!r}")
        set_(self, "rotate", _span(self.rotate))
        set_(self, "extra_size", _size(self.extra_size))
        set_(self, "names", _names(self.names))
        for category in self.names_by_category:
            if category not in self.opened.classes:
                raise SpecError(f"augment: paste: names: {self._no_category(category)}")
        self.pools()

    def __repr__(self) -> str:
        of = ", ".join(f"{count} {name}" for name, count in self.counts_by_name.items())
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("database", "counts")}
        said = [f"{f.name}={own[f.name]!r}" for f in fields(self) if f.name in own and own[f.name] != f.default]
        return f"Paste({', '.join([of, *said])} of {self.opened.folder})"

    @property
    def opened(self) -> ObjectDatabase:
        """The database."""
        assert isinstance(self.database, ObjectDatabase)
        return self.database

    @property
    def counts_by_name(self) -> dict[str, int]:
        return dict(self.counts)

    @property
    def names_by_category(self) -> dict[str, str]:
        return dict(self.names)

    @property
    def turns_rad(self) -> tuple[float, float]:
        """From and to of `rotate`; nothing is drawn otherwise where it is (0, 0)."""
        return self.rotate if isinstance(self.rotate, tuple) else (0.0, 0.0)

    def every_class(self) -> tuple[LabelClass, ...]:
        """Returns the classes in full: a category belongs to the first that it fits, whether that is counted or not."""
        if self.classes is not None:
            return classes_of(self.classes)
        return tuple(LabelClass(name=name, of=(name,)) for name in self.counts_by_name)

    def pools(self) -> dict[str, NDArray[np.int64]]:
        """Returns class -> the numbers of its objects in the database that have enough points; raises SpecError where
        the database has none of a class."""
        database, every, pools = self.opened, self.every_class(), {}
        number_of = {one.name: k for k, one in enumerate(every)}
        categories, of_object = np.unique(database.category, return_inverse=True)
        numbers = np.array([class_of(one, every) for one in categories.tolist()], np.int64)[of_object.reshape(-1)]
        for name in self.counts_by_name:
            if name not in number_of:
                raise SpecError(f"augment: paste: {_unknown(name, list(number_of), 'class', 'classes are')}")
            of_class = numbers == number_of[name]
            pools[name] = np.flatnonzero(of_class & (database.num_points >= self.min_points))
            if not of_class.any():
                if self.classes is None:
                    raise SpecError(f"augment: paste: {self._no_category(name)}")
                raise SpecError(
                    f"augment: paste: {database.folder} has no object of class '{name}'; its categories are "
                    f"{', '.join(database.classes) or 'none'}"
                )
            if not len(pools[name]):
                raise SpecError(
                    f"augment: paste: {database.folder} has no object of '{name}' with {self.min_points} points or more"
                )
        return pools

    def _no_category(self, name: str) -> str:
        return _unknown(name, list(self.opened.classes), "category", f"{self.opened.folder} has")


def _unknown(name: str, known: list[str], what: str, has: str) -> str:
    return f"no {what} '{name}'{did_you_mean(name, known) or ';'} {has} {', '.join(known) or 'none'}"


def _counts(given: Any) -> tuple[tuple[str, int], ...]:
    try:
        counts = dict(given)
    except (TypeError, ValueError):
        counts = {}
    for name, count in counts.items():
        if not isinstance(name, str) or not is_whole_number(count) or count < 0:
            raise SpecError(f"augment: paste: counts must be a class and how many of it, got {name!r}: {count!r}")
    if not counts:
        raise SpecError(f'augment: paste: counts must be classes and how many of each, {{"car": 15}}, got {given!r}')
    return tuple((name, int(count)) for name, count in counts.items())


def _names(given: Any) -> tuple[tuple[str, str], ...]:
    try:
        names = dict(given)
    except (TypeError, ValueError):
        names = {"": None}
    for category, name in names.items():
        if not isinstance(category, str) or not isinstance(name, str) or not name:
            raise SpecError(f"augment: paste: names must be categories and what they are called, got {given!r}")
    return tuple(names.items())


def _classes(given: Any) -> Classes:
    """Returns the name of a list, or classes, as msgspec makes them of what was written in JSON."""
    if isinstance(given, str):
        if given not in CLASS_LISTS:
            raise SpecError(f"augment: paste: classes: {_unknown(given, list(CLASS_LISTS), 'list', 'there are')}")
        return given  # type: ignore[return-value]
    if not isinstance(given, (list, tuple)):
        raise SpecError(f"augment: paste: classes must be the name of a list, or a list of classes, got {given!r}")
    try:
        return msgspec.convert(given, tuple[str | LabelClass, ...])
    except msgspec.ValidationError as error:
        raise SpecError(f"augment: paste: classes: {error}") from None


def _span(given: Any) -> tuple[float, float] | None:
    if given is None:
        return None
    ends = tuple(given) if isinstance(given, (tuple, list)) else (-given if is_finite_number(given) else given, given)
    if len(ends) != 2 or not all(map(is_finite_number, ends)) or ends[0] > ends[1]:
        wanted = "a number of radians, or from the lower to the higher"
        raise SpecError(f"augment: paste: rotate must be {wanted}, got {given!r}")
    turn = float(ends[0]), float(ends[1])
    check_turn("augment: paste: rotate", turn, given)
    return None if turn == (0, 0) else turn


def _size(given: Any) -> tuple[float, float, float]:
    size = tuple(given) if isinstance(given, (tuple, list)) else (given,) * 3
    if len(size) != 3 or not all(map(is_finite_number, size)) or min(size) < 0:
        raise SpecError(f"augment: paste: extra_size must be metres of length, width and height, got {given!r}")
    return float(size[0]), float(size[1]), float(size[2])
