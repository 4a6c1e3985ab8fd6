"""A loader's frames by their number, for whoever brings a sampler and workers: Grain, torch, one's own."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from typing import Any

from perceptum.builders import Draw

from .work import Work

__all__ = ["FrameSource"]


class FrameSource:
    """`len(source)`, `source[12]`: the tensors of one frame, as `InputBuilder.build` makes them. It pickles.

    A sampler decides which frames come when, so that draws follow from (seed, epoch, the frame's number).
    """

    def __init__(self, work: Work) -> None:
        self._dataset, self._builder, self._seed = work.dataset, work.builder, work.seed
        # forked workers share it
        self._epoch = mmap.mmap(-1, 8)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_epoch": self.epoch}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _epoch=mmap.mmap(-1, 8))
        self.set_epoch(state["_epoch"])

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._dataset.name}: {len(self)} frames>"

    @property
    def epoch(self) -> int:
        return int.from_bytes(self._epoch[:8], "little")

    def set_epoch(self, epoch: int) -> None:
        """Of the draws; workers that were forked see it at once, others when they are started again."""
        self._epoch[:8] = epoch.to_bytes(8, "little")

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> Any:
        frame = self._dataset[int(index)]
        return self._builder.build(frame, draw=None if self._seed is None else self._draw(index))

    def batch(self, indices: Sequence[int]) -> Any:
        """Returns the tensors of several frames as one, as `InputBuilder.build_batch` joins them."""
        frames = [self._dataset[int(index)] for index in indices]
        draws = None if self._seed is None else [self._draw(index) for index in indices]
        return self._builder.build_batch(frames, draws=draws)

    def _draw(self, index: int) -> Draw:
        assert self._seed is not None
        # counted from the end, it is the same frame, and so the same draw
        return Draw(self._seed, self.epoch, int(index) % len(self))
