"""What a loader yields: tensors, and of which samples they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.builders import Draw, Tensors
from perceptum.inputs.dataset import Dataset

__all__ = ["Batch", "Batches", "OfSamples", "Samples"]


@dataclass(frozen=True, eq=False)
class Samples:
    """The samples of one batch."""

    dataset: Dataset
    epoch: int
    indices: NDArray[np.int64]
    """(B,) the frames' numbers in the dataset."""
    positions: NDArray[np.int64]
    """(B,) where they come in the epoch, counted over all ranks; also the `index` of their draws."""
    seed: int | None
    """Of their draws; None: nothing is random."""

    @classmethod
    def of(
        cls, dataset: Dataset, epoch: int, indices: Sequence[int], positions: NDArray[np.int64], seed: int | None
    ) -> Samples:
        return cls(dataset, epoch, np.array(indices, np.int64), positions, seed)

    @property
    def frame_ids(self) -> list[str]:
        """The dataset's own names of the frames."""
        return [self.dataset[int(index)].id for index in self.indices]

    @property
    def draws(self) -> list[Draw] | None:
        if self.seed is None:
            return None
        return [Draw(self.seed, self.epoch, int(position)) for position in self.positions]


class OfSamples:
    """What a batch says of its samples."""

    __slots__ = ()
    samples: Samples

    @property
    def epoch(self) -> int:
        return self.samples.epoch

    @property
    def indices(self) -> NDArray[np.int64]:
        """(B,) the frames' numbers in the dataset."""
        return self.samples.indices

    @property
    def frame_ids(self) -> list[str]:
        """The dataset's own names of the frames."""
        return self.samples.frame_ids

    @property
    def draws(self) -> list[Draw] | None:
        """One for each frame; None: nothing is random."""
        return self.samples.draws


class Batch(OfSamples, Tensors):
    """The tensors of several frames as one (`InputBuilder.build_batch`); of a loader without a batch size, of one."""

    __slots__ = ("samples",)

    def __init__(self, tensors: Tensors, samples: Samples) -> None:
        super().__init__(tensors, tensors.dropped, tensors.times_s, tensors.once_s)
        self.samples = samples

    def __reduce__(self) -> tuple[Any, ...]:
        return Batch, (Tensors(self, self.dropped, self.times_s, self.once_s), self.samples)


class Batches(OfSamples, dict[str, Tensors]):
    """The same for several models: name -> its tensors."""

    __slots__ = ("samples",)

    def __init__(self, tensors: Mapping[str, Tensors], samples: Samples) -> None:
        super().__init__(tensors)
        self.samples = samples

    def __reduce__(self) -> tuple[Any, ...]:
        return Batches, (dict(self), self.samples)
