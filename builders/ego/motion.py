"""ego_motion and ego_motion_valid."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features.ego import EgoMotionParams
from perceptum.inputs import Frame, Matrix, PoseUnknown
from perceptum.inputs.poses import inverse, yaw_from_rotation
from perceptum.plural import counted

from ..reference import Reference, inverse_of_similarity
from ..sample import Sample
from ..stage import Clearing, Filler, Stages
from ..written import Written

__all__ = ["EgoMotion"]


class EgoMotion(Filler):
    """Where a moment is not known, since the log begins later or its poses have a gap, the identity and 0."""

    def __init__(self, params: EgoMotionParams, stages: Stages) -> None:
        super().__init__()
        self.title = f"ego motion over {counted(params.num_past, params.times.removesuffix('s'))} ({params.frame})"
        self._params = params
        self._reference = stages.share(Reference, params.reference())
        self._motion = np.empty((params.num_past, 4, 4))
        self._valid = np.empty(params.num_past, dtype=np.uint8)

    def run(self, sample: Sample) -> None:
        params, frame = self._params, sample.frame
        now_from_world = inverse(frame.world_from_ego)
        plain, change = self._reference.plain_from_ego, self._reference.change
        ego_from_plain = inverse(plain)
        self._motion[:] = np.eye(4)
        self._valid[:] = 0
        for k, time_ns in enumerate(_moments(params, frame)):
            row = params.num_past - 1 - k if params.oldest_first else k
            try:
                world_from_past = None if time_ns is None else frame.log.world_from_ego(time_ns)
            except PoseUnknown:
                world_from_past = None
            if world_from_past is None:
                continue
            motion = np.eye(4)
            if time_ns != frame.time_ns:
                motion = plain @ (now_from_world @ world_from_past) @ ego_from_plain
                # the whole way back, and then what is left of it, as BEVDet4D does
                motion = _flattened(inverse(motion) if params.direction == "past_from_ref" else motion, params.planar)
            if change is not None:
                # both moments are changed alike: what was built of the past by this draw lies in changed axes too
                motion = change @ motion @ inverse_of_similarity(change, self._reference.scale)
            self._motion[row], self._valid[row] = motion, 1

    def clearing(self, feature: str) -> Clearing:
        return "whole"

    def fill(self, feature: str, out: NDArray[Any], written: Written) -> None:
        out[...] = self._motion if feature == "ego_motion" else self._valid


def _moments(params: EgoMotionParams, frame: Frame) -> list[int | None]:
    """Returns T times, the newest first; None where the log has none so early. Reads nothing."""
    first = 0 if params.include_now else 1
    ranks = range(first, first + params.num_past)
    if params.times == "seconds":
        return [frame.time_ns - round(k * params.dt_s * 1e9) for k in ranks]
    sequential, times = frame.log.source.sequential, frame.log.source.times_ns
    if params.times == "frames":
        rows = [frame.index - k * params.step for k in ranks]
        return [int(times[row]) if row >= 0 and (sequential or row == frame.index) else None for row in rows]
    known = frame.sweep_times_ns(first + params.num_past, step=params.step)
    return [known[k] if k < len(known) else None for k in ranks]


def _flattened(motion: Matrix, planar: str) -> Matrix:
    """Returns a motion, or the part of it that keeps a plane."""
    if planar == "no":
        return motion
    flat = np.eye(4)
    flat[:2, 3] = motion[:2, 3]
    if planar == "drop_z":
        flat[:2, :2] = motion[:2, :2]
    else:
        yaw = float(yaw_from_rotation(motion))
        flat[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
    return flat
