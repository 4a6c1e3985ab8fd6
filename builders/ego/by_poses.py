"""How the vehicle moves, by the poses of its log."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from perceptum.inputs import Frame, Matrix, PoseUnknown
from perceptum.inputs.poses import quaternion_from_rotation

__all__ = ["Moves", "moves_of", "orientation_of"]


class Moves(NamedTuple):
    """In the axes of the ego frame at the reference time."""

    velocity: Matrix
    """(3,) m/s."""
    angular_rate: Matrix
    """(3,) rad/s."""
    acceleration: Matrix | None
    """(3,) m/s2; None where too few poses are known."""


def moves_of(frame: Frame, half_width_s: float, differences: Literal["central", "backward"]) -> Moves | None:
    """Returns finite differences of second order of the poses around a frame's time; None where too few are known.

    Raises PoseUnknown where that of the frame's own time is not. The stencils are those that EgoStateParams says, on
    places and rotation vectors relative to the pose at that time, which are 0 there.
    """
    now, h, width_ns = frame.world_from_ego, half_width_s, round(half_width_s * 1e9)
    before = _relative(frame, now, -width_ns)
    after = None if differences == "backward" else _relative(frame, now, width_ns)
    if before is not None and after is not None:
        return _moves((after - before) / (2 * h), (after + before) / (h * h))
    side, near = (-1, before) if before is not None else (1, after)
    if near is None:
        return None
    far = _relative(frame, now, 2 * side * width_ns)
    if far is None:
        return _moves(side * near / h, None)
    return _moves(side * (4 * near - far) / (2 * h), (far - 2 * near) / (h * h))


def _moves(rate: Matrix, change: Matrix | None) -> Moves:
    return Moves(rate[:3], rate[3:], None if change is None else change[:3])


def _relative(frame: Frame, now: Matrix, by_ns: int) -> Matrix | None:
    """Returns (6,): the place and the rotation vector of another moment's pose, in the ego frame at the frame's."""
    try:
        then = frame.log.world_from_ego(frame.time_ns + by_ns)
    except PoseUnknown:
        return None
    turn = now[:3, :3].T
    return np.concatenate([turn @ (then[:3, 3] - now[:3, 3]), _rotation_vector(turn @ then[:3, :3])])


def _rotation_vector(rotation: Matrix) -> Matrix:
    """Returns (3,): the axis, as long as the angle, rad."""
    w, *xyz = quaternion_from_rotation(rotation)
    axis = np.array(xyz)
    length = float(np.linalg.norm(axis))
    # of no turn there is no axis
    return axis if length == 0 else axis * (2 * np.arctan2(length, w) / length)


def orientation_of(frame: Frame, time_ns: int) -> Matrix:
    """Returns (4,) w x y z of world_from_ego: a recorded pose's own numbers at its time, whatever their sign."""
    poses = frame.log.poses
    at = int(np.searchsorted(poses.times_ns, time_ns))
    if at < len(poses.times_ns) and poses.times_ns[at] == time_ns:
        recorded: Matrix = poses.quaternions[at]
        return recorded / np.linalg.norm(recorded)
    return quaternion_from_rotation(frame.log.world_from_ego(time_ns)[:3, :3])
