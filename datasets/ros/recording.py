"""What a recording answers, be it an MCAP file, a ROS 1 bag or a rosbag2 folder: topics, where messages lie, bytes."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from perceptum.inputs import BrokenRecord

from .foxglove_fields import is_foxglove

__all__ = ["STAMP_BYTES", "WHOLE", "Clock", "Found", "Place", "Recording", "Topic", "first_of", "stamp_ns", "type_name"]

Clock = Literal["header", "log", "publish"]
"""header: when it was measured; log: when it was recorded; publish: when it was sent."""

Place = tuple[int, int, int]
"""Where a message lies, in the recording's own terms; places sort in the order in which the messages were written."""

STAMP_BYTES = 12
"""What is read of a message to learn its stamp; of protobuf and JSON, which need not begin with it, all is."""
WHOLE = -1
"""All bytes of a message."""


@dataclass(frozen=True)
class Topic:
    """One topic: what kind of message it carries and how that is written."""

    name: str
    type: str
    """e.g. sensor_msgs/msg/PointCloud2, also for ROS 1."""
    encoding: str
    """cdr (ROS 2) or ros1; others are not read."""
    count: int
    """How many messages, counted where the recording does not say."""
    definition: str = ""
    """The message's definition as the recording holds it; empty where it holds none."""
    definition_format: str = ""
    """ros2msg, ros1msg or ros2idl."""
    also: tuple[str, ...] = ()
    """Where messages of several types are in it: all of them."""
    conflict: str = ""
    """Why its messages cannot be read by one definition; empty where they can."""

    def carries(self, types: Collection[str]) -> bool:
        """Whether it has messages, some of them of one of these types."""
        return self.count > 0 and not {self.type, *self.also}.isdisjoint(types)


@dataclass(frozen=True)
class Found:
    """One message met on the way through a recording."""

    topic: str
    log_ns: int
    publish_ns: int
    place: Place
    data: bytes
    """As much of the message as was asked for."""


class Recording(Protocol):
    """One recording. Nothing stays open between calls, so that it may be read from forked processes and threads."""

    location: str

    @property
    def topics(self) -> Mapping[str, Topic]:
        """Topic by name."""
        ...

    def scan(self, topics: Collection[str], most: int) -> Iterator[Found]:
        """Yields the messages of the topics, in any order, each with its first `most` bytes: 0, STAMP_BYTES, WHOLE."""
        ...

    def payload(self, topic: str, place: Place) -> bytes:
        """Returns one message's bytes, as written."""
        ...


def first_of(data: bytes, most: int) -> bytes:
    """Returns the first `most` bytes, or all."""
    return data if most == WHOLE else data[:most]


def type_name(name: str) -> str:
    """Returns package/msg/Name of package/Name and of package/msg/Name."""
    parts = name.split("/")
    return f"{parts[0]}/msg/{parts[1]}" if len(parts) == 2 else name


def stamp_ns(topic: Topic, prefix: bytes, where: str) -> int:
    """Returns the stamp of a message that begins with a std_msgs/Header, or with the time; raises BrokenRecord."""
    if topic.encoding == "ros1":
        # a header has a number before its stamp
        form, at = "<II", 0 if is_foxglove(topic.type) else 4
    else:
        form, at = ("<iI" if prefix[1:2] == b"\x01" else ">iI"), 4
    if len(prefix) < at + 8:
        raise BrokenRecord(f"{where}: a message of {len(prefix)} bytes, wanted a header with a stamp")
    seconds, nanoseconds = struct.unpack_from(form, prefix, at)
    if not (seconds >= 0 and nanoseconds < 1_000_000_000):
        raise BrokenRecord(
            f"{where}: its stamp is {seconds} s {nanoseconds} ns, wanted one since 1970; try clock='log'"
        )
    return int(seconds) * 1_000_000_000 + int(nanoseconds)
