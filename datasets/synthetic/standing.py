"""What is beside the street: buildings, trees, lamps, signs and parked cars, made piece by piece as needed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import Matrix

from . import chance
from .course import Course
from .layout import CURB_M, PARKING_EDGE_M, SEGMENT_M, WALK_EDGE_M
from .solids import Kind, Paint, Solids, Things, join, standing
from .traffic import look

__all__ = ["crossing_in", "parked_things", "segments_between", "standing_solids"]

Whole = NDArray[np.int64]

_BUILDINGS, _TREES, _LAMPS, _SIGNS, _PARKED = range(5)
_EACH = (2, 4, 2, 1, 7)
"""How many of each there is room for on one side of one segment."""
_KEEP_CLEAR_M = 5.5
"""Nothing is parked or planted nearer than this to the middle of a crossing."""
_UNDERGROUND_M = 1.0
_WALLS = np.array([[178, 120, 96], [205, 190, 160], [150, 150, 155], [190, 165, 120], [120, 110, 110], [215, 210, 200]])


def crossing_in(segment: Whole) -> NDArray[np.bool_]:
    """Returns whether there is a crossing in the middle of each segment."""
    return np.asarray(segment % 3 == 1)


def segments_between(low_m: float, high_m: float) -> tuple[int, int]:
    """Returns the first and the last segment between two places along the street."""
    return int(np.floor(low_m / SEGMENT_M)), int(np.floor(high_m / SEGMENT_M))


def standing_solids(course: Course, seed: int, segments: Whole) -> Solids:
    """Returns the things on these segments that have no label."""
    return join(
        [
            _buildings(course, seed, segments),
            *_trees(course, seed, segments),
            *_lamps(course, seed, segments),
            *_signs(course, seed, segments),
        ]
    )


class _Spots:
    """Places of one sort beside the street, on both sides: those that chance has taken."""

    def __init__(self, seed: int, sort: int, segments: Whole, share: float, keep_clear: bool = True) -> None:
        each = _EACH[sort]
        self.start = chance.key(seed, 3, sort)
        segment, number, side = (a.ravel() for a in np.meshgrid(segments, np.arange(each), [0, 1], indexing="ij"))
        step = SEGMENT_M / each
        along = segment * SEGMENT_M + (number + 0.5) * step
        kept = chance.uniform(self.start, segment, number, side, 0) < share
        if keep_clear:
            kept &= ~crossing_in(segment) | (np.abs(along - (segment + 0.5) * SEGMENT_M) > _KEEP_CLEAR_M)
        self.segment, self.number, self.side = segment[kept], number[kept], side[kept]
        self.along = along[kept]
        self.sign: Matrix = np.where(self.side == 1, 1.0, -1.0)
        """1 on the left, -1 on the right."""

    def between(self, what: int, low: float, high: float) -> Matrix:
        """Returns a number (n,) for each, by chance."""
        return low + (high - low) * chance.uniform(self.start, self.segment, self.number, self.side, what)

    def floor(self, course: Course, across: NDArray[np.floating], sunk_m: float = 0.3) -> tuple[Matrix, Matrix]:
        """Returns the point (n, 3) `sunk_m` below the ground, and the heading (n, 2) of the street there."""
        motion = course.travel(self.along, 0.0, across)
        return motion.centre - np.array([0.0, 0.0, sunk_m]), motion.heading


def _buildings(course: Course, seed: int, segments: Whole) -> Solids:
    spots = _Spots(seed, _BUILDINGS, segments, 0.93, keep_clear=False)
    half = np.stack(
        [spots.between(1, 9.5, 12.4), spots.between(2, 5.0, 8.0), 0.5 * (spots.between(3, 7.0, 21.0) + _UNDERGROUND_M)],
        axis=1,
    )
    across = spots.sign * (WALK_EDGE_M + spots.between(4, 1.0, 3.0) + half[:, 1])
    floor, heading = spots.floor(course, across, _UNDERGROUND_M)
    colour = _WALLS[(spots.between(5, 0, len(_WALLS))).astype(np.intp)].astype(np.float64)
    return standing(Kind.BOX, Paint.WALL, floor, half, heading, colour)


def _trees(course: Course, seed: int, segments: Whole) -> list[Solids]:
    spots = _Spots(seed, _TREES, segments, 0.75)
    floor, heading = spots.floor(course, spots.sign * (CURB_M + 0.7))
    trunk, radius = spots.between(1, 2.3, 3.1), spots.between(2, 1.3, 1.9)
    thick, tall = spots.between(3, 0.11, 0.2), spots.between(4, 1.5, 2.3)
    green = np.stack([spots.between(5, 40, 90), spots.between(6, 95, 135), spots.between(7, 35, 60)], axis=1)
    crown = floor + np.stack([np.zeros_like(trunk), np.zeros_like(trunk), trunk], axis=1)
    return [
        standing(
            Kind.CYLINDER, Paint.TRUNK, floor, np.stack([thick, thick, 0.5 * trunk + 0.3], 1), heading, (92, 70, 52)
        ),
        standing(Kind.ELLIPSOID, Paint.CROWN, crown, np.stack([radius, radius, tall], 1), heading, green),
    ]


def _lamps(course: Course, seed: int, segments: Whole) -> list[Solids]:
    spots = _Spots(seed, _LAMPS, segments, 0.95)
    floor, heading = spots.floor(course, spots.sign * (CURB_M + 0.35))
    n = len(floor)
    top, _ = spots.floor(course, spots.sign * (CURB_M - 0.35))
    post, lamp = np.tile([0.08, 0.08, 3.9], (n, 1)), np.tile([0.15, 0.8, 0.06], (n, 1))
    return [
        standing(Kind.CYLINDER, Paint.METAL, floor, post, heading, (120, 125, 130)),
        standing(Kind.BOX, Paint.METAL, top + np.array([0, 0, 7.7]), lamp, heading, (120, 125, 130)),
    ]


def _signs(course: Course, seed: int, segments: Whole) -> list[Solids]:
    spots = _Spots(seed, _SIGNS, segments, 0.7, keep_clear=False)
    spots.along = spots.along + spots.between(1, 6.0, 16.0)
    floor, heading = spots.floor(course, spots.sign * (CURB_M + 0.45))
    n = len(floor)
    post, plate = np.tile([0.035, 0.035, 1.35], (n, 1)), np.tile([0.03, 0.32, 0.32], (n, 1))
    return [
        standing(Kind.CYLINDER, Paint.METAL, floor, post, heading, (140, 140, 140)),
        standing(Kind.BOX, Paint.SIGN, floor + np.array([0, 0, 2.4]), plate, heading, (200, 30, 30)),
    ]


def parked_things(course: Course, seed: int, segments: Whole) -> Things:
    """Returns the cars parked on these segments."""
    spots = _Spots(seed, _PARKED, segments, 0.6)
    along = spots.along + spots.between(1, -0.6, 0.6)
    across = spots.sign * (0.5 * (PARKING_EDGE_M + CURB_M) + spots.between(2, -0.12, 0.12))
    category = np.zeros(len(along), np.int8)
    size, colour = look(category, spots.start, (spots.segment, spots.number, spots.side))
    motion = course.travel(along, 0.0, across, -spots.sign)
    sides = ("right", "left")
    names = [f"{sides[s]}_parked:{k}.{n}" for k, n, s in zip(spots.segment, spots.number, spots.side, strict=True)]
    return Things(category, motion, size, colour, np.array(names, dtype=np.str_))
