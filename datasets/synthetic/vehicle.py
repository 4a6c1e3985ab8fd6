"""What the made-up vehicle reports of itself: velocity, acceleration, how fast it turns, its steering wheel."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from perceptum.inputs import Matrix, Signal, Times
from perceptum.inputs.signal import Measured

from .course import Motion
from .scene import World
from .trig import angle

__all__ = ["MEASURES", "vehicle_signal"]

MEASURES: Mapping[Measured, str] = {
    "velocity": "velocity",
    "acceleration": "acceleration",
    "angular_rate": "angular_rate",
    "steering": "steering",
}
_UNITS = {"velocity": "m/s", "acceleration": "m/s2", "angular_rate": "rad/s", "steering": "rad", "speed": "m/s"}
_WHEELBASE_M = 2.8
_STEERING_RATIO = 15.0
"""Turns of the steering wheel for one of the front wheels."""
_EACH_SIDE_NS = 1_000_000


def vehicle_signal(world: World, times_ns: Times, location: str) -> Signal:
    """Returns the signal `vehicle` at those times. The acceleration is the velocity's difference over 2 ms."""
    now = world.ego(times_ns)
    before, after = (world.ego(times_ns + side) for side in (-_EACH_SIDE_NS, _EACH_SIDE_NS))
    velocity = _in_axes_of(now, now.velocity)
    acceleration = _in_axes_of(now, (after.velocity - before.velocity) / (2e-9 * _EACH_SIDE_NS))
    zero = np.zeros(len(times_ns))
    # a bicycle's front wheel: tan(angle) = wheelbase * curvature
    wheel = angle(_WHEELBASE_M * now.turn, velocity[:, 0])
    columns = {
        "velocity": velocity,
        "acceleration": acceleration,
        "angular_rate": np.stack([zero, zero, now.turn], axis=1),
        "steering": _STEERING_RATIO * wheel,
        "speed": np.sqrt((velocity * velocity).sum(axis=1)),
    }
    return Signal(
        name="vehicle",
        times_ns=times_ns,
        columns=columns,
        units=_UNITS,
        frame="ego",
        measures=MEASURES,
        ego_from_sensor=np.eye(4),
        source=f"{location}/vehicle",
    )


def _in_axes_of(motion: Motion, vectors: Matrix) -> Matrix:
    """Returns (n, 3) along, to the left of and above where it heads; the ego stays upright."""
    cos, sin = motion.heading.T
    x, y, z = vectors.T
    return np.stack([cos * x + sin * y, cos * y - sin * x, z], axis=1)
