"""A loader's batches as torch tensors over the same memory, and its frames as a dataset for torch's own DataLoader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from perceptum.neuropod.frameworks.torch import as_torch

from .batch import OfSamples, Samples
from .source import FrameSource

if TYPE_CHECKING:
    from .loader import Loader

__all__ = ["TorchBatch", "TorchBatches", "TorchDataset"]


def _in_torch(built: Mapping[str, Any]) -> dict[str, Any]:
    """Returns name -> tensor; of several models, model -> name -> tensor. Nothing is copied."""
    return {name: _in_torch(value) if isinstance(value, Mapping) else as_torch(value) for name, value in built.items()}


class TorchBatch(OfSamples, dict[str, Any]):
    """A batch's tensors by name; of several models, model -> name -> tensor."""

    __slots__ = ("samples",)

    def __init__(self, tensors: Mapping[str, Any], samples: Samples) -> None:
        super().__init__(tensors)
        self.samples = samples

    def __reduce__(self) -> tuple[Any, ...]:
        return TorchBatch, (dict(self), self.samples)


class TorchBatches:
    """`for batch in loader.torch()`: as the loader's own loop, but the arrays are torch tensors over the same memory.

    A tensor is yours for as long as you hold it or a view of it. It lies in pageable memory: `.to("cuda")` copies it,
    and then it can go.
    """

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[TorchBatch]:
        for batch in self._loader:
            yield TorchBatch(_in_torch(batch), batch.samples)


class TorchDataset(FrameSource):
    """The frames by their number, for `DataLoader(dataset, batch_size=4, collate_fn=dataset.collate)` and torch's
    samplers.

    torch sends what its workers build to the loop in memory of its own, one copy; `Loader` does without.
    """

    def __getitem__(self, index: int) -> dict[str, Any]:
        return _in_torch(super().__getitem__(index))

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Any]:
        """Returns one batch: torch asks for it, and gives it to `collate_fn`."""
        return _in_torch(self.batch(indices))

    @staticmethod
    def collate(batch: Any) -> Any:
        """For `collate_fn`: the frames are joined already, as the schema says."""
        return batch
