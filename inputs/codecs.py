"""Pictures from their bytes, through kept libraries: simplejpeg for JPEG where it is installed, else Pillow."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from .errors import BrokenRecord, LogError

__all__ = ["decode_image", "encode_jpeg"]

_JPEG = b"\xff\xd8\xff"
_MOST_PIXELS = 178_956_970
"""As Pillow's own bound."""
_INSTALL = "reading pictures needs simplejpeg or Pillow: pip install 'perceptum[camera]'"


def decode_image(encoded: bytes, out: NDArray[np.uint8] | None = None, source: str = "picture") -> NDArray[np.uint8]:
    """Returns (H, W, 3) uint8 RGB of JPEG or PNG bytes, written into `out` where given; raises BrokenRecord."""
    image = _decode_jpeg(encoded, source) if encoded.startswith(_JPEG) else None
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
    try:
        height, width = simplejpeg.decode_jpeg_header(encoded)[:2]
        # the decoder makes room for whatever a header says
        if height * width > _MOST_PIXELS:
            raise ValueError(f"{width} x {height}, wanted at most {_MOST_PIXELS} pixels")
        image: NDArray[np.uint8] = simplejpeg.decode_jpeg(encoded, colorspace="RGB")
    except (ValueError, MemoryError) as error:
        raise BrokenRecord(f"{source}: not a whole JPEG picture ({error})") from error
    return image


def _decode_with_pillow(encoded: bytes, source: str) -> NDArray[np.uint8]:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise LogError(_INSTALL) from error
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            return np.array(image.convert("RGB"))
    # a broken chunk shows as any of these; a bomb is a header that promises hundreds of megapixels
    except (
        UnidentifiedImageError,
        OSError,
        SyntaxError,
        ValueError,
        MemoryError,
        Image.DecompressionBombError,
    ) as error:
        raise BrokenRecord(f"{source}: not a whole picture ({error})") from error


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
        raise LogError(_INSTALL) from error
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
