"""How the vehicle moves, by the signals of its log."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from perceptum.features.ego import EgoStateParams
from perceptum.inputs import Frame, Matrix, Signal
from perceptum.inputs.signal import Measured
from perceptum.inputs.source import signals_of

__all__ = ["measured"]


def measured(frame: Frame, what: Measured, params: EgoStateParams) -> NDArray[np.float64] | None:
    """Returns what the first signal that measures it says at the frame's time: (3,) in the ego frame, for its origin,
    or () for the steering; None where no signal says it.

    What is measured beside that origin is carried to it with the same signal's angular rate: v - w x r, and
    a - w x (w x r). How fast the rate itself changes is not measured, and left out.
    """
    for signal in _signals(frame, what, params):
        value = _at(frame, signal, what, params)
        if value is None:
            continue
        if what == "steering":
            return value
        mount = signal.ego_from_sensor
        assert mount is not None, "a signal that measures a vector says where"
        vector: Matrix = mount[:3, :3] @ value
        place: Matrix = mount[:3, 3]
        if what == "angular_rate" or not place.any():
            return vector
        rate = _at(frame, signal, "angular_rate", params)
        if rate is None:
            return vector
        turning = mount[:3, :3] @ rate
        moved: Matrix = np.cross(turning, place)
        beside: Matrix = moved if what == "velocity" else np.cross(turning, moved)
        return vector - beside
    return None


def _signals(frame: Frame, what: Measured, params: EgoStateParams) -> Iterator[Signal]:
    """Yields the signals that measure it; each is read only when it is its turn."""
    for name, measures in signals_of(frame.log.source).items():
        if what in measures and params.signal in (None, name):
            signal = frame.log.signal(name)
            # what its messages leave out is known only now
            if signal is not None and what in signal.measures:
                yield signal


def _at(frame: Frame, signal: Signal, what: Measured, params: EgoStateParams) -> NDArray[np.float64] | None:
    if what not in signal.measures:
        return None
    tolerance_ns = None if params.tolerance_s is None else round(params.tolerance_s * 1e9)
    return signal.at(frame.time_ns, signal.measures[what], params.moment, tolerance_ns)
