"""Pictures from their bytes, through kept libraries: simplejpeg for JPEG where it is installed, else Pillow."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from perceptum.install import install_command

from .errors import BrokenRecord, LogError
from .jpeg import JPEG, decode_past_warnings, orientation_of

__all__ = ["decode_image", "encode_jpeg"]

_MOST_PIXELS = 178_956_970
"""As Pillow's own bound."""
_ORIENTATION = 0x0112
_UPRIGHT = (0, 1)
"""EXIF knows 1 to 8; 0 is written by those who do not know."""
_NEEDED = "reading pictures needs simplejpeg or Pillow"


def decode_image(encoded: bytes, out: NDArray[np.uint8] | None = None, source: str = "picture") -> NDArray[np.uint8]:
    """Returns (H, W, 3) uint8 RGB of JPEG or PNG bytes, written into `out` where given; raises BrokenRecord.

    Grey, palettes, CMYK and alpha become RGB; of 16 bits of a colour the upper 8 are taken. Refused is what is not a
    picture of colours, such as depth in 16-bit grey or in floats, and a picture that EXIF says to turn: the camera's
    intrinsics hold for one way of the two, and which is not known. A JPEG that warns is taken if it is whole.
    """
    image = None
    if encoded.startswith(JPEG):
        _check_upright(orientation_of(encoded), source)
        image = _decode_jpeg(encoded, source)
    if image is None:
        image = _decode_with_pillow(encoded, source)
    if out is None:
        return image
    if out.shape != image.shape:
        raise BrokenRecord(f"{source}: the picture is {image.shape}, the buffer for it is {out.shape}")
    out[...] = image
    return out


def _decode_jpeg(encoded: bytes, source: str) -> NDArray[np.uint8] | None:
    try:
        import simplejpeg
    except ImportError:
        return None

    def decode(picture: bytes, strict: bool) -> NDArray[np.uint8]:
        height, width = simplejpeg.decode_jpeg_header(picture)[:2]
        # the decoder makes room for whatever a header says
        if height * width > _MOST_PIXELS:
            raise ValueError(f"{width} x {height}, wanted at most {_MOST_PIXELS} pixels")
        image: NDArray[np.uint8] = simplejpeg.decode_jpeg(picture, colorspace="RGB", strict=strict)
        return image

    try:
        return decode(encoded, True)
    except ValueError as error:
        warning = error
    except MemoryError as error:
        raise BrokenRecord(f"{source}: not a complete JPEG picture ({error})") from error
    try:
        return decode_past_warnings(encoded, str(warning), decode)
    except (ValueError, MemoryError) as error:
        raise BrokenRecord(f"{source}: not a complete JPEG picture ({error})") from error


def _decode_with_pillow(encoded: bytes, source: str) -> NDArray[np.uint8]:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise LogError(f"{_NEEDED}: {install_command('camera')}") from error
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            _check_colours(image.mode, source)
            pixels = np.array(image.convert("RGB"))
            # a PNG may say it behind the pixels
            _check_upright(image.getexif().get(_ORIENTATION, 1), source)
            return pixels
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
        raise BrokenRecord(f"{source}: not a complete picture ({error})") from error


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
        raise LogError(f"{_NEEDED}: {install_command('camera')}") from error
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
