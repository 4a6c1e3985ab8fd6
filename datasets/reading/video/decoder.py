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
    broken = ""
    for module, library, decoder in (("av", "PyAV", _by_pyav), ("tensorcodec", "tensorcodec", _by_tensorcodec)):
        if find_spec(module) is not None:
            try:
                return decoder(index)
            # its own libraries may be missing, or made for another system
            except ImportError as error:
                broken += f"; {library} is installed and cannot be imported ({error})"
    raise LogError(
        f"pictures of a video need a decoder: {install_command('video')} (tensorcodec, LGPL), or "
        f"{install_command('pyav')} (PyAV, whose wheel has GPL encoders in it){broken}"
    )


def _by_pyav(index: VideoIndex) -> VideoDecoder:
    from .with_pyav import PyAvDecoder

    return PyAvDecoder(index)


def _by_tensorcodec(index: VideoIndex) -> VideoDecoder:
    import tensorcodec.decoders  # noqa: F401

    from .with_tensorcodec import TensorcodecDecoder

    return TensorcodecDecoder(index)
