"""What is done for one batch, here or in a worker: the same calls, so the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.builders import Draw, InputBuilder, Tensors
from perceptum.builders.errors import BuildError
from perceptum.builders.memory import Memory
from perceptum.builders.plan import SINGLE
from perceptum.inputs import Frame
from perceptum.inputs.dataset import Dataset
from perceptum.inputs.errors import BrokenRecord, MissingRecord, PoseUnknown

from .messages import Job
from .order import EpochOrder, Share

__all__ = ["Built", "Work"]

_DATA = (BrokenRecord, MissingRecord, PoseUnknown, BuildError)
"""What is wrong with one frame, and not with how the loader was asked."""


@dataclass
class Built:
    """What came of one job."""

    positions: NDArray[np.int64]
    """(B,) of the samples that were built."""
    tensors: dict[str, Tensors]
    """Model -> its tensors; empty where every sample was left out."""
    left_out: list[tuple[int, str]] = field(default_factory=list)
    """(position, why) of frames that cannot be built."""
    took_s: float = 0.0


@dataclass(frozen=True)
class Work:
    """All that a worker must know. It pickles: once, when a worker starts."""

    dataset: Dataset
    builder: InputBuilder[Any]
    order: EpochOrder
    seed: int | None
    """Of draws; None: nothing is random."""
    rank: int
    world: int
    batch_size: int | None
    """None: single samples, as `InputBuilder.build` makes them."""
    drop_last: bool
    skips: bool
    """Whether frames that cannot be built are left out."""

    def share(self, start: int) -> Share:
        return Share(len(self.order), start, self.rank, self.world, self.batch_size or 1, self.drop_last)

    def build(
        self, job: Job, memories: dict[str, Memory] | None = None, at: Callable[[int], object] = lambda number: None
    ) -> Built:
        """Returns the batch of a job.

        memories: model -> where it lies, if not in the builder's own memory. at: called with the number in the batch
        of each sample before it is built. Whatever is raised has a note of the sample that it was raised for.
        """
        begin_s = perf_counter()
        positions = self.share(job.start).batch(job.batch)
        numbers = [number for number in range(len(positions)) if number not in job.left_out]
        left_out: list[tuple[int, str]] = []
        now = 0

        def on_frame(k: int) -> None:
            nonlocal now
            now = numbers[k]
            at(now)

        while numbers:
            try:
                frames = []
                for k, number in enumerate(numbers):
                    on_frame(k)
                    frames.append(self.dataset[self.order.frame(job.epoch, positions[number])])
                tensors = self._build(frames, self._draws(job, positions, numbers), memories, on_frame)
                kept = np.array([positions[number] for number in numbers], np.int64)
                return Built(kept, tensors, left_out, perf_counter() - begin_s)
            except Exception as error:
                if not self.skips or not isinstance(error, _DATA):
                    error.add_note(f"in {self.sample(job, now)}")
                    raise
                left_out.append((positions[now], f"{type(error).__name__}: {error}"))
                numbers.remove(now)
        return Built(np.zeros(0, np.int64), {}, left_out, perf_counter() - begin_s)

    def _build(
        self,
        frames: list[Frame],
        draws: list[Draw] | None,
        memories: dict[str, Memory] | None,
        on_frame: Callable[[int], None],
    ) -> dict[str, Tensors]:
        # of a builder of one spec that is not {name: spec}, `into` takes the memory alone
        into = memories[SINGLE] if memories is not None and SINGLE in memories else memories
        if self.batch_size is None:
            on_frame(0)
            built = self.builder.build(frames[0], draw=None if draws is None else draws[0], into=into)
        else:
            built = self.builder.build_batch(frames, draws=draws, into=into, on_frame=on_frame)
        return {SINGLE: built} if isinstance(built, Tensors) else built

    def _draws(self, job: Job, positions: range, numbers: list[int]) -> list[Draw] | None:
        if self.seed is None:
            return None
        return [Draw(self.seed, job.epoch, positions[number]) for number in numbers]

    def sample(self, job: Job, number: int) -> str:
        """Returns words for one sample of a batch: its frame, log, and draw."""
        position = self.share(job.start).batch(job.batch)[number]
        index = self.order.frame(job.epoch, position)
        draw = "" if self.seed is None else f", draw ({self.seed}, {job.epoch}, {position})"
        return f"{self.frame_name(index)}{draw}"

    def frame_name(self, index: int) -> str:
        """Returns words for a frame of the dataset: its id, its log, its number."""
        log, number = self.dataset.place(index)
        try:
            source = self.dataset.logs[log].source
            return f"frame {self.dataset[index].id!r} ({number} of {source.dataset} log {source.name!r})"
        # of a log that cannot be read, its numbers must do
        except Exception:
            return f"frame {number} of log {log}"
