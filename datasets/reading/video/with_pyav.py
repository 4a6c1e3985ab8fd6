"""A video decoded by PyAV, packet by packet."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord, LogError, MissingRecord
from perceptum.inputs.picture_size import MOST_PIXELS

from .packets import Codec, VideoIndex

__all__ = ["PyAvDecoder"]

_NAMES: dict[Codec, str] = {"h264": "h264", "hevc": "hevc", "av1": "libdav1d"}
_OPTIONS: dict[Codec, dict[str, str]] = {
    # says of itself where it patched a picture up
    "h264": {},
    # does not, but then stops at damage if it is told to
    "hevc": {"err_detect": "explode"},
    "av1": {},
}
_LOW_DELAY = 1 << 19
"""AV_CODEC_FLAG_LOW_DELAY: each picture comes with its packet, not one later."""
_MOST_DELAYED = 16
"""How many packets further on a picture may come, by both standards: as many as are kept to be referred to."""
_KEPT_BYTES = 1 << 24
"""Of decoded pictures that are kept as they came, with colours at half size: those that were passed by.

Several threads that build neighbouring frames ask for 3, 1, 2; without it each would begin at the key frame.
"""
_KEPT_AT_LEAST = 2


class PyAvDecoder:
    """Goes on from packet to packet; begins anew at a key frame where the order is broken."""

    def __init__(self, index: VideoIndex) -> None:
        from av.video.reformatter import VideoReformatter

        self._index, self._to_rgb = index, VideoReformatter()
        self._codec: Codec | None = None
        self._context: Any = None
        self._begun = False
        """Whether the decoder stands before `_next` and may go on; False after damage and at the video's end."""
        self._next = 0
        """The packet that is decoded next."""
        self._due = 0
        """The picture that must come out next, since pictures come in the order of their packets."""
        self._damaged: int | None = None
        """The packet of the current group that was damaged."""
        self._kept: OrderedDict[int, Any] = OrderedDict()
        """Picture -> frame, as decoded, the newest last."""

    def picture(self, index: int) -> NDArray[np.uint8]:
        frame = self._frame(index)
        # left to itself it starts a thread for each processor, for each picture
        rgb = self._to_rgb.reformat(frame, format="rgb24", threads=1)
        # its rows lie as far apart as FFmpeg likes them, where the width is not a multiple of 16
        return np.ascontiguousarray(rgb.to_ndarray())

    def size(self, index: int) -> tuple[int, int]:
        frame = self._frame(index)
        return int(frame.height), int(frame.width)

    def _frame(self, index: int) -> Any:
        return self._kept[index] if index in self._kept else self._decode_to(index)

    def _decode_to(self, index: int) -> Any:
        # what is wrong with this packet itself is the best message
        self._index.packet(index)
        self._check_not_behind_damage(index)
        goes_on = self._begun and self._due <= index
        # what lies before a key frame is not decoded; without one on the way the decoder goes on from where it stands
        key = self._index.newest_key(self._next if goes_on else 0, index)
        if key is not None or not goes_on:
            self._begin(key, index)
        while index not in self._kept:
            self._step(index)
            self._check_not_behind_damage(index)
        frame = self._kept[index]
        self._forget()
        return frame

    def _check_not_behind_damage(self, index: int) -> None:
        damaged = self._damaged
        if damaged is not None and damaged < index and self._index.newest_key(damaged + 1, index) is None:
            raise BrokenRecord(self._index.follows_damage(index, damaged))

    def _begin(self, key: int | None, index: int) -> None:
        """Makes the decoder ready for the key frame."""
        if key is None:
            raise MissingRecord(self._index.before_first_key(index))
        codec = self._index.packet(key).codec
        in_order = self._begun and codec == self._codec and key == self._next == self._due
        if not in_order:
            # a new one: flushed after damage, FFmpeg's HEVC decoder still gives a picture from before
            self._context, self._codec = _context(codec), codec
        self._begun, self._next, self._due, self._damaged = True, key, key, None

    def _step(self, index: int) -> None:
        """Decodes the next packet on the way to a picture, or what is left in the decoder where there is none."""
        from av.error import FFmpegError

        at = self._next
        is_last = not self._begun or at == len(self._index.packets) or at > index + _MOST_DELAYED
        if is_last or (at > index and self._index.is_key(at)):
            self._begun = False
            self._take(self._context.decode(None), index)
            if index not in self._kept:
                self._fail(index, index, "gives no picture")
            return
        self._next += 1
        try:
            packet = self._index.packet(at)
        except LogError as error:
            self._begun, self._damaged = False, at
            if at <= index:
                raise BrokenRecord(self._index.follows_damage(index, at)) from error
            return
        try:
            frames = self._context.decode(_packet(packet.data, at)) if packet.data else []
        # what it raises of its own is a ValueError, an OverflowError and more; an empty packet would end the video
        except (FFmpegError, ValueError, OSError, RuntimeError, MemoryError) as error:
            self._fail(at, index, f"cannot be decoded ({_said(error, self._context)})")
            return
        self._take(frames, index)

    def _take(self, frames: list[Any], index: int) -> None:
        for frame in frames:
            if frame.is_corrupt:
                self._fail(int(frame.pts), index, "is damaged")
                return
            if frame.pts != self._due:
                self._fail(self._due, index, "gives no picture, or a later one")
                return
            self._kept.pop(self._due, None)
            self._kept[self._due] = frame
            self._due += 1

    def _fail(self, at: int, index: int, how: str) -> None:
        """Ends the group at the packet `at`; raises BrokenRecord if the wanted picture needs it."""
        self._begun, self._damaged = False, at
        if at == index:
            raise BrokenRecord(f"{self._index.packets.where(at)}: the {self._codec} packet {how}")
        if at < index:
            raise BrokenRecord(self._index.follows_damage(index, at))

    def _forget(self) -> None:
        newest = next(reversed(self._kept.values()))
        most = max(_KEPT_BYTES // (newest.width * newest.height * 3 // 2 + 1), _KEPT_AT_LEAST)
        while len(self._kept) > most:
            self._kept.popitem(last=False)


def _context(codec: Codec) -> Any:
    import av

    try:
        context: Any = av.CodecContext.create(_NAMES[codec], "r")
    except ValueError as error:
        raise LogError(f"this PyAV cannot decode {codec} ({error})") from error
    # a thread for each caller: what is built side by side are cameras and frames
    context.thread_count = 1
    context.flags |= _LOW_DELAY
    context.options = {**_OPTIONS[codec], "max_pixels": str(MOST_PIXELS)}
    return context


def _said(error: Exception, context: Any) -> str:
    if context.width * context.height > MOST_PIXELS:
        return f"{context.width} x {context.height}, wanted at most {MOST_PIXELS} pixels"
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


def _packet(data: bytes, number: int) -> Any:
    import av

    packet = av.Packet(data)
    packet.pts = packet.dts = number
    return packet
