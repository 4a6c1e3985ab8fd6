"""How the ego moves in the world and where the sensors sit on it, from a recording's transforms and odometry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from perceptum.inputs import BrokenRecord, LogError, Matrix, MissingRecord, Poses
from perceptum.inputs.once import once

from .foxglove_fields import TRANSFORM
from .frames import Edges, FrameTree, add_all, odometry_poses, poses_held, set_stamp_ns
from .options import RecordingOptions
from .recording import WHOLE, Found, Recording
from .types import ODOMETRY, TF, decode

__all__ = ["Motion"]


_EGO_FRAME = "base_link"
_STATIC = "tf_static"


class Motion:
    """Reads the transforms when they are first needed."""

    def __init__(self, recording: Recording, options: RecordingOptions, sensor_frame: Callable[[], str]) -> None:
        """`sensor_frame` gives the frame_id of the reference sensor."""
        self._recording, self._options, self._sensor_frame = recording, options, sensor_frame

    def _messages(self, topics: Iterable[str]) -> list[Found]:
        """Whole messages in the order in which they were recorded."""
        found = self._recording.scan(list(topics), WHOLE)
        return sorted(found, key=lambda f: (f.log_ns, f.place))

    def _recorded_ns(self, found: Found) -> int:
        return found.publish_ns if self._options.clock == "publish" else found.log_ns

    @property
    def _by_stamp(self) -> bool:
        """Whether a message's own stamp counts."""
        return self._options.clock == "header"

    def _where(self, topic: str) -> str:
        return f"{self._recording.location}: {topic}"

    def _decoded(self, edges: Edges, topics: Iterable[str]) -> Iterator[tuple[Found, Any]]:
        """Yields the messages that can be read; `edges` gets the others."""
        for found in self._messages(topics):
            try:
                message = decode(self._recording.topics[found.topic], found.data, self._where(found.topic))
            except BrokenRecord as error:
                edges.lost.append(str(error))
            else:
                yield found, message

    @once
    def tree(self) -> FrameTree:
        """All frames that the transform topics tell of."""
        names = [t.name for t in self._recording.topics.values() if t.carries((*TF, *TRANSFORM))]
        edges = Edges(f"{self._recording.location}: transforms")
        for found, message in self._decoded(edges, names):
            static = found.topic.endswith(_STATIC)
            add_all(edges, message.transforms, static, self._recorded_ns(found), self._by_stamp)
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
        """Returns world_from_ego; the identity over `span_ns` in a recording without motion."""
        options, base, tree = self._options, self.base_frame, self.tree
        above = tree.chain(base)
        if options.odometry is None:
            if options.world_frame is not None:
                return tree.poses(options.world_frame.lstrip("/"), base, options.max_pose_gap_ns, span_ns)
            # a chain that breaks off may have had motion
            top = tree.top(base)
            if any(tree.moves(name) for name in above):
                return tree.poses(top, base, options.max_pose_gap_ns, span_ns)
        stands = any(tree.said_over_time(name) for name in above)
        topic = self._odometry_topic(needed=not stands)
        if topic is not None:
            return self._odometry(topic, span_ns)
        return (
            tree.poses(above[-1], base, options.max_pose_gap_ns, span_ns) if stands else poses_held(np.eye(4), span_ns)
        )

    def _odometry_topic(self, needed: bool) -> str | None:
        """The topic that was asked for, else the only one; of several none, which is an error where one is needed."""
        found = sorted(t.name for t in self._recording.topics.values() if t.carries((ODOMETRY,)))
        asked = self._options.odometry
        if asked is not None and asked not in found:
            known = ", ".join(found) or "none"
            raise MissingRecord(
                f"{self._recording.location}: odometry is '{asked}', the topics of {ODOMETRY} are {known}"
            )
        if asked is None and len(found) > 1:
            if not needed:
                return None
            raise LogError(
                f"{self._recording.location}: odometry from {', '.join(found)}; say which with odometry='...'"
            )
        return asked if asked is not None else next(iter(found), None)

    def _odometry(self, topic: str, span_ns: tuple[int, int]) -> Poses:
        """The poses of one topic; of a vehicle that it says stands still, the one pose over `span_ns` and its own."""
        edges, where = Edges(self._where(topic)), self._where(topic)
        said = [
            (message.header.frame_id, message.child_frame_id, self._time_of(found, message), found, message.pose.pose)
            for found, message in self._decoded(edges, [topic])
        ]
        # some drivers leave a name empty, of all messages or of some: what the others say is meant
        parent, child = (_most_frequent(names) for names in ([row[0] for row in said], [row[1] for row in said]))
        for its_parent, its_child, stamp_ns, found, pose in said:
            names = its_parent or parent or "odom", its_child or child or self.base_frame
            edges.add(*names, stamp_ns, self._recorded_ns(found), pose, static=False)
        if len(edges.found) > 1:
            raise LogError(f"{where}: has poses of {', '.join(edges.found)}, wanted one child_frame_id")
        motions = edges.tree()
        if not motions.parents:
            raise BrokenRecord(next(iter((*motions.unusable.values(), *motions.lost)), f"{where}: has no pose"))
        own = next(iter(motions.parents))
        at = np.zeros(1, dtype=np.int64)
        own_from_base = self.tree.at(own, self.base_frame, at)[0]
        poses = odometry_poses(motions.motions[own], own_from_base, self._options.max_pose_gap_ns)
        if motions.moves(own) or not motions.said_over_time(own):
            return poses
        first, last = poses.span_ns
        return poses_held(poses.at(first), (min(first, span_ns[0]), max(last, span_ns[1])))

    def _time_of(self, found: Found, message: Any) -> int:
        return set_stamp_ns(message.header.stamp) if self._by_stamp else self._recorded_ns(found)


def _most_frequent(names: Iterable[str]) -> str:
    """Returns the name that most have, of those that are not empty; "" where all are."""
    counts = Counter(filter(None, names))
    return counts.most_common(1)[0][0] if counts else ""
