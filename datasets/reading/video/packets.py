"""The packets of a video, and where in it a decoder can begin: at a key frame, found without decoding anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from perceptum.inputs import LogError

__all__ = ["CODECS", "Codec", "Packet", "Packets", "VideoIndex"]

Codec = Literal["h264", "hevc", "av1"]
CODECS: tuple[Codec, ...] = ("h264", "hevc", "av1")

_START = b"\0\0\1"


@dataclass(frozen=True)
class Packet:
    """What one picture of a video is made of: NAL units behind start codes (Annex B), or the OBUs of AV1."""

    codec: Codec
    data: bytes

    @property
    def is_key(self) -> bool:
        """Whether a decoder that knows nothing yet can begin here: a key frame with the headers of its sequence."""
        return _BEGINS[self.codec](self.data)


class Packets(Protocol):
    """The packets of one video in the order in which they are decoded, one for each picture: a topic or a file.

    They may be read from any process; where they come from a container that lists its key frames, so may
    `VideoIndex.is_key`.
    """

    def __len__(self) -> int: ...

    def packet(self, index: int) -> Packet:
        """Returns one packet; raises LogErrors."""
        ...

    def where(self, index: int) -> str:
        """Returns where the packet lies, for messages."""
        ...


class VideoIndex:
    """Which packets of a video are key frames, as far as they were looked at; each is looked at once."""

    def __init__(self, packets: Packets) -> None:
        self.packets = packets
        self._is_key: dict[int, bool] = {}
        self._last: tuple[int, Packet] | None = None

    def packet(self, index: int) -> Packet:
        """Returns one packet, the last of them without reading it again; raises LogErrors."""
        if self._last is None or self._last[0] != index:
            self._last = None
            self._last = index, self.packets.packet(index)
        return self._last[1]

    def is_key(self, index: int) -> bool:
        """Whether the packet is a key frame; one that cannot be read is not."""
        if index not in self._is_key:
            try:
                self._is_key[index] = self.packet(index).is_key
            except LogError:
                self._is_key[index] = False
        return self._is_key[index]

    def newest_key(self, first: int, last: int) -> int | None:
        """Returns the last key frame from `first` to `last`, both included; None where there is none."""
        return next((index for index in range(last, first - 1, -1) if self.is_key(index)), None)

    def follows_damage(self, wanted: int, damaged: int) -> str:
        """Returns what is wrong with a picture that is decoded from one that is damaged."""
        where = self.packets.where
        return f"{where(wanted)}: is made from pictures before it, of which one cannot be decoded: {where(damaged)}"

    def before_first_key(self, wanted: int) -> str:
        """Returns what is wrong with a picture up to which there is no key frame."""
        return (
            f"{self.packets.where(wanted)}: no key frame up to this picture, so that there is nothing to decode it "
            "from; the video starts later"
        )


def _h264_begins(data: bytes) -> bool:
    """An instantaneous decoder refresh (5) with a sequence parameter set (7); ITU-T H.264, table 7-1."""
    has_headers = False
    for at in _units(data):
        kind = data[at] & 0x1F
        has_headers |= kind == 7
        # 1 to 5 hold the picture itself, and what matters lies before it
        if 1 <= kind <= 5:
            return kind == 5 and has_headers
    return False


def _hevc_begins(data: bytes) -> bool:
    """A random access picture (16 to 23) with a sequence parameter set (33); ITU-T H.265, table 7-1."""
    has_headers = False
    for at in _units(data):
        kind = data[at] >> 1 & 0x3F
        has_headers |= kind == 33
        if kind < 32:
            return 16 <= kind <= 23 and has_headers
    return False


def _units(data: bytes) -> Iterator[int]:
    """Yields where each NAL unit begins, behind its start code."""
    at = data.find(_START)
    while 0 <= at < len(data) - len(_START):
        yield at + len(_START)
        at = data.find(_START, at + len(_START))


def _av1_begins(data: bytes) -> bool:
    """A key frame that is shown, with a sequence header (OBU 1) before it; AV1 bitstream, sections 5.3 and 5.9."""
    at, has_headers = 0, False
    while at < len(data):
        kind, has_extension, has_size = data[at] >> 3 & 0xF, data[at] >> 2 & 1, data[at] >> 1 & 1
        at += 1 + has_extension
        size, at = _leb128(data, at) if has_size else (len(data) - at, at)
        has_headers |= kind == 1
        # frame header or frame: show_existing_frame (1 bit), frame_type (2 bits, 0 is a key frame)
        if kind in (3, 6):
            return has_headers and at < len(data) and data[at] >> 5 == 0
        at += size
    return False


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    """The number at `at` and where it ends; little-endian, seven bits a byte."""
    value = shift = 0
    while at < len(data) and shift < 56:
        value |= (data[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 0x80:
            break
    return value, at


_BEGINS: dict[Codec, Callable[[bytes], bool]] = {"h264": _h264_begins, "hevc": _hevc_begins, "av1": _av1_begins}
