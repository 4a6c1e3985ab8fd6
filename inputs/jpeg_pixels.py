"""Pixels of a JPEG picture by simplejpeg: strictly, of the rows and at the scale that are wanted."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import BrokenRecord, LogError
from .jpeg import past_warnings, size_of
from .jpeg_rows import without_upper_rows
from .picture_part import PicturePart, room_for
from .picture_size import MOST_PIXELS

__all__ = ["LEAST_SCALED", "decode_jpeg"]

Pixels = NDArray[np.uint8]
Size = tuple[int, int]

LEAST_SCALED = 8
"""Pixels of height and width; of smaller ones the libraries take another scale than the one that is wanted."""


def decode_jpeg(
    encoded: bytes,
    size: Size | None,
    part: PicturePart,
    source: str,
    out: Pixels | None = None,
    scratch: Pixels | None = None,
) -> Pixels | None:
    """Returns the part of a JPEG picture as `decode_image` does; None where simplejpeg is not installed.

    size: (height, width), px, as its header says; None where that does not.
    """
    try:
        import simplejpeg
    except ImportError:
        return None

    def whole(picture: bytes, strict: bool) -> Pixels:
        # into memory of its own each time, since what came of one is compared with another
        shape = (*_checked(size_of(picture), picture, simplejpeg), 3)
        return _decoded(picture, strict, np.empty(shape, np.uint8), 1, simplejpeg)

    def decode(picture: bytes, size: Size | None, strict: bool) -> Pixels:
        height, width = _checked(size, picture, simplejpeg)
        scale = part.reduce if min(height, width) >= LEAST_SCALED else 1
        first, missing, pixels = 0, 0, None
        if part.rows is not None:
            first = part.whole_rows((height, width), source)[0]
        lower = without_upper_rows(picture, first, scale) if first and strict else None
        if lower is not None:
            # where it is not whole, the whole says what is wrong
            with suppress(ValueError):
                shape = (-(-(height - lower.missing) // scale), -(-width // scale), 3)
                pixels = _decoded(lower.encoded, True, room_for(shape, source, None, scratch), scale, simplejpeg)
                missing = lower.missing // scale
        if pixels is None:
            shape = (-(-height // scale), -(-width // scale), 3)
            straight = out if part.rows is None and scale == part.reduce else None
            straight = straight if straight is not None and straight.flags.c_contiguous else None
            pixels = _decoded(picture, strict, room_for(shape, source, straight, scratch), scale, simplejpeg)
        # what is left to do once it is decoded at that scale
        left = part if scale == 1 else PicturePart(part.rows, part.reduce // scale)
        return left.of(pixels, source, out, first_row=missing)

    try:
        try:
            return decode(encoded, size, True)
        except LogError:
            raise
        except ValueError as error:
            warning = str(error)
        picture, strict = past_warnings(encoded, warning, whole)
        return decode(picture, size_of(picture), strict)
    # it decodes, but is not what was asked for
    except LogError:
        raise
    except (ValueError, MemoryError) as error:
        raise BrokenRecord(f"{source}: not a complete JPEG picture ({error})") from error


def _decoded(encoded: bytes, strict: bool, room: Pixels, scale: int, simplejpeg: Any) -> Pixels:
    """Decodes into `room`, of which the shape is the picture's at that scale; raises ValueError."""
    # the smallest scale that is no smaller than this
    least = room.shape[:2] if scale > 1 else (0, 0)
    pixels = simplejpeg.decode_jpeg(
        encoded, colorspace="RGB", min_height=least[0], min_width=least[1], buffer=room, strict=strict
    )
    if pixels.shape != room.shape:
        raise ValueError(f"decoded to {pixels.shape}, its header says {room.shape}")
    return room


def _checked(size: Size | None, encoded: bytes, simplejpeg: Any) -> Size:
    if size is None or 0 in size:
        # it says what is wrong
        simplejpeg.decode_jpeg_header(encoded)
        raise ValueError("its header does not say how large it is")
    if size[0] * size[1] > MOST_PIXELS:
        raise ValueError(f"{size[1]} x {size[0]}, wanted at most {MOST_PIXELS} pixels")
    return size
