"""Packets of a video as a Matroska file in memory, for decoders that take files alone. Made after RFC 9559."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from .packets import Codec, Packet

__all__ = ["as_matroska"]

_CODECS: dict[Codec, bytes] = {"h264": b"V_MPEG4/ISO/AVC", "hevc": b"V_MPEGH/ISO/HEVC", "av1": b"V_AV1"}
_MILLISECOND_NS = 1_000_000


def as_matroska(packets: Iterable[tuple[Packet, bool]]) -> bytes:
    """Returns the file of packets and whether each is a key frame; packet k is at k milliseconds. At least one.

    The codec's own head is left out: what it says stands in the key frames too.
    """
    listed = list(packets)
    kind = _element("1a45dfa3", _element("4282", b"matroska"), _number("4287", 4), _number("4285", 2))
    info = _element("1549a966", _number("2ad7b1", _MILLISECOND_NS))
    track = _element(
        "ae",
        _number("d7", 1),
        _number("73c5", 1),
        _number("83", 1),
        # how long a picture is shown: without it a reader takes many packets apart to find out
        _number("23e383", _MILLISECOND_NS),
        _element("86", _CODECS[listed[0][0].codec]),
        # a size must be there, and what the pictures say of themselves counts
        _element("e0", _number("b0", 16), _number("ba", 16)),
    )
    clusters = (
        _element("1f43b675", _number("e7", at), _element("a3", b"\x81\0\0", b"\x80" if is_key else b"\0", packet.data))
        for at, (packet, is_key) in enumerate(listed)
    )
    return kind + _element("18538067", info, _element("1654ae6b", track), *clusters)


def _element(id: str, *parts: bytes) -> bytes:
    """An element: its id, its size in eight bytes, of which one bit says that there are eight, and its parts."""
    return bytes.fromhex(id) + struct.pack(">Q", 1 << 56 | sum(map(len, parts))) + b"".join(parts)


def _number(id: str, value: int) -> bytes:
    return _element(id, struct.pack(">Q", value))
