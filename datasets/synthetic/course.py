"""The course of the street: where it bends, how high the ground is, and how something moves along it.

Two frames. *World*: UTM-like metres, x east, y north, near (500000, 5000000), and z above the sea. *Local*: the
same turned and moved, so that the street runs along +x through the origin; numbers stay small there, and rays
are cast there. A place on the street is (along, across): `along` is local x of the centre line below it,
`across` is metres to the left of that line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from perceptum.inputs import Matrix

from . import chance
from .trig import angle, cosine, sine

__all__ = ["Course", "Motion", "Table"]


_BENDS = ((22.0, 420.0), (2.6, 165.0))
"""Height and length of the waves of the centre line, metres: curves down to 90 m of radius."""
_GROUND = ((1.0, 390.0), (0.16, 72.0))
"""Height (times ground_wave_m) and length of the waves of the ground: slopes up to 1.6 %."""
_TABLE_STEP_M = 0.5
_TURN_RAD = 6.283185307179586


class Motion(NamedTuple):
    """How things move at one moment, local frame; every array (n, ...)."""

    centre: Matrix
    """(n, 3) the point on the ground below."""
    heading: Matrix
    """(n, 2) cosine and sine of the yaw."""
    velocity: Matrix
    """(n, 3) m/s."""
    turn: Matrix
    """(n,) yaw rate, rad/s."""


class Table(NamedTuple):
    """The centre line every half metre of local x, for kernels; values in between are linear, 0.3 mm off at most."""

    start: float
    y: Matrix
    slope: Matrix
    per_metre: float = 1.0 / _TABLE_STEP_M


@dataclass(frozen=True, eq=False)
class Course:
    """One street, as long as one likes."""

    bends: Matrix
    """(k, 3) amplitude, wave number, phase of y(x)."""
    ground_waves: Matrix
    """(k, 4) amplitude, wave numbers in x and y, phase of the height."""
    world_heading: tuple[float, float]
    """Cosine and sine of local +x in the world."""
    world_origin: tuple[float, float, float]

    @classmethod
    def of(cls, seed: int, ground_wave_m: float) -> Course:
        """Returns the street of this seed."""
        u = chance.uniform(chance.key(seed, 1), np.arange(16))
        bends = [
            (
                height * (0.8 + 0.4 * u[3 * i]),
                _TURN_RAD / (length * (0.85 + 0.3 * u[3 * i + 1])),
                _TURN_RAD * u[3 * i + 2],
            )
            for i, (height, length) in enumerate(_BENDS)
        ]
        waves = []
        for i, (height, length) in enumerate(_GROUND):
            direction, number = _TURN_RAD * u[6 + 2 * i], _TURN_RAD / length
            kx, ky = number * float(cosine(direction)), number * float(sine(direction))
            waves.append((height * ground_wave_m, kx, ky, _TURN_RAD * u[7 + 2 * i]))
        turned = _TURN_RAD * u[10]
        east, north, up = (float(v) for v in u[11:14])
        origin = (500_000.0 + 1000.0 * east, 5_000_000.0 + 1000.0 * north, 20.0 + 80.0 * up)
        return cls(np.array(bends), np.array(waves), (float(cosine(turned)), float(sine(turned))), origin)

    @property
    def steepest(self) -> float:
        """No slope of the ground is more than this."""
        w = self.ground_waves
        return float((w[:, 0] * np.sqrt(w[:, 1] * w[:, 1] + w[:, 2] * w[:, 2])).sum())

    @property
    def ground_for_kernels(self) -> tuple[tuple[tuple[float, ...], ...], float]:
        """The waves of the ground, and `steepest`."""
        return tuple(tuple(float(v) for v in wave) for wave in self.ground_waves), self.steepest

    def bend(self, along: ArrayLike) -> tuple[Matrix, Matrix, Matrix]:
        """Returns y, dy/dx, d2y/dx2 (...) of the centre line, local frame."""
        x = np.asarray(along, dtype=np.float64)
        y, first, second = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
        for amplitude, number, phase in self.bends:
            s, c = sine(number * x + phase), cosine(number * x + phase)
            y += amplitude * s
            first += amplitude * number * c
            second -= amplitude * number * number * s
        return y, first, second

    def table(self, low: float, high: float) -> Table:
        """Returns the centre line for kernels, from `low` to `high` at least; its knots do not depend on either."""
        first, last = int(np.floor(low / _TABLE_STEP_M)), int(np.ceil(high / _TABLE_STEP_M))
        y, slope, _ = self.bend(np.arange(first, last + 1) * _TABLE_STEP_M)
        return Table(first * _TABLE_STEP_M, y, slope)

    def place(self, along: ArrayLike, across: ArrayLike) -> Matrix:
        """Returns (..., 2) local x y."""
        along = np.asarray(along, dtype=np.float64)
        y, slope, _ = self.bend(along)
        reach = np.asarray(across, dtype=np.float64) / np.sqrt(1.0 + slope * slope)
        return np.stack(np.broadcast_arrays(along - reach * slope, y + reach), axis=-1)

    def ground(self, x: ArrayLike, y: ArrayLike) -> Matrix:
        """Returns the height (...) of the ground at local x y, local frame."""
        x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
        z = np.zeros(np.broadcast_shapes(x.shape, y.shape))
        for amplitude, kx, ky, phase in self.ground_waves:
            z += amplitude * sine(kx * x + ky * y + phase)
        return z

    def ground_slope(self, x: Matrix, y: Matrix) -> tuple[Matrix, Matrix]:
        """Returns dz/dx, dz/dy (...)."""
        in_x, in_y = np.zeros_like(x), np.zeros_like(x)
        for amplitude, kx, ky, phase in self.ground_waves:
            c = amplitude * cosine(kx * x + ky * y + phase)
            in_x, in_y = in_x + kx * c, in_y + ky * c
        return in_x, in_y

    def travel(self, along: Matrix, rate: ArrayLike, across: ArrayLike, direction: ArrayLike = 1.0) -> Motion:
        """Returns how things move that keep `across` while `along` changes by `rate` m/s.

        They look along the street where `direction` is 1, against it where it is -1.
        """
        rate = np.broadcast_to(np.asarray(rate, dtype=np.float64), along.shape)
        across = np.broadcast_to(np.asarray(across, dtype=np.float64), along.shape)
        y, slope, second = self.bend(along)
        length = np.sqrt(1.0 + slope * slope)
        cos, sin = 1.0 / length, slope / length
        turn = rate * second / (length * length)
        speed = rate * length - across * turn
        px, py = along - across * sin, y + across * cos
        vx, vy = speed * cos, speed * sin
        in_x, in_y = self.ground_slope(px, py)
        centre = np.stack([px, py, self.ground(px, py)], axis=-1)
        heading = np.asarray(direction, dtype=np.float64)[..., None] * np.stack([cos, sin], axis=-1)
        return Motion(centre, heading, np.stack([vx, vy, in_x * vx + in_y * vy], axis=-1), turn)

    def to_world(self, local: ArrayLike) -> Matrix:
        """Returns (..., 3) world points of (..., 3) local ones."""
        p = np.asarray(local, dtype=np.float64)
        (cos, sin), (east, north, up) = self.world_heading, self.world_origin
        x = east + (cos * p[..., 0] - sin * p[..., 1])
        y = north + (sin * p[..., 0] + cos * p[..., 1])
        return np.stack([x, y, up + p[..., 2]], axis=-1)

    def to_local(self, world: ArrayLike) -> Matrix:
        """Returns (..., 3) local points of (..., 3) world ones."""
        p = np.asarray(world, dtype=np.float64) - np.array(self.world_origin)
        cos, sin = self.world_heading
        return np.stack([cos * p[..., 0] + sin * p[..., 1], cos * p[..., 1] - sin * p[..., 0], p[..., 2]], axis=-1)

    def world_yaw(self, heading: Matrix) -> Matrix:
        """Returns the world yaw (...) in (-pi, pi] of local headings (..., 2)."""
        cos, sin = self.world_heading
        c, s = heading[..., 0], heading[..., 1]
        return angle(sin * c + cos * s, cos * c - sin * s)
