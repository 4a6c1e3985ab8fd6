"""How large a picture is, from its header."""

from __future__ import annotations

import io
import struct

from perceptum.install import install_command

from .errors import BrokenRecord, LogError
from .jpeg import JPEG, size_of

__all__ = ["FORMATS", "MOST_PIXELS", "PNG", "READING", "picture_size"]

PNG = b"\x89PNG\r\n\x1a\n"
MOST_PIXELS = 178_956_970
"""Of a picture that is decoded, as Pillow's own bound: a header may promise any number, and a decoder makes room."""
FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "PPM", "GIF")
"""What Pillow is asked for. It knows many more, such as PostScript, which is a program that it would run."""
READING = "reading pictures needs simplejpeg or Pillow"


def picture_size(encoded: bytes, source: str = "picture") -> tuple[int, int]:
    """Returns (height, width) of an encoded picture, px, of which no pixel is decoded; raises BrokenRecord.

    That a header is there does not say that the picture is whole, or that it can be decoded.
    """
    if encoded.startswith(JPEG):
        size = size_of(encoded)
    elif encoded.startswith(PNG):
        # the first chunk is the head: length, name, width, height
        size = (
            _reversed(struct.unpack_from(">II", encoded, 16))
            if encoded[12:16] == b"IHDR" and len(encoded) > 23
            else None
        )
    else:
        size = _size_by_pillow(encoded)
    if size is None or 0 in size:
        raise BrokenRecord(f"{source}: the header of the picture does not say how large it is")
    return size


def _reversed(size: tuple[int, ...]) -> tuple[int, int]:
    return size[1], size[0]


def _size_by_pillow(encoded: bytes) -> tuple[int, int] | None:
    try:
        from PIL import Image
    except ImportError as error:
        raise LogError(f"{READING}: {install_command('camera')}") from error
    try:
        with Image.open(io.BytesIO(encoded), formats=FORMATS) as image:
            return _reversed(image.size)
    # as in decoding: a broken header shows as any of these
    except (OSError, SyntaxError, ValueError, MemoryError, Image.DecompressionBombError):
        return None
