"""ego_state and ego_state_valid."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from perceptum.features.ego import EgoStateParams
from perceptum.inputs import Frame, Matrix, MissingRecord, PoseUnknown
from perceptum.inputs.poses import yaw_from_rotation
from perceptum.inputs.signal import Measured
from perceptum.inputs.source import signals_of

from ..reference import Reference
from ..sample import Sample
from ..stage import Clearing, Filler, Stages
from ..written import Written
from .by_poses import Moves, moves_of, orientation_of
from .by_signals import measured

__all__ = ["EgoState"]

_log = logging.getLogger(__name__)

_GRAVITY = np.array([0.0, 0.0, -9.80665])
"""In the world, whose z is up, m/s2."""
_LARGEST = float(np.finfo(np.float32).max)


class EgoState(Filler):
    """Each of the columns by what it is made of; what is not known is 0, and its flag too."""

    def __init__(self, params: EgoStateParams, stages: Stages) -> None:
        super().__init__()
        self.title = f"ego state of {params.source} ({params.frame})"
        self._params = params
        self._stages = stages
        self._reference = stages.share(Reference, params.reference())
        self._parts = [_MADE_OF[column] for column in params.columns]
        self._values = np.zeros(len(params.columns))
        self._valid = np.zeros(len(params.columns), dtype=np.uint8)

    def run(self, sample: Sample) -> None:
        now = _Now(sample.frame, self._params)
        known = {what: self._known(now, what) for what in dict.fromkeys(what for what, _ in self._parts)}
        for k, (what, part) in enumerate(self._parts):
            numbers = known[what]
            value = None if numbers is None else float(numbers[part])
            # a signal may say anything that float64 holds
            there = value is not None and abs(value) <= _LARGEST
            self._values[k], self._valid[k] = value if there else 0.0, there

    def clearing(self, feature: str) -> Clearing:
        return "whole"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        out[...] = self._values if feature == "ego_state" else self._valid

    def _known(self, now: _Now, what: str) -> Matrix | None:
        """Returns what a column is made of, in the frame of reference; None where it is not known, which is reported
        once. Raises MissingRecord or PoseUnknown where the spec requires it."""
        try:
            found = now.of_world(what) if what in _OF_WORLD else now.of_vehicle(what)
        except PoseUnknown as error:
            if self._params.required:
                raise
            found, why = None, str(error)
        else:
            why = now.why_not(what)
        if found is None:
            # before the first frame there is none: that is no lack of the log
            if what not in ("moved", "turned"):
                self._report(now.frame, what, why)
            return None
        return self._placed(what, found)

    def _placed(self, what: str, found: Matrix) -> Matrix:
        reference = self._reference
        if what in _OF_WORLD:
            return found
        if what == "steering":
            return -found if reference.mirrors else found
        with np.errstate(over="ignore", invalid="ignore"):
            if what == "speed":
                return np.atleast_1d(np.linalg.norm(found) * reference.scale)
            if what == "angular_rate":
                # it is about an axis: a mirror turns it round, and no length is in it
                turned: Matrix = reference.directions(found) / reference.scale
                return -turned if reference.mirrors else turned
            return reference.directions(found)

    def _report(self, frame: Frame, what: str, why: str) -> None:
        said = f"{frame.log.source.location}: {frame}: its {what.replace('_', ' ')} is not known: {why}"
        if self._params.required:
            raise MissingRecord(f"{said}; the spec requires it")
        if self._stages.first_time((EgoState, what, self._params.source)):
            _log.warning(
                '%s; it is 0 and its ego_state_valid too (reported once; the param "required" makes it an error)', said
            )


class _Now:
    """One frame, asked for what its columns are made of; each is worked out once."""

    def __init__(self, frame: Frame, params: EgoStateParams) -> None:
        self.frame, self._params = frame, params
        self._moves: tuple[Moves | None] | None = None

    def of_vehicle(self, what: str) -> Matrix | None:
        """Returns (3,) in the ego frame, or (1,) for the steering; None where nothing says it."""
        if what == "steering":
            steering = measured(self.frame, "steering", self._params)
            return None if steering is None else np.atleast_1d(steering)
        found = None
        if self._params.source != "poses":
            found = self._by_signals(what)
        if found is None and self._params.source != "signals":
            found = self._by_poses(what)
        return found

    def _by_signals(self, what: str) -> Matrix | None:
        if what not in ("acceleration", "specific_force"):
            return measured(self.frame, "velocity" if what == "speed" else cast(Measured, what), self._params)
        found = measured(self.frame, cast(Measured, what), self._params)
        if found is not None:
            return found
        # each follows from the other
        other = measured(self.frame, "specific_force" if what == "acceleration" else "acceleration", self._params)
        return None if other is None else other + self._gravity() * (1 if what == "acceleration" else -1)

    def _by_poses(self, what: str) -> Matrix | None:
        if self._moves is None:
            self._moves = (moves_of(self.frame, self._params.half_width_s, self._params.differences),)
        moves = self._moves[0]
        if moves is None:
            return None
        if what == "angular_rate":
            return moves.angular_rate
        if what in ("velocity", "speed"):
            return moves.velocity
        if moves.acceleration is None:
            return None
        return moves.acceleration if what == "acceleration" else moves.acceleration - self._gravity()

    def _gravity(self) -> Matrix:
        """Returns what gravity does, in the ego frame."""
        return np.asarray(self.frame.world_from_ego[:3, :3].T @ _GRAVITY)

    def of_world(self, what: str) -> Matrix | None:
        """Returns what is of the poses alone, in the world."""
        frame = self.frame
        if what == "orientation":
            return orientation_of(frame, frame.time_ns)
        if what == "heading":
            return np.radians([_heading_deg(frame.world_from_ego)])
        back = frame.index - self._params.frames_back
        if back < 0 or not frame.log.source.sequential:
            return None
        try:
            then = frame.log.world_from_ego(int(frame.log.source.times_ns[back]))
        except PoseUnknown:
            return None
        now = frame.world_from_ego
        if what == "moved":
            return np.asarray(now[:3, 3] - then[:3, 3])
        return np.array([_heading_deg(now) - _heading_deg(then)])

    def why_not(self, what: str) -> str:
        """Returns why nothing says it, for a message."""
        params, there = self._params, signals_of(self.frame.log.source)
        signals = ", ".join(there) or "none"
        if params.signal is not None and params.signal not in there:
            said = f"the log has no signal '{params.signal}', its signals are {signals}"
        else:
            said = f"no signal measures it at that time, the log's signals are {signals}"
        if what == "steering" or params.source == "signals":
            return said
        poses = f"too few poses are known within {params.half_width_s:g} s"
        return poses if params.source == "poses" else f"{said}, and {poses}"


def _heading_deg(world_from_ego: Matrix) -> float:
    """Returns the yaw in [0, 360), in the order of arithmetic in which BEVFormer works it out."""
    degrees = float(yaw_from_rotation(world_from_ego)) / np.pi * 180
    return degrees + 360 if degrees < 0 else degrees


_OF_WORLD = ("orientation", "heading", "moved", "turned")
_PARTS = {
    **dict.fromkeys(("velocity", "acceleration", "specific_force", "angular_rate", "moved"), "xyz"),
    "orientation": "wxyz",
}
_MADE_OF: Mapping[str, tuple[str, int]] = {
    **{f"{what}_{part}": (what, k) for what, parts in _PARTS.items() for k, part in enumerate(parts)},
    **{what: (what, 0) for what in ("speed", "steering")},
    "world_heading": ("heading", 0),
    "turned_deg": ("turned", 0),
}
"""Column -> what it is made of, and which of its numbers it is."""
