"""Frames of reference of a recording: what /tf, /tf_static and odometry say of where one frame is in another.

What cannot be used of it, be it one transform or all of a frame, is left out and reported; only a chain of frames that
needs it fails.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord, LogError, Matrix, MissingRecord, Poses
from perceptum.inputs.poses import (
    BrokenPose,
    inverse,
    quaternion_from_rotation,
    rigid,
    rotation_from_quaternion,
)

__all__ = ["Edge", "Edges", "FrameTree", "add_all", "odometry_poses", "poses_held", "set_stamp_ns"]


_ALWAYS_NS = 2**62
_FARTHEST_M = 1e9
_SAME_M = 1e-6
# between two unit quaternions: a microradian
_SAME_DOT = 1 - 1e-13
_MARGIN_NS = 10_000_000_000
_WORLDS = ("map", "odom", "world", "earth")
"""After REP 105: what stands in one of these may be a car that stands still."""


@dataclass
class Edge:
    """How one frame moves in its parent, as it was said."""

    parents: list[str]
    """More than one is a contradiction."""
    static: bool
    rows: list[tuple[int, int, tuple[float, ...]]] = field(default_factory=list)
    """(stamp_ns, recorded_ns, w x y z tx ty tz) in the order in which they were recorded; stamp 0: never set."""
    broken: list[tuple[int, int, str]] = field(default_factory=list)
    """What cannot be used, and when it was said."""


@dataclass
class Edges:
    """Gathers transforms as they are met."""

    where: str
    found: dict[str, Edge] = field(default_factory=dict)
    """Child -> its edge."""
    lost: list[str] = field(default_factory=list)
    """What cannot be used, and is of no frame."""

    def add(self, parent: str, child: str, stamp_ns: int, recorded_ns: int, transform: Any, static: bool) -> None:
        """Adds what a geometry_msgs/Transform (or Pose) says."""
        parent, child = parent.lstrip("/"), child.lstrip("/")
        if not parent or not child or parent == child:
            self.lost.append(f"{self.where}: a transform from {child!r} to {parent!r}, wanted two frames")
            return
        q = transform.rotation if hasattr(transform, "rotation") else transform.orientation
        p = transform.translation if hasattr(transform, "translation") else transform.position
        row = (q.w, q.x, q.y, q.z, p.x, p.y, p.z)
        edge = self.found.setdefault(child, Edge([], static))
        if not (abs(float(np.linalg.norm(row[:4])) - 1) < 0.01 and np.abs(row[4:]).max() <= _FARTHEST_M):
            time_ns = stamp_ns or recorded_ns
            why = (
                f"{self.where}: the transform of '{child}' in '{parent}' at {time_ns} ns is {row}, "
                "wanted a quaternion of length 1 and finite metres"
            )
            edge.broken.append((stamp_ns, recorded_ns, why))
            return
        if parent not in edge.parents:
            edge.parents.append(parent)
        # said once for all and again over time: what moves is believed
        if edge.static and not static:
            edge.rows, edge.static = [], False
        if edge.static == static:
            edge.rows.append((stamp_ns, recorded_ns, row))

    def tree(self) -> FrameTree:
        """Returns the frames; warns of what is left out."""
        unusable = {child: why for child, edge in self.found.items() if (why := self._why_unusable(child, edge))}
        parents = {child: edge.parents[0] for child, edge in self.found.items() if child not in unusable}
        unusable |= {name: f"{self.where}: {why}" for name, why in _rings(parents).items()}
        motions = {child: self._motion(child, self.found[child]) for child in parents}
        fixed = frozenset(child for child, motion in motions.items() if _is_constant(motion))
        for child, edge in self.found.items():
            _warn_of([why for _, _, why in edge.broken])
            if child in unusable and not edge.broken:
                _warn_of([unusable[child]])
        _warn_of(self.lost)
        parents = {child: parent for child, parent in parents.items() if child not in unusable}
        return FrameTree(self.where, motions, parents, fixed, unusable, tuple(self.lost))

    def _why_unusable(self, child: str, edge: Edge) -> str:
        if not edge.rows:
            return edge.broken[0][2]
        if len(edge.parents) > 1:
            one, other = edge.parents[:2]
            return f"{self.where}: frame '{child}' has two parents, '{one}' and '{other}'; wanted one"
        return ""

    def _motion(self, child: str, edge: Edge) -> Poses:
        """A static frame is where it was last said to be; another is there at the stamps, of equal ones the last."""
        stamps, rows = {stamp for stamp, _, _ in edge.rows}, edge.rows
        # one stamp for all is a stamp that was never set, as 0 is
        unset = {0} if len(stamps) > 1 or len({recorded for _, recorded, _ in rows}) < 3 else stamps
        if not edge.static and stamps & unset:
            name = f"'{child}' in '{edge.parents[0]}'"
            if stamps <= unset:
                rows = [(recorded, recorded, row) for _, recorded, row in rows]
                if len({row for _, _, row in rows}) > 1:
                    _warn_of([f"{self.where}: no transform of {name} has a stamp; each is taken when it was recorded"])
            else:
                lost = sum(stamp in unset for stamp, _, _ in rows)
                rows = [row for row in rows if row[0] not in unset]
                _warn_of([f"{self.where}: {lost} transforms of {name} have the stamp 0, which was never set"])
        by_time = {stamp: row for stamp, _, row in rows}
        times = sorted(by_time)[-1:] if edge.static else sorted(by_time)
        table = np.array([by_time[t] for t in times], dtype=np.float64)
        # a gap is where its neighbours are: at the stamps, or when all were recorded
        all_unset = stamps <= unset
        gaps = [BrokenPose(recorded if all_unset else stamp or recorded, why) for stamp, recorded, why in edge.broken]
        broken = () if edge.static else tuple(sorted(gaps))
        return Poses(np.array(times, dtype=np.int64), table[:, :4], table[:, 4:], _ALWAYS_NS, broken)


def _warn_of(lines: Sequence[str]) -> None:
    if lines:
        more = f" (and {len(lines) - 1} more)" if lines[1:] else ""
        warnings.warn(f"left out: {lines[0]}{more}", stacklevel=2)


def _is_constant(motion: Poses) -> bool:
    """Whether it says the same at every stamp: within a micrometre and a microradian."""
    unit = motion.quaternions / np.linalg.norm(motion.quaternions, axis=1, keepdims=True)
    turned = np.abs(unit @ unit[0]) < _SAME_DOT
    return not turned.any() and bool(np.abs(motion.translations - motion.translations[0]).max() <= _SAME_M)


def _rings(parents: Mapping[str, str]) -> dict[str, str]:
    """Frame -> what is wrong, for the frames that are above themselves."""
    found: dict[str, str] = {}
    done: set[str] = set()
    for start in parents:
        above: list[str] = []
        name: str | None = start
        while name is not None and name not in done and name not in above:
            above.append(name)
            name = parents.get(name)
        if name in above:
            ring = above[above.index(name) :]
            found |= dict.fromkeys(ring, f"the frames {', '.join(ring[:4])}, ... form a ring")
        done.update(above)
    return found


@dataclass(frozen=True)
class FrameTree:
    """Every frame, its motion in its parent, and so where each is in each other."""

    where: str
    motions: Mapping[str, Poses]
    parents: Mapping[str, str]
    fixed: frozenset[str]
    """Frames that never move in their parent: said once, or the same at every stamp. That holds forever."""
    unusable: Mapping[str, str]
    """Frame -> why it is not known where it is in its parent."""
    lost: Sequence[str]
    """What else was left out."""

    @property
    def frames(self) -> list[str]:
        return sorted({*self.parents, *self.parents.values(), *self.unusable})

    def chain(self, frame: str) -> list[str]:
        """Returns the frame and those above it, up to the root or to one whose place in its parent is not known."""
        above = [frame]
        while above[-1] in self.parents:
            above.append(self.parents[above[-1]])
        return above

    def moves(self, frame: str) -> bool:
        """Whether the recording says more than one pose of the frame in its parent."""
        return frame in self.motions and frame not in self.fixed

    def said_over_time(self, frame: str) -> bool:
        """Whether the recording says at more than one time where the frame is in its parent."""
        return frame in self.motions and len(self.motions[frame].times_ns) > 1

    def rigid_root(self, frame: str) -> str:
        """Returns the topmost frame that never moves against this one; raises BrokenRecord where that is not known."""
        for name in self.chain(frame):
            if name in self.unusable:
                raise BrokenRecord(self.unusable[name])
            stands = self.said_over_time(name) and self.parents.get(name) in _WORLDS
            if self.moves(name) or stands or name not in self.parents:
                return name
        return frame

    def top(self, frame: str) -> str:
        """Returns the topmost frame above this one; raises BrokenRecord where that is not known."""
        top = self.chain(frame)[-1]
        if top in self.unusable:
            moves = any(self.moves(name) for name in self.chain(frame))
            hint = f"; for poses in a frame below it say world_frame='{top}'" if moves else ""
            raise BrokenRecord(f"{self.unusable[top]}{hint}")
        return top

    def at(self, target: str, source: str, times_ns: NDArray[np.int64]) -> Matrix:
        """Returns (n, 4, 4) target_from_source; raises MissingRecord where no transforms connect them."""
        up, down = self.chain(source), self.chain(target)
        if not set(up) & set(down):
            raise self._not_connected(target, source, (up[-1], down[-1]))
        meet = next(name for name in up if name in down)
        return inverse(self._to(meet, down, times_ns)) @ self._to(meet, up, times_ns)

    def _not_connected(self, target: str, source: str, tops: Iterable[str]) -> LogError:
        for top in tops:
            if top in self.unusable:
                return BrokenRecord(self.unusable[top])
        left_out = f"; left out: {self.lost[0]}" if self.lost else ""
        return MissingRecord(
            f"{self.where}: no transform from '{source}' to '{target}'; the frames are "
            f"{', '.join(self.frames[:20]) or 'none'}{left_out}"
        )

    def _to(self, top: str, chain: list[str], times_ns: NDArray[np.int64]) -> Matrix:
        """(n, 4, 4) top_from_chain[0]."""
        out = np.broadcast_to(np.eye(4), (len(times_ns), 4, 4))
        for name in chain[: chain.index(top)]:
            out = self._edge(name, times_ns) @ out
        return np.asarray(out)

    def _edge(self, name: str, times_ns: NDArray[np.int64]) -> Matrix:
        motion = self.motions[name]
        # what never moves holds forever
        times = times_ns if self.moves(name) else np.full(len(times_ns), motion.times_ns[0])
        return motion.at_many(times)

    def poses(self, world: str, base: str, max_gap_ns: int, span_ns: tuple[int, int]) -> Poses:
        """Returns world_from_base at the stamps of the chain's most frequent transform, where all others are known.

        So that a gap in the fastest transform stays a gap, and so is what lies next to a broken one. Where all say the
        same at every stamp, that holds over `span_ns`. Raises LogErrors.
        """
        chain = self.chain(base)
        if world not in chain:
            if chain[-1] in self.unusable:
                raise BrokenRecord(self.unusable[chain[-1]])
            raise MissingRecord(
                f"{self.where}: world_frame '{world}' is not above '{base}', which is in {', '.join(chain)}"
            )
        links = chain[: chain.index(world)]
        moving = [self.motions[name] for name in links if self.moves(name)]
        if not moving:
            if not any(self.said_over_time(name) for name in links):
                raise MissingRecord(f"{self.where}: '{base}' never moves in '{world}'; there are no poses over time")
            return poses_held(self._to(world, chain, np.zeros(1, np.int64))[0], span_ns)
        first = max(int(m.times_ns[0]) for m in moving)
        last = min(int(m.times_ns[-1]) for m in moving)
        times = max(moving, key=lambda m: len(m.times_ns)).times_ns
        times = times[(times >= first) & (times <= last)]
        for motion in moving:
            times = times[motion.next_to_broken(times) < 0]
        if not len(times):
            raise LogError(f"{self.where}: the transforms between '{base}' and '{world}' have no time in common")
        transforms = self._to(world, chain, times)
        return _poses(times, transforms, max_gap_ns, sorted(broken for motion in moving for broken in motion.broken))


def _poses(times: NDArray[np.int64], transforms: Matrix, max_gap_ns: int, broken: Iterable[BrokenPose] = ()) -> Poses:
    quaternions = np.array([quaternion_from_rotation(t[:3, :3]) for t in transforms])
    return Poses(times, quaternions, transforms[:, :3, 3].copy(), max_gap_ns, tuple(broken))


def poses_held(world_from_base: Matrix, span_ns: tuple[int, int]) -> Poses:
    """Returns one pose over the span and 10 s beyond both ends, as far as a point's own time may be from its stamp."""
    ends = np.array([span_ns[0] - _MARGIN_NS, span_ns[1] + _MARGIN_NS], dtype=np.int64)
    return _poses(ends, np.stack([world_from_base] * 2), int(ends[1] - ends[0]))


def odometry_poses(motion: Poses, child_from_base: Matrix, max_gap_ns: int) -> Poses:
    """Returns world_from_base of an odometry's motion, child in world."""
    world_from_child = rigid(rotation_from_quaternion(motion.quaternions), motion.translations)
    return _poses(motion.times_ns, world_from_child @ child_from_base, max_gap_ns, motion.broken)


def add_all(edges: Edges, transforms: Iterable[Any], static: bool, recorded_ns: int, by_stamp: bool) -> None:
    """Adds the transforms of one TFMessage, at their own stamps or all at `recorded_ns`."""
    for t in transforms:
        stamp_ns = set_stamp_ns(t.header.stamp) if by_stamp else recorded_ns
        edges.add(t.header.frame_id, t.child_frame_id, stamp_ns, recorded_ns, t.transform, static)


def set_stamp_ns(stamp: Any) -> int:
    """Returns a message's stamp, 0 where it was never set or is none."""
    # ROS 1 has secs and nsecs in other decoders; rosbags names both alike
    is_set = stamp.sec >= 0 and 0 <= stamp.nanosec < 1_000_000_000
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec) if is_set else 0
