"""What decodes a video: a small protocol, and which of the libraries behind it is installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import LogError
from perceptum.install import install_command

from .packets import VideoIndex

__all__ = ["Pixels", "VideoDecoder", "new_decoder"]

Pixels = NDArray[np.uint8]


class VideoDecoder(Protocol):
    """Decodes one video. It goes on where it was if pictures are asked for in order, and is used by one thread at a
    time."""

    def picture(self, index: int) -> Pixels:
        """Returns (H, W, 3) uint8 RGB, the caller's own.

        Raises BrokenRecord for a damaged picture and for those behind it up to the next key frame; MissingRecord for
        one before the first key frame.
        """
        ...

    def size(self, index: int) -> tuple[int, int]:
        """Returns the picture's height and width, px, and makes no colours of it; raises as `picture` does."""
        ...


def new_decoder(index: VideoIndex) -> VideoDecoder:
    """Returns a decoder by PyAV where that is installed, else by tensorcodec; raises LogError where neither is.

    PyAV takes packet by packet, keeps its state from one to the next, and reports pictures that it could only patch
    up. tensorcodec takes files alone: it is given one for each run of pictures.
    """
    if find_spec("av") is not None:
        from .with_pyav import PyAvDecoder

        return PyAvDecoder(index)
    if find_spec("tensorcodec") is not None:
        from .with_tensorcodec import TensorcodecDecoder

        return TensorcodecDecoder(index)
    raise LogError(
        f"pictures of a video need a decoder: {install_command('video')} (tensorcodec, LGPL), or "
        f"{install_command('pyav')} (PyAV, whose wheel has GPL encoders in it)"
    )
