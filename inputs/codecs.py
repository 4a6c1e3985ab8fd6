"""Pictures from their bytes, through maintained libraries: simplejpeg for JPEG where it is installed, else Pillow."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from perceptum.install import install_command

from .errors import BrokenRecord, LogError
from .jpeg import JPEG, size_and_orientation
from .jpeg_pixels import LEAST_SCALED, decode_jpeg
from .picture_part import PicturePart
from .picture_size import FORMATS, PNG, READING

__all__ = ["decode_image", "encode_jpeg"]

Pixels = NDArray[np.uint8]

_ORIENTATION = 0x0112
_UPRIGHT = (0, 1)
"""EXIF knows 1 to 8; 0 is written by those who do not know."""


def decode_image(
    encoded: bytes,
    out: Pixels | None = None,
    source: str = "picture",
    *,
    rows: tuple[int, int] | None = None,
    reduce: int = 1,
    scratch: Pixels | None = None,
) -> Pixels:
    """Returns (H, W, 3) uint8 RGB of JPEG or PNG bytes; raises BrokenRecord.

    Grey, palettes, CMYK and alpha become RGB; of 16 bits of a colour the upper 8 are taken. Refused is what is not a
    picture of colours, such as depth in 16-bit grey or in floats, and a picture that EXIF says to turn: the camera's
    intrinsics hold for one way of the two, and which is not known. A JPEG that warns is taken if it is whole.

    out: what it is written into. rows: the first that is wanted and the one after the last. reduce: 2, 4 or 8 for a
    half, a fourth or an eighth of height and width, rounded up; rows then count in that. A JPEG is decoded at that
    scale; of others the means of as many pixels are taken. scratch: (N,) uint8, of at least the bytes of the whole
    picture at that scale; a JPEG is decoded into it, and what is returned is a view of it, without `out`.
    """
    part = PicturePart(rows, reduce)
    image = None
    if encoded.startswith(JPEG):
        size, orientation = size_and_orientation(encoded)
        _check_upright(orientation, source)
        image = decode_jpeg(encoded, size, part, source, out, scratch)
    return _decode_with_pillow(encoded, part, source, out, scratch) if image is None else image


def _decode_with_pillow(
    encoded: bytes, part: PicturePart, source: str, out: Pixels | None, scratch: Pixels | None
) -> Pixels:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise LogError(f"{READING}: {install_command('camera')}") from error
    encoded = _without_broken_remarks(encoded)
    try:
        with Image.open(io.BytesIO(encoded), formats=FORMATS) as image:
            _check_colours(image.mode, source)
            part.shape((image.height, image.width), source)
            if part.reduce > 1 and encoded.startswith(JPEG) and min(image.size) >= LEAST_SCALED:
                image.draft(None, (image.width // part.reduce, image.height // part.reduce))
                part = PicturePart(part.rows)
            pixels = np.array(image.convert("RGB"))
            # a PNG may say it behind the pixels
            _check_upright(image.getexif().get(_ORIENTATION, 1), source)
    except BrokenRecord:
        raise
    # a broken chunk shows as any of these; a bomb is a header that promises hundreds of megapixels
    except (
        UnidentifiedImageError,
        OSError,
        SyntaxError,
        ValueError,
        MemoryError,
        Image.DecompressionBombError,
    ) as error:
        # Pillow names what it was given by its address
        reason = "cannot identify image file" if isinstance(error, UnidentifiedImageError) else error
        raise BrokenRecord(f"{source}: not a complete picture ({reason})") from error
    return part.of(pixels, source, out, scratch)


def _without_broken_remarks(encoded: bytes) -> bytes:
    """Returns a PNG without the chunks that no pixel needs and whose checksum is wrong: other decoders pass over them.

    Their names begin with a small letter. Anything else comes back as it is.
    """
    if not encoded.startswith(PNG):
        return encoded
    kept, begun, at = [], 0, len(PNG)
    while at + 12 <= len(encoded):
        length, name = struct.unpack_from(">I4s", encoded, at)
        end = at + 12 + length
        if end > len(encoded):
            break
        if name[:1].islower() and name != b"tRNS":
            (checksum,) = struct.unpack_from(">I", encoded, end - 4)
            if zlib.crc32(encoded[at + 4 : end - 4]) != checksum:
                kept.append(encoded[begun:at])
                begun = end
        at = end
    return encoded if not begun else b"".join([*kept, encoded[begun:]])


def _check_colours(mode: str, source: str) -> None:
    """Raises BrokenRecord for what Pillow would clip to 8 bits: 16-bit grey, integers and floats."""
    holds = "32-bit floats" if mode == "F" else "32-bit integers" if mode == "I" else "16-bit grey"
    if mode in ("F", "I") or mode.startswith("I;"):
        raise BrokenRecord(
            f"{source}: holds {holds}, wanted a picture of 8 bits a channel; depth and other measures are not pictures"
        )


def _check_upright(orientation: int, source: str) -> None:
    if orientation not in _UPRIGHT:
        raise BrokenRecord(
            f"{source}: EXIF says to turn the picture (orientation {orientation}), and the camera's intrinsics hold "
            "for one way of the two; store it upright, or without that tag"
        )


def encode_jpeg(image: NDArray[np.uint8], quality: int = 90) -> bytes:
    """Returns the JPEG bytes of a (H, W, 3) uint8 RGB picture."""
    try:
        import simplejpeg
    except ImportError:
        return _encode_with_pillow(image, quality)
    # the encoder wants rows without gaps
    image = np.ascontiguousarray(image)
    encoded: bytes = simplejpeg.encode_jpeg(image, quality=quality, colorspace="RGB", colorsubsampling="420")
    return encoded


def _encode_with_pillow(image: NDArray[np.uint8], quality: int) -> bytes:
    try:
        from PIL import Image
    except ImportError as error:
        raise LogError(f"{READING}: {install_command('camera')}") from error
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
