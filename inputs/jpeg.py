"""JPEG pictures that warn but are complete: filler before a marker, a version or a code of their own.

Webcams pad with bytes that no decoder needs, and others write headers that libjpeg warns of and reads. Decoding
strictly ends at the first warning, and so cannot tell these from a picture that is cut short. Here what the warning is
about is taken out, and what is left is decoded strictly: the picture is whole if nothing else is wrong with it, and if
its data end as an encoder ends them.

What cannot be told: a damaged bit may make a decoder end early, and leave over so little, or so few different bytes,
that they look like filler. Where it then ended at a byte's end, or before ones up to it, nothing shows that the picture
is wrong: a flat one that lost a single block may end so wherever the bit was. Of 17 000 pictures damaged in one byte,
of which something was left over, 5 in 10 000 were taken without restarts (480 before their ends were looked at), and 3
in 100 with a restart every four blocks, which keep the damage to those blocks (8 before). Of 20 000 small pictures of
noise with filler, 12 were refused, of which the data of 8 end with zeros, as the filler begins (300 before what a bit
changes was looked at in more than the picture itself).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["JPEG", "length_at", "markers_of", "past_warnings", "size_and_orientation", "size_of"]

Pixels = NDArray[np.uint8]
Decode = Callable[[bytes, bool], Pixels]
"""(picture, strict); strict raises ValueError at the first warning."""

JPEG = b"\xff\xd8\xff"
"""What every JPEG file begins with."""

_SEQUENTIAL = (0xC0, 0xC1)
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_START, _END, _SCAN, _TABLES, _INTERVAL = 0xD8, 0xD9, 0xDA, 0xDB, 0xDD
_RESTARTS = range(0xD0, 0xD8)
_ALONE = (0x01, *_RESTARTS, _START, _END)
"""Markers without a segment behind them."""
_MARKER = re.compile(rb"\xff+([^\x00\xff])")
_EXTRANEOUS = re.compile(r"(\d+) extraneous bytes before marker 0x([0-9a-f]{2})")
_FEW_BYTES, _FEW_VALUES = 16, 8
_SAME_BYTES = 4
_READ_AHEAD = 8
"""Bytes that libjpeg may have in its register of 64 bits."""
_NUMBERS = (1, 8)
"""For quantisation tables: by the first few pixels are as light as they can be, by the second each datum is seen."""
_MOST_SCANS = 64
_MOST_SEGMENTS = 1000
"""Of a picture that warns; what stands in a header may take any time to go through again and again."""
_MOST_TRIES = 50
"""Decodings of a picture that warns, or of as many bytes and pixels of its parts: a whole one takes 16 at most for each
of its scans, and one that was made for it would take hours."""
_LEAST_COST = 1 << 24
_WIDEST_BLOCKS = 4000
_TURNED = 0x0112
"""The tag of EXIF's orientation."""


class _Marker(NamedTuple):
    code: int
    at: int
    """Where it begins, fill bytes of 0xff included."""
    gap_from: int
    """Where the segment, or the data of the scan, before it ends: nothing should lie between the two in a header."""
    in_scan: bool
    segment: int
    """Where what follows the marker begins, its two bytes of length first."""


def past_warnings(encoded: bytes, warning: str, decode: Decode) -> tuple[bytes, bool]:
    """Returns the picture that `decode`, strictly, refused with `warning`, without what it warned of, and whether it is
    to be decoded strictly; raises ValueError where it is not whole, and where finding out takes too long."""
    if sum(marker.code not in _RESTARTS for marker in markers_of(encoded)) > _MOST_SEGMENTS:
        raise ValueError(warning)
    decode = _bounded(decode, encoded)
    plain = _with_plain_headers(encoded)
    if plain != encoded:
        tried = _tried(plain, decode)
        if not isinstance(tried, str):
            return plain, True
        warning = tried
    # what a damaged bit leaves over of a progressive scan looks like filler too
    if not _EXTRANEOUS.search(warning) or not _is_sequential(plain):
        raise ValueError(warning)
    try:
        pieces = _pieces(plain)
    except (struct.error, IndexError, ArithmeticError) as error:
        raise ValueError(warning) from error
    if pieces is None:
        return _without_filler(plain, warning, decode), True
    # with restarts a warning comes late, and counts what several of them had too much: each is looked at alone
    for piece in pieces:
        tried = _tried(piece, decode)
        if isinstance(tried, str):
            _without_filler(piece, warning, decode, tried)
    return plain, False


def _bounded(decode: Decode, picture: bytes) -> Decode:
    """Returns `decode` for _MOST_TRIES times the work of the picture; from then on it raises ValueError."""
    left = _MOST_TRIES * max(_cost(picture), _LEAST_COST)

    def decode_while_left(encoded: bytes, strict: bool) -> Pixels:
        nonlocal left
        left -= _cost(encoded)
        if left < 0:
            raise ValueError("it takes too long to find out whether it is whole")
        return decode(encoded, strict)

    return decode_while_left


def _cost(encoded: bytes) -> int:
    """How many bytes a decoder reads and writes."""
    height, width = size_of(encoded) or (0, 0)
    return len(encoded) + 3 * height * width


def _tried(encoded: bytes, decode: Decode) -> Pixels | str:
    """Returns the picture, or what is wrong with it."""
    try:
        return decode(encoded, True)
    except ValueError as error:
        return str(error)


def _without_filler(encoded: bytes, first: str, decode: Decode, warning: str = "") -> bytes:
    """Takes out the bytes that warnings count before markers, one after the other; raises ValueError of `first`.

    warning: what the decoder says of `encoded`, where that is not `first`.
    """
    warning, known_until = warning or first, 0
    removed: dict[int, bytes] = {}
    for _ in range(_MOST_SCANS):
        for end, cut in _cuts(encoded, warning):
            marker = end + len(encoded) - len(cut)
            # a scan that was whole before is whole still
            if marker < known_until:
                continue
            # a second warning of one marker counts what the decoder had taken already
            without = {**removed, end: encoded[end:marker] + removed.get(marker, b"")}
            if end != marker:
                without.pop(marker, None)
            tried = _tried(cut, decode)
            if not isinstance(tried, str):
                if all(_ends_there(cut, at, filler, tried, decode) for at, filler in without.items()):
                    return cut
            elif _EXTRANEOUS.search(tried):
                encoded, known_until, warning, removed = cut, end, tried, without
                break
        else:
            break
    raise ValueError(first)


def _cuts(encoded: bytes, warning: str) -> Iterator[tuple[int, bytes]]:
    """Yields where a marker that the warning may be about comes to stand, and the picture without what is before it.

    The warning names a marker, but not which of its kind: each, in order. That it was another shows by data that are
    then missing.
    """
    found = _EXTRANEOUS.search(warning)
    if found is None:
        return
    count, code = int(found[1]), int(found[2], 16)
    for marker in markers_of(encoded):
        extraneous = encoded[max(marker.at - count, marker.gap_from) : marker.at]
        if marker.code == code and len(extraneous) == count and _is_filler(extraneous):
            yield marker.at - count, encoded[: marker.at - count] + encoded[marker.at :]


def _is_sequential(encoded: bytes) -> bool:
    """Whether all of each part of the picture comes at once; the first frame's marker says it."""
    return next((m.code in _SEQUENTIAL for m in markers_of(encoded) if m.code in _FRAMES), False)


def _ends_there(encoded: bytes, marker: int, filler: bytes, picture: Pixels, decode: Decode) -> bool:
    """Whether the data of a scan end before a marker, from which filler was removed, as an encoder ends them: with ones
    up to a byte's end (ITU-T T.81, F.1.2.3), and not with what is in the filler too.

    Where a damaged bit makes a decoder end early, it ends anywhere, and what is left of the byte is of the picture. Its
    lowest 0 says which: if that is not data, it could be 1 and nothing would change. What is left of a flat picture
    goes on as its data did. picture: what `encoded` is.
    """
    end = _end_of_data(encoded, marker, decode)
    if encoded[end - _SAME_BYTES : end] in encoded[end:marker] + filler:
        return False
    last = encoded[end - 1]
    # padding is never a whole byte; what is left of a stuffed 0xff is data, or ones
    if encoded[end - 2 : end] == b"\xff\x00" or last & 0x7F == 0x7F:
        return True
    lowest = ~last & (last + 1)
    for raised in (last | lowest, (last | lowest) & -lowest):
        changed = encoded[: end - 1] + bytes([raised] if raised < 0xFF else [0xFF, 0]) + encoded[marker:]
        again = _tried(changed, decode)
        if isinstance(again, str) or not np.array_equal(picture, again):
            return True
        # what it changes may be rounded away where a picture is finely quantised, or lie beyond its edge
        for number in _NUMBERS:
            if not np.array_equal(_tried(_shown(encoded, number), decode), _tried(_shown(changed, number), decode)):
                return True
    return False


def _shown(encoded: bytes, number: int) -> bytes:
    """Returns the picture with whole blocks, of which none lies beyond its edge, and with quantisation tables whose
    numbers are all `number`."""
    shown = bytearray(encoded)
    for marker in markers_of(encoded):
        at, end = marker.segment + 2, marker.segment + 2
        if marker.code in _SEQUENTIAL:
            layout = _Layout.of(encoded, marker.segment)
            sizes = struct.unpack_from(">HH", encoded, at + 1)
            blocks = (layout.block_height, layout.block_width)
            whole = [min(-(-size // block) * block, 0xFFFF) for size, block in zip(sizes, blocks, strict=True)]
            struct.pack_into(">HH", shown, at + 1, *whole)
        if marker.code == _TABLES:
            end = marker.segment + length_at(encoded, marker.segment)
        while at < end:
            one = bytes([number]) if encoded[at] >> 4 == 0 else bytes([0, number])
            shown[at + 1 : at + 1 + 64 * len(one)] = 64 * one
            at += 1 + 64 * len(one)
    return bytes(shown)


def _end_of_data(encoded: bytes, marker: int, decode: Decode) -> int:
    """Returns where the data before a marker end, of which each byte is needed; a warning does not count those that the
    decoder had already taken."""
    low, high = marker - _READ_AHEAD, marker
    while low < high:
        middle = (low + high) // 2
        if isinstance(_tried(encoded[:middle] + encoded[marker:], decode), str):
            low = middle + 1
        else:
            high = middle
    return high


def _is_filler(extraneous: bytes) -> bool:
    """Whether it is a few bytes, or few different ones; much else is what a damaged bit left of the scan's data."""
    return len(extraneous) <= _FEW_BYTES or len(set(extraneous)) <= _FEW_VALUES


def markers_of(encoded: bytes) -> Iterator[_Marker]:
    """Yields the markers up to the end of the picture, as libjpeg finds them: what is between segments is skipped."""
    at, in_scan = 2, False
    while found := _MARKER.search(encoded, at):
        code = found[1][0]
        yield _Marker(code, found.start(), at, in_scan, found.end())
        at = found.end()
        if code == _END:
            return
        if code not in _ALONE:
            if len(encoded) < at + 2:
                return
            at += length_at(encoded, at)
            in_scan = code == _SCAN


def length_at(encoded: bytes, at: int) -> int:
    length: int = struct.unpack_from(">H", encoded, at)[0]
    return length


def _with_plain_headers(encoded: bytes) -> bytes:
    """Returns the picture with headers as libjpeg takes them: nothing between, and versions and codes that it knows."""
    markers = list(markers_of(encoded))
    frame = next((m for m in markers if m.code in (*_SEQUENTIAL, 0xC2)), None)
    components = encoded[frame.segment + 7] if frame is not None and len(encoded) > frame.segment + 7 else 3
    sequential = frame is not None and frame.code in _SEQUENTIAL
    changed, kept = bytearray(encoded), [0]
    for marker in markers:
        if not marker.in_scan and marker.at > marker.gap_from:
            kept += [marker.gap_from, marker.at]
        text = marker.segment + 2
        if marker.code == 0xE0 and encoded.startswith(b"JFIF\0", text) and encoded[text + 5 : text + 6] != b"\x01":
            changed[text + 5 : text + 7] = b"\x01\x01"
        elif marker.code == 0xEE and encoded.startswith(b"Adobe", text) and len(encoded) > text + 11:
            # an unknown code is taken for that of YCbCr or YCCK
            if encoded[text + 11] > 2:
                changed[text + 11] = 2 if components == 4 else 1
        elif marker.code == _SCAN and sequential and len(encoded) > text:
            # which part of the spectrum a scan holds: a sequential one holds all, whatever it says
            end = marker.segment + length_at(encoded, marker.segment)
            changed[end - 3 : end] = b"\x00\x3f\x00"
    kept.append(len(changed))
    return b"".join(changed[first:end] for first, end in zip(kept[::2], kept[1::2], strict=True))


def _pieces(encoded: bytes) -> Iterator[bytes] | None:
    """Returns what is between restarts, each as a picture of its own; None where there are none, or in several scans.

    Raises ValueError where restarts are missing, too many or out of order.
    """
    markers = list(markers_of(encoded))
    scans = [m for m in markers if m.code == _SCAN]
    frame = next((m for m in markers if m.code in _SEQUENTIAL), None)
    intervals = [m for m in markers if m.code == _INTERVAL and len(encoded) >= m.segment + 4]
    interval = struct.unpack_from(">H", encoded, intervals[-1].segment + 2)[0] if intervals else 0
    if frame is None or len(scans) != 1 or interval == 0 or scans[0].at < frame.at:
        return None
    layout = _Layout.of(encoded, frame.segment)
    within = markers[markers.index(scans[0]) + 1 :]
    data_from = scans[0].segment + length_at(encoded, scans[0].segment)
    numbers = [m.code for m in within[:-1]]
    count = -(-layout.blocks // interval)
    if not within or within[-1].code != _END or numbers != [_RESTARTS[i % 8] for i in range(count - 1)]:
        raise ValueError(f"{len(numbers)} restarts, wanted {count - 1} in order")
    # the last of them may have fewer blocks
    of_all, of_last = (
        layout.head(encoded[:data_from], frame.segment, blocks)
        for blocks in (min(interval, layout.blocks), layout.blocks - (count - 1) * interval)
    )
    if of_all is None or of_last is None:
        return None
    heads = [*repeat(of_all, count - 1), of_last]
    starts = [data_from, *(marker.segment for marker in within)]
    return (
        head + encoded[start : marker.at] + bytes([0xFF, _END])
        for head, start, marker in zip(heads, starts, within, strict=False)
    )


class _Layout(NamedTuple):
    """How a picture is cut into blocks (MCUs), after ITU-T T.81, A.2."""

    block_height: int
    block_width: int
    blocks: int

    @classmethod
    def of(cls, encoded: bytes, frame: int) -> _Layout:
        """From the frame's segment, which a decoder has read already."""
        height, width, components = struct.unpack_from(">HHB", encoded, frame + 3)
        factors = [encoded[frame + 9 + 3 * i] for i in range(components)]
        # a single component is cut into blocks of 8, whatever its factors say
        across, down = (1, 1) if components == 1 else (max(f >> 4 for f in factors), max(f & 15 for f in factors))
        blocks = -(-width // (8 * across)) * -(-height // (8 * down))
        return cls(8 * down, 8 * across, blocks)

    def head(self, head: bytes, frame: int, blocks: int) -> bytes | None:
        """Returns the picture's head for one of so many blocks; None where no rectangle of a fair width has as many."""
        columns = next((n for n in range(min(blocks, _WIDEST_BLOCKS), 0, -1) if blocks % n == 0), 1)
        height, width = blocks // columns * self.block_height, columns * self.block_width
        if not (0 < height < 2**16 and 0 < width < 2**16):
            return None
        return head[: frame + 3] + struct.pack(">HH", height, width) + head[frame + 7 :]


def size_of(encoded: bytes) -> tuple[int, int] | None:
    """Returns (height, width) of a JPEG picture, px, as its header says; None where that does not."""
    return size_and_orientation(encoded)[0]


def size_and_orientation(encoded: bytes) -> tuple[tuple[int, int] | None, int]:
    """Returns what `size_of` does, and EXIF's orientation: 1 upright, as where it says nothing, to 8.

    At once: after a decoder has filled the caches each takes 25 microseconds, ten times as long as else.
    """
    orientation, at_the_top = 0, True
    for marker in markers_of(encoded):
        if marker.code in _FRAMES:
            at = marker.segment + 3
            size = struct.unpack_from(">HH", encoded, at) if len(encoded) >= at + 4 else None
            return size, orientation or 1
        # the size of a scan stands before it
        if marker.code == _SCAN:
            break
        # what describes the picture stands before what it is made of
        at_the_top = at_the_top and (0xE0 <= marker.code <= 0xEF or marker.code == 0xFE)
        is_first = at_the_top and not orientation
        if is_first and marker.code == 0xE1 and encoded.startswith(b"Exif\0\0", marker.segment + 2):
            end = marker.segment + length_at(encoded, marker.segment)
            orientation = _orientation_in(encoded[marker.segment + 8 : end])
    return None, orientation or 1


def _orientation_in(tiff: bytes) -> int:
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (first,) = struct.unpack_from(f"{order}I", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, first)
        for entry in range(entries):
            tag, kind, count, value = struct.unpack_from(f"{order}HHIH", tiff, first + 2 + 12 * entry)
            if (tag, kind, count) == (_TURNED, 3, 1):
                return int(value)
    except struct.error:
        # cut short: it says nothing
        return 1
    return 1
