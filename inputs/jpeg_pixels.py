"""Pixels of a JPEG picture by simplejpeg: strictly, of the rows and at the scale that are wanted."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import BrokenRecord, LogError
from .jpeg import past_warnings, size_of
from .picture_part import PicturePart, room_for

__all__ = ["LEAST_SCALED", "decode_jpeg"]

Pixels = NDArray[np.uint8]

_MOST_PIXELS = 178_956_970
"""As Pillow's own bound."""
LEAST_SCALED = 8
"""Pixels of height and width; of smaller ones the libraries take another scale than the one that is wanted."""


def decode_jpeg(
    encoded: bytes, part: PicturePart, source: str, out: Pixels | None = None, scratch: Pixels | None = None
) -> Pixels | None:
    """Returns the part of a JPEG picture as `decode_image` does; None where simplejpeg is not installed."""
    try:
        import simplejpeg
    except ImportError:
        return None

    def whole(picture: bytes, strict: bool) -> Pixels:
        # into memory of its own each time, since what came of one is compared with another
        size = _size(picture, simplejpeg)
        return _decoded(picture, strict, np.empty((*size, 3), np.uint8), 1, simplejpeg)

    try:
        try:
            return _part(encoded, True, part, source, out, scratch, simplejpeg)
        except LogError:
            raise
        except ValueError as error:
            warning = str(error)
        picture, strict = past_warnings(encoded, warning, whole)
        return _part(picture, strict, part, source, out, scratch, simplejpeg)
    # it decodes, but is not what was asked for
    except LogError:
        raise
    except (ValueError, MemoryError) as error:
        raise BrokenRecord(f"{source}: not a complete JPEG picture ({error})") from error


def _part(
    encoded: bytes,
    strict: bool,
    part: PicturePart,
    source: str,
    out: Pixels | None,
    scratch: Pixels | None,
    simplejpeg: Any,
) -> Pixels:
    size = _size(encoded, simplejpeg)
    wanted = part.shape(size, source)
    scale = part.reduce if min(size) >= LEAST_SCALED else 1
    # what is left to do once it is decoded at that scale
    left = PicturePart(part.rows, part.reduce // scale)
    whole = tuple(-(-n // scale) for n in size)
    into_out = out is not None and wanted == out.shape == (*whole, 3) and out.flags.c_contiguous
    room = room_for((*whole, 3), source, out if into_out else None, scratch)
    return left.of(_decoded(encoded, strict, room, scale, simplejpeg), source, out)


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


def _size(encoded: bytes, simplejpeg: Any) -> tuple[int, int]:
    size = size_of(encoded)
    if size is None or 0 in size:
        # it says what is wrong
        simplejpeg.decode_jpeg_header(encoded)
        raise ValueError("its header does not say how large it is")
    # the decoder makes room for whatever a header says
    if size[0] * size[1] > _MOST_PIXELS:
        raise ValueError(f"{size[1]} x {size[0]}, wanted at most {_MOST_PIXELS} pixels")
    return size
