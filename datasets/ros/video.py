"""A topic of CompressedVideo as a video: a message holds one picture's packet, in the order of decoding."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from perceptum.inputs import BrokenRecord

from ..reading.video.packets import Codec, Packet

__all__ = ["VideoTopic"]

_FORMATS: Mapping[str, Codec] = {"h264": "h264", "h265": "hevc", "hevc": "hevc", "av1": "av1"}


@dataclass(frozen=True)
class VideoTopic:
    """The packets of one topic, as `Packets` asks for them."""

    count: int
    read: Callable[[int], Any]
    """Returns a message by its number."""
    where_of: Callable[[int], str]

    def __len__(self) -> int:
        return self.count

    def packet(self, index: int) -> Packet:
        """Returns what the message holds; raises BrokenRecord."""
        message = self.read(index)
        codec = _FORMATS.get(message.format.lower())
        if codec is None:
            raise BrokenRecord(
                f"{self.where(index)}: format {message.format[:40]!r} is not read, wanted h264, h265 or av1"
            )
        return Packet(codec, message.data)

    def where(self, index: int) -> str:
        return self.where_of(index)
