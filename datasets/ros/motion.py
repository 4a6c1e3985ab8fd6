"""How the ego moves in the world and where the sensors sit on it, from a recording's transforms and odometry."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import LogError, MissingRecord, Poses
from perceptum.inputs.once import once

from .frames import Edges, FrameTree, add_all, odometry_poses
from .options import RecordingOptions
from .recording import WHOLE, Found, Recording
from .types import ODOMETRY, TF, decode

__all__ = ["Motion"]

Matrix = NDArray[np.float64]

_EGO_FRAME = "base_link"
_STATIC = "tf_static"
_MARGIN_NS = 10_000_000_000


class Motion:
    """Reads the transforms when they are first needed."""

    def __init__(self, recording: Recording, options: RecordingOptions, sensor_frame: Callable[[], str]) -> None:
        """`sensor_frame` tells the frame_id of the reference sensor."""
        self._recording, self._options, self._sensor_frame = recording, options, sensor_frame

    def _messages(self, topics: Iterable[str]) -> list[Found]:
        """Whole messages in the order in which they were recorded."""
        found = self._recording.scan(list(topics), WHOLE)
        return sorted(found, key=lambda f: (f.log_ns, f.place))

    def _log_ns(self, found: Found) -> int | None:
        """None: the message's own stamp counts."""
        times = {"header": None, "log": found.log_ns, "publish": found.publish_ns}
        return times[self._options.clock]

    def _where(self, topic: str) -> str:
        return f"{self._recording.location}: {topic}"

    @once
    def tree(self) -> FrameTree:
        """All frames that the transform topics tell of."""
        names = [t.name for t in self._recording.topics.values() if t.type in TF]
        edges = Edges(f"{self._recording.location}: transforms")
        for found in self._messages(names):
            where = self._where(found.topic)
            message = decode(self._recording.topics[found.topic], found.data, where)
            add_all(edges, message.transforms, found.topic.endswith(_STATIC), self._log_ns(found))
        return edges.tree()

    @once
    def base_frame(self) -> str:
        if self._options.base_frame is not None:
            return self._options.base_frame.lstrip("/")
        return _EGO_FRAME if _EGO_FRAME in self.tree.frames else self.tree.rigid_root(self._sensor_frame())

    def ego_from(self, frame: str, time_ns: int) -> Matrix:
        """Returns (4, 4); raises MissingRecord where no transforms connect the frame with the ego's."""
        at = self.tree.at(self.base_frame, frame.lstrip("/"), np.array([time_ns], dtype=np.int64))
        ego_from_sensor: Matrix = np.ascontiguousarray(at[0])
        return ego_from_sensor

    def poses(self, span_ns: tuple[int, int]) -> Poses:
        """Returns world_from_ego; the identity over `span_ns` in a recording that tells of no motion."""
        options, base, gap_ns = self._options, self.base_frame, self._options.max_pose_gap_ns
        if options.odometry is None:
            above = self.tree.chain(base)
            world = options.world_frame.lstrip("/") if options.world_frame is not None else above[-1]
            if options.world_frame is not None or any(self.tree.moves(name) for name in above):
                return self.tree.poses(world, base, gap_ns)
        topic = self._odometry_topic()
        return self._odometry(topic) if topic is not None else _standing(span_ns)

    def _odometry_topic(self) -> str | None:
        found = sorted(t.name for t in self._recording.topics.values() if t.type == ODOMETRY and t.count != 0)
        asked = self._options.odometry
        if asked is not None and asked not in found:
            known = ", ".join(found) or "none"
            raise MissingRecord(f"{self._recording.location}: odometry is '{asked}', of {ODOMETRY} there are {known}")
        if asked is None and len(found) > 1:
            raise LogError(
                f"{self._recording.location}: odometry from {', '.join(found)}; say which with odometry='...'"
            )
        return asked if asked is not None else next(iter(found), None)

    def _odometry(self, topic: str) -> Poses:
        edges, child, where = Edges(self._where(topic)), "", self._where(topic)
        for found in self._messages([topic]):
            message = decode(self._recording.topics[topic], found.data, where)
            # some drivers leave the child empty and mean the ego
            child = (message.child_frame_id or self.base_frame).lstrip("/")
            stamp, log_ns = message.header.stamp, self._log_ns(found)
            time_ns = stamp.sec * 1_000_000_000 + stamp.nanosec if log_ns is None else log_ns
            edges.add(message.header.frame_id or "odom", child, time_ns, message.pose.pose, static=False)
        if len(edges.found) > 1:
            raise LogError(f"{where}: tells of {', '.join(edges.found)}, wanted one child_frame_id")
        at = np.zeros(1, dtype=np.int64)
        child_from_base = self.tree.at(child, self.base_frame, at)[0]
        return odometry_poses(edges.found[child], child_from_base, self._options.max_pose_gap_ns)


def _standing(span_ns: tuple[int, int]) -> Poses:
    """The identity over the span and 10 s beyond both ends, as far as a point's own time may be from its stamp."""
    ends = np.array([span_ns[0] - _MARGIN_NS, span_ns[1] + _MARGIN_NS], dtype=np.int64)
    fixed = Poses.fixed(ends)
    return Poses(ends, fixed.quaternions, fixed.translations, max_gap_ns=int(ends[1] - ends[0]))
