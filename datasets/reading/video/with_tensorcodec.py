"""A video decoded by tensorcodec, run by run.

It takes files alone, and begins at a key frame each time it is asked. So each run of pictures that are asked for in
order becomes a file in memory and is decoded at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.inputs import BrokenRecord, LogError, MissingRecord
from perceptum.inputs.picture_size import MOST_PIXELS

from .matroska import as_matroska
from .packets import VideoIndex

__all__ = ["TensorcodecDecoder"]

_RUN_BYTES = 1 << 27
"""Of the pictures of one run: 31 of 1600 x 900. To open a file takes as long as six pictures, 24 ms of 1600 x 900."""
_LONGEST_RUN = 64
_LARGEST_STEP = 8
"""Pictures that are asked for with others left out between them are in order up to this step."""

_ERRORS = (RuntimeError, ValueError, IndexError, MemoryError)
"""What it raises for a file that it cannot decode, or that has fewer pictures than packets. A LogError is one too."""


class TensorcodecDecoder:
    """Decodes ahead where pictures are asked for in order, else one."""

    def __init__(self, index: VideoIndex) -> None:
        self._index = index
        self._last = -1
        """The picture that was asked for last."""
        self._picture_bytes = 0
        """Of the pictures of the last run; 0 before the first."""
        self._run: dict[int, NDArray[np.uint8]] = {}
        """Pictures of the last run, asked for or not: views of one block."""
        self._alone_to = 0
        """Pictures before this one are decoded one by one, since their run could not be decoded at once."""
        self._damaged: int | None = None
        """The first picture that could not be decoded of its group."""

    def picture(self, index: int) -> NDArray[np.uint8]:
        # a copy: a view would hold all of the run
        return self._view(index).copy()

    def size(self, index: int) -> tuple[int, int]:
        height, width, _ = self._view(index).shape
        return height, width

    def _view(self, index: int) -> NDArray[np.uint8]:
        step, self._last = index - self._last, index
        if index not in self._run:
            self._decode_from(index, step if 0 < step <= _LARGEST_STEP else 0)
        return self._run[index]

    def _decode_from(self, index: int, step: int) -> None:
        where = self._index.packets.where
        # what is wrong with this packet itself is the best message
        self._index.packet(index)
        key = self._index.newest_key(0, index)
        if key is None:
            raise MissingRecord(self._index.before_first_key(index))
        if self._damaged is not None and key <= self._damaged < index:
            raise BrokenRecord(self._index.follows_damage(index, self._damaged))
        if step and index >= self._alone_to:
            wanted = self._wanted(index, step)
            try:
                self._decode(key, wanted)
                return
            # damage, or another size, somewhere in it
            except _ERRORS:
                self._alone_to = wanted[-1] + 1
        try:
            self._decode(key, [index])
        except LogError as error:
            raise BrokenRecord(
                f"{where(index)}: is made from pictures before it, of which one cannot be read: {error}"
            ) from error
        except _ERRORS as error:
            self._damaged = index
            codec = self._index.packet(key).codec
            raise BrokenRecord(f"{where(index)}: the {codec} packet cannot be decoded ({error})") from error

    def _wanted(self, index: int, step: int) -> Sequence[int]:
        """The run of pictures from `index` on: as many as fit, whole groups if there is one."""
        # of the first run the size of a picture is not known yet
        count = min(_RUN_BYTES // self._picture_bytes, _LONGEST_RUN) if self._picture_bytes else 1
        end = min(index + max(count, 1) * step, len(self._index.packets))
        key = self._index.newest_key(index + 1, end) if end < len(self._index.packets) else None
        return range(index, end if key is None else key, step)

    def _decode(self, key: int, wanted: Sequence[int]) -> None:
        """Replaces the last run by the wanted pictures of the group or groups that begin with a key frame."""
        from tensorcodec import decoders

        # it says that it is typed, and its functions are not
        open_file: Any = decoders.VideoDecoder
        self._run.clear()
        numbers = range(key, wanted[-1] + 1)
        packets = [(self._index.packet(at), self._index.is_key(at)) for at in numbers]
        with open_file(as_matroska(packets), dimension_order="NHWC") as decoder:
            size = decoder.metadata
            if size.width * size.height > MOST_PIXELS:
                raise ValueError(f"{size.width} x {size.height}, wanted at most {MOST_PIXELS} pixels")
            block: Any = decoder.get_frames_at([at - key for at in wanted]).data
        self._picture_bytes = block[0].nbytes
        self._run.update(zip(wanted, block, strict=True))
