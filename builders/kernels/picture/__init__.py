"""Pictures: resized as Pillow and OpenCV do it, bent, turned, and written as tensors.

A picture is rows of bytes, red, green and blue of one pixel after the other. All that is read of a picture is given as
flat memory, the byte of its first pixel and the bytes of a row; what is written may have up to 47 bytes more to a row.
"""

__all__ = ["BLOCK", "PIXELS"]

PIXELS = 16
"""That are worked on at once."""
BLOCK = 3 * PIXELS
"""Bytes of them."""
