"""Frames of reference of a recording: what /tf, /tf_static and odometry say of where one frame is in another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord, LogError, MissingRecord, Poses
from perceptum.inputs.poses import inverse, quaternion_from_rotation, rigid, rotation_from_quaternion

__all__ = ["Edge", "Edges", "FrameTree", "add_all", "odometry_poses"]

Matrix = NDArray[np.float64]

_ALWAYS_NS = 2**62
_FARTHEST_M = 1e9


@dataclass
class Edge:
    """How one frame moves in its parent: rows of time, quaternion (w x y z) and translation."""

    parent: str
    static: bool
    rows: dict[int, tuple[float, ...]] = field(default_factory=dict)
    """time_ns -> w x y z tx ty tz, the last one said for that time."""


@dataclass
class Edges:
    """Gathers transforms as they are met."""

    where: str
    found: dict[str, Edge] = field(default_factory=dict)
    """Child -> its edge."""

    def add(self, parent: str, child: str, time_ns: int, transform: Any, static: bool) -> None:
        """Adds what a geometry_msgs/Transform (or Pose) says; raises BrokenRecord."""
        parent, child = parent.lstrip("/"), child.lstrip("/")
        q = transform.rotation if hasattr(transform, "rotation") else transform.orientation
        p = transform.translation if hasattr(transform, "translation") else transform.position
        row = (q.w, q.x, q.y, q.z, p.x, p.y, p.z)
        if not parent or not child or parent == child:
            raise BrokenRecord(f"{self.where}: a transform from {child!r} to {parent!r}, wanted two frames")
        if not (abs(float(np.linalg.norm(row[:4])) - 1) < 0.01 and np.abs(row[4:]).max() <= _FARTHEST_M):
            raise BrokenRecord(
                f"{self.where}: the transform of '{child}' in '{parent}' at {time_ns} ns is {row}, wanted a quaternion "
                "of length 1 and finite metres"
            )
        edge = self.found.setdefault(child, Edge(parent, static))
        if edge.parent != parent:
            raise BrokenRecord(
                f"{self.where}: frame '{child}' has two parents, '{edge.parent}' and '{parent}'; wanted one"
            )
        # said once for all and again over time: what moves is believed
        if edge.static and not static:
            edge.rows, edge.static = {}, False
        if edge.static == static:
            edge.rows[time_ns] = row

    def tree(self) -> FrameTree:
        return FrameTree(self.where, {child: _motion(edge) for child, edge in self.found.items()}, self._parents())

    def _parents(self) -> dict[str, str]:
        return {child: edge.parent for child, edge in self.found.items()}


def _motion(edge: Edge) -> Poses:
    """A transform that is said once holds for ever, the last one of a static frame as well."""
    times = sorted(edge.rows)[-1:] if edge.static else sorted(edge.rows)
    table = np.array([edge.rows[t] for t in times], dtype=np.float64)
    return Poses(np.array(times, dtype=np.int64), table[:, :4], table[:, 4:], max_gap_ns=_ALWAYS_NS)


@dataclass(frozen=True)
class FrameTree:
    """Every frame, its motion in its parent, and so where each is in each other."""

    where: str
    motions: Mapping[str, Poses]
    parents: Mapping[str, str]

    @property
    def frames(self) -> list[str]:
        return sorted({*self.parents, *self.parents.values()})

    def chain(self, frame: str) -> list[str]:
        """Returns the frame and those above it, up to the root; raises BrokenRecord for a ring of frames."""
        above = [frame]
        while above[-1] in self.parents:
            if len(above) > len(self.parents):
                raise BrokenRecord(f"{self.where}: the frames {', '.join(above[:4])}, ... stand in a ring")
            above.append(self.parents[above[-1]])
        return above

    def moves(self, frame: str) -> bool:
        """Whether the recording tells more than one pose of the frame in its parent."""
        return frame in self.motions and len(self.motions[frame].times_ns) > 1

    def rigid_root(self, frame: str) -> str:
        """Returns the topmost frame that never moves against this one."""
        for name in self.chain(frame):
            if not self.moves(name) and name in self.parents:
                continue
            return name
        return frame

    def at(self, target: str, source: str, times_ns: NDArray[np.int64]) -> Matrix:
        """Returns (n, 4, 4) target_from_source; raises MissingRecord where no transforms connect them."""
        up, down = self.chain(source), self.chain(target)
        if not set(up) & set(down):
            raise MissingRecord(
                f"{self.where}: no transform from '{source}' to '{target}'; the frames are "
                f"{', '.join(self.frames[:20]) or 'none'}"
            )
        meet = next(name for name in up if name in down)
        return inverse(self._to(meet, down, times_ns)) @ self._to(meet, up, times_ns)

    def _to(self, top: str, chain: list[str], times_ns: NDArray[np.int64]) -> Matrix:
        """(n, 4, 4) top_from_chain[0]."""
        out = np.broadcast_to(np.eye(4), (len(times_ns), 4, 4))
        for name in chain[: chain.index(top)]:
            out = self._edge(name, times_ns) @ out
        return np.asarray(out)

    def _edge(self, name: str, times_ns: NDArray[np.int64]) -> Matrix:
        motion = self.motions[name]
        # said once holds for ever
        times = times_ns if self.moves(name) else np.full(len(times_ns), motion.times_ns[0])
        return motion.at_many(times)

    def poses(self, world: str, base: str, max_gap_ns: int) -> Poses:
        """Returns world_from_base at the stamps of the chain's most frequent transform, where all others are known.

        So that a gap in the fastest transform stays a gap. Raises LogErrors.
        """
        chain = self.chain(base)
        if world not in chain:
            raise MissingRecord(
                f"{self.where}: world_frame '{world}' is not above '{base}', which stands in {', '.join(chain)}"
            )
        links = chain[: chain.index(world)]
        moving = [self.motions[name] for name in links if self.moves(name)]
        if not moving:
            raise MissingRecord(f"{self.where}: '{base}' never moves in '{world}'; there are no poses over time")
        first = max(int(m.times_ns[0]) for m in moving)
        last = min(int(m.times_ns[-1]) for m in moving)
        times = max(moving, key=lambda m: len(m.times_ns)).times_ns
        times = times[(times >= first) & (times <= last)]
        if not len(times):
            raise LogError(f"{self.where}: the transforms between '{base}' and '{world}' have no time in common")
        transforms = self._to(world, chain, times)
        return _poses(times, transforms, max_gap_ns)


def _poses(times: NDArray[np.int64], transforms: Matrix, max_gap_ns: int) -> Poses:
    quaternions = np.array([quaternion_from_rotation(t[:3, :3]) for t in transforms])
    return Poses(times, quaternions, transforms[:, :3, 3].copy(), max_gap_ns=max_gap_ns)


def odometry_poses(edge: Edge, child_from_base: Matrix, max_gap_ns: int) -> Poses:
    """Returns world_from_base of an odometry's edge, child in world."""
    motion = _motion(edge)
    world_from_child = rigid(rotation_from_quaternion(motion.quaternions), motion.translations)
    return _poses(motion.times_ns, world_from_child @ child_from_base, max_gap_ns)


def add_all(edges: Edges, transforms: Iterable[Any], static: bool, log_ns: int | None) -> None:
    """Adds the transforms of one TFMessage, at their own stamps or all at `log_ns`."""
    for t in transforms:
        stamp = t.header.stamp
        # ROS 1 has secs and nsecs in other decoders; rosbags names both alike
        time_ns = stamp.sec * 1_000_000_000 + stamp.nanosec if log_ns is None else log_ns
        edges.add(t.header.frame_id, t.child_frame_id, time_ns, t.transform, static)
