"""Which frame comes where: a pure function of (seed, epoch, position), of which no list is kept."""

from __future__ import annotations

from dataclasses import dataclass

from perceptum.inputs.dataset import Dataset

from .permutation import permuted

__all__ = ["EpochOrder", "Share"]


@dataclass(frozen=True)
class EpochOrder:
    """An epoch's order: a permutation of the dataset's places, of each of which the dataset says what it draws there.

    Without weights that is each frame once; with weights, see `Dataset.drawn`.
    """

    dataset: Dataset
    seed: int | None
    """None: as the dataset has them."""

    def __len__(self) -> int:
        return len(self.dataset)

    def frame(self, epoch: int, position: int) -> int:
        """Returns the number in the dataset of the frame at a position; beyond the end of the epoch it begins again."""
        place = position % len(self.dataset)
        if self.seed is not None:
            place = permuted(place, len(self.dataset), self.seed, epoch)
        return int(self.dataset.drawn([place], epoch)[0]) if self.dataset.weighted else place


@dataclass(frozen=True)
class Share:
    """One rank's samples of what is left of an epoch: every `world`-th position, as many for each rank."""

    total: int
    """Positions of the whole epoch."""
    start: int
    """Positions that were gone through before, by all ranks together."""
    rank: int
    world: int
    batch_size: int
    drop_last: bool
    """True: no sample that would make ranks or batches unequal. False: the shorter ranks begin again from the start of
    the epoch's order, and the last batch is shorter."""

    @property
    def samples(self) -> int:
        left = max(self.total - self.start, 0)
        return left // self.world if self.drop_last else -(-left // self.world)

    def __len__(self) -> int:
        """Batches."""
        return self.samples // self.batch_size if self.drop_last else -(-self.samples // self.batch_size)

    def position(self, sample: int) -> int:
        """Returns the position, in the order of the whole epoch, of this rank's sample."""
        return self.start + sample * self.world + self.rank

    def batch(self, number: int) -> range:
        """Returns the positions of a batch."""
        first = number * self.batch_size
        last = min(first + self.batch_size, self.samples)
        return range(self.position(first), self.position(last), self.world)

    def after(self, batches: int) -> int:
        """Returns how many positions of the epoch are gone through after so many batches."""
        return self.start + min(batches * self.batch_size, self.samples) * self.world
