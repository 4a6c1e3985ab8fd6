"""What rays can hit: boxes, upright elliptic cylinders and ellipsoids, as columns. Labelled things are made of them."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from perceptum.inputs import Matrix

from .course import Motion

__all__ = [
    "CATEGORIES",
    "REFLECTIVITY",
    "Kind",
    "Paint",
    "Solids",
    "Things",
    "join",
    "join_things",
    "solids_of",
    "standing",
]


CATEGORIES = ("car", "truck", "pedestrian", "cyclist")


class Kind(IntEnum):
    BOX = 0
    CYLINDER = 1
    ELLIPSOID = 2


class Paint(IntEnum):
    """How a surface looks, beyond its colour."""

    BODY = 0
    CABIN = 1
    CARGO = 2
    DARK = 3
    CLOTH = 4
    SKIN = 5
    WALL = 6
    TRUNK = 7
    CROWN = 8
    METAL = 9
    SIGN = 10


REFLECTIVITY = np.array([0.55, 0.22, 0.6, 0.1, 0.4, 0.35, 0.42, 0.3, 0.5, 0.65, 1.0])
"""For 905 nm light, by Paint; paint of a light colour gives up to half as much again."""


class Solids(NamedTuple):
    """(n,) shapes in the local frame at one moment."""

    kind: NDArray[np.int8]
    centre: Matrix
    """(n, 3)"""
    half: Matrix
    """(n, 3) half of length, width, height."""
    heading: Matrix
    """(n, 2) cosine and sine of the yaw."""
    velocity: Matrix
    """(n, 3) of the centre, m/s."""
    turn: Matrix
    """(n,) yaw rate, rad/s."""
    paint: NDArray[np.int8]
    colour: Matrix
    """(n, 3) red green blue, 0 to 255."""
    owner: NDArray[np.int32]
    """(n,) which of the scene's things, -1 for those without a label."""


class Things(NamedTuple):
    """(n,) labelled objects: the box that just holds each, and how it moves."""

    category: NDArray[np.int8]
    """Index into CATEGORIES."""
    motion: Motion
    """The middle of the box's bottom."""
    size: Matrix
    """(n, 3) length width height."""
    colour: Matrix
    name: NDArray[np.str_]
    """(n,) the track's id."""


class _Part(NamedTuple):
    """A piece of a thing, as shares of its length, width and height."""

    kind: Kind
    paint: Paint
    ahead: float
    half_length: float
    half_width: float
    bottom: float
    top: float


_PARTS: tuple[tuple[_Part, ...], ...] = (
    (
        _Part(Kind.BOX, Paint.BODY, 0.0, 0.5, 0.5, 0.13, 0.6),
        _Part(Kind.BOX, Paint.CABIN, -0.06, 0.27, 0.45, 0.6, 1.0),
    ),
    (
        _Part(Kind.BOX, Paint.BODY, 0.39, 0.11, 0.48, 0.14, 0.84),
        _Part(Kind.BOX, Paint.CARGO, -0.13, 0.37, 0.5, 0.26, 1.0),
        _Part(Kind.BOX, Paint.DARK, 0.0, 0.46, 0.4, 0.12, 0.26),
    ),
    (
        _Part(Kind.CYLINDER, Paint.DARK, 0.0, 0.32, 0.32, 0.0, 0.48),
        _Part(Kind.CYLINDER, Paint.CLOTH, 0.0, 0.5, 0.5, 0.48, 0.85),
        _Part(Kind.ELLIPSOID, Paint.SKIN, 0.0, 0.22, 0.22, 0.86, 1.0),
    ),
    (
        _Part(Kind.BOX, Paint.DARK, 0.0, 0.5, 0.1, 0.0, 0.56),
        _Part(Kind.CYLINDER, Paint.CLOTH, -0.04, 0.17, 0.5, 0.44, 0.85),
        _Part(Kind.ELLIPSOID, Paint.SKIN, -0.01, 0.07, 0.2, 0.86, 1.0),
    ),
)
_FIXED_COLOUR = {Paint.DARK: (38, 38, 42), Paint.SKIN: (205, 160, 130)}


def solids_of(things: Things) -> Solids:
    """Returns the parts of labelled things; a part's velocity includes that of the turn."""
    made = []
    for category, parts in enumerate(_PARTS):
        chosen = np.flatnonzero(things.category == category)
        made += [_part(things, chosen, part) for part in parts if len(chosen)]
    return join(made)


def _part(things: Things, chosen: NDArray[np.intp], part: _Part) -> Solids:
    motion, size = things.motion, things.size[chosen]
    heading, turn = motion.heading[chosen], motion.turn[chosen]
    ahead = part.ahead * size[:, :1] * heading
    up = 0.5 * (part.bottom + part.top) * size[:, 2:]
    swing = turn[:, None] * np.stack([-ahead[:, 1], ahead[:, 0], np.zeros(len(chosen))], axis=1)
    half = size * np.array([part.half_length, part.half_width, 0.5 * (part.top - part.bottom)])
    colour = _FIXED_COLOUR.get(part.paint)
    return Solids(
        kind=np.full(len(chosen), part.kind, np.int8),
        centre=motion.centre[chosen] + np.concatenate([ahead, up], axis=1),
        half=half,
        heading=heading,
        velocity=motion.velocity[chosen] + swing,
        turn=turn,
        paint=np.full(len(chosen), part.paint, np.int8),
        colour=things.colour[chosen] if colour is None else np.tile(np.array(colour, np.float64), (len(chosen), 1)),
        owner=chosen.astype(np.int32),
    )


def standing(kind: Kind, paint: Paint, floor: Matrix, half: Matrix, heading: Matrix, colour: ArrayLike) -> Solids:
    """Returns shapes that never move and have no label; `floor` (n, 3) is the middle of their underside."""
    n = len(floor)
    centre = floor.copy()
    centre[:, 2] += half[:, 2]
    return Solids(
        kind=np.full(n, kind, np.int8),
        centre=centre,
        half=half,
        heading=heading,
        velocity=np.zeros((n, 3)),
        turn=np.zeros(n),
        paint=np.full(n, paint, np.int8),
        colour=np.broadcast_to(np.asarray(colour, dtype=np.float64), (n, 3)).copy(),
        owner=np.full(n, -1, np.int32),
    )


def join(parts: list[Solids]) -> Solids:
    """Returns all of them in one, in order."""
    if not parts:
        return standing(Kind.BOX, Paint.WALL, np.zeros((0, 3)), np.zeros((0, 3)), np.zeros((0, 2)), (0, 0, 0))
    return Solids(*(np.ascontiguousarray(np.concatenate(columns)) for columns in zip(*parts, strict=True)))


def join_things(parts: list[Things]) -> Things:
    """Returns all of them in one, in order; there must be at least one part."""
    motion = Motion(*(np.concatenate(columns) for columns in zip(*(part.motion for part in parts), strict=True)))
    return Things(
        np.concatenate([part.category for part in parts]),
        motion,
        np.concatenate([part.size for part in parts]),
        np.concatenate([part.colour for part in parts]),
        np.concatenate([part.name for part in parts]),
    )
