"""One picture of a video."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ..raw_image import Pixels, RawImage, png_bytes
from .stream import VideoStream

__all__ = ["VideoImage", "video_image"]


def _no_size() -> tuple[int, int]:
    raise AssertionError("a VideoImage is made with read_size")


@dataclass(frozen=True, eq=False)
class VideoImage(RawImage):
    """A picture that is decoded each time it is asked for, by its stream's decoder, and not kept with the record."""

    read_size: Callable[[], tuple[int, int]] = field(default=_no_size, repr=False)

    def picture_size(self) -> tuple[int, int]:
        return self.read_size()

    def _own_pixels(self) -> Pixels:
        return self.read_pixels()


def video_image(stream: VideoStream, number: int, **common: Any) -> VideoImage:
    """Returns the picture with that number; common: the other fields of a CameraImage."""
    return VideoImage(
        read=partial(_packed, stream, number),
        read_pixels=partial(stream.picture, number),
        read_size=partial(stream.size, number),
        **common,
    )


def _packed(stream: VideoStream, number: int) -> bytes:
    return png_bytes(stream.picture(number))
