"""One video as pictures by their number: in order nothing is decoded twice, at random from the key frame before."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from perceptum.inputs import LogError
from perceptum.inputs.once import Guard

from .decoder import Pixels, VideoDecoder, new_decoder
from .packets import Packets, VideoIndex

__all__ = ["VideoStream"]


class VideoStream:
    """Any number of threads may ask; one decodes at a time.

    Pickled, or in a forked process, it begins with a decoder of its own, for a decoder knows where it was.
    """

    def __init__(self, packets: Packets) -> None:
        self._packets = packets
        self._start()

    def _start(self) -> None:
        self._lock = Guard()
        self._index = VideoIndex(self._packets)
        self._decoder: VideoDecoder | None = None
        self._process = os.getpid()

    def picture(self, index: int) -> Pixels:
        """Returns (H, W, 3) uint8 RGB, the caller's own; raises as `VideoDecoder.picture` does."""
        with self._asked(index) as decoder:
            return decoder.picture(index)

    def size(self, index: int) -> tuple[int, int]:
        """Returns the picture's height and width, px; raises as `picture` does."""
        with self._asked(index) as decoder:
            return decoder.size(index)

    @contextmanager
    def _asked(self, index: int) -> Iterator[VideoDecoder]:
        with self._lock.lock:
            try:
                yield self._decoder_for(index)
            except LogError:
                raise
            # a Ctrl-C, anywhere in it: which packets it took is not known, and it would go on with wrong pictures
            except BaseException:
                self._decoder = None
                raise

    def _decoder_for(self, index: int) -> VideoDecoder:
        if not 0 <= index < len(self._packets):
            raise LogError(f"the video has {len(self._packets)} pictures, {index} was asked for")
        if self._process != os.getpid():
            self._leave_to_parent()
        if self._decoder is None:
            self._decoder = new_decoder(self._index)
        return self._decoder

    def _leave_to_parent(self) -> None:
        # a thread of the parent may have been in the middle of it when the process forked: not even to be freed here
        _of_parents.append(self._decoder)
        self._index, self._decoder, self._process = VideoIndex(self._packets), None, os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        return {"packets": self._packets}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._packets = state["packets"]
        self._start()


_of_parents: list[VideoDecoder | None] = []
