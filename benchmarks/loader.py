"""The loader: how much a second worker brings, what torch's DataLoader takes for the same batches, and how soon the
first one is there.

Each builds the same frames with the same builder, two a batch: a nuScenes frame as BEVFusion takes it, six pictures,
their matrices and ten sweeps' voxels; and one sweep's points. Files are in the page cache, and every build reads them
again. Workers have built before; what is measured is an epoch.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, get_args

from bevfusion import LIDAR, MATRICES, PARAMS
from bevfusion_root import made_bevfusion, open_reading
from harness import Result, compare, ratio

import perceptum as pc
from perceptum.inputs import Dataset, Log
from perceptum.loading.starting import StartMethod

__all__ = ["run"]

SPECS: dict[str, tuple[list[str], int]] = {
    "pictures and voxels of BEVFusion": ([*LIDAR, "camera_images", *MATRICES], 12),
    "points of one sweep": (["lidar_points"], 100),
}
BATCH = 2
SCALING, AGAINST_PICKLING, FIRST_S = 1.8, 3.0, 2.0
PICKLED = "torch's DataLoader, arrays pickled"
SHARED = "torch's DataLoader, tensors in its shared memory"


def run(rounds: int = 7) -> list[Result]:
    with tempfile.TemporaryDirectory() as folder:
        log = open_reading(made_bevfusion(Path(folder)))
        found = []
        for what, (names, frames) in SPECS.items():
            is_heavy = what.startswith("pictures")
            found += _race(rounds, log, what, names, frames, is_heavy=is_heavy)
        return found + [_first(log, method) for method in get_args(StartMethod)]


def _race(rounds: int, log: Log, what: str, names: list[str], frames: int, *, is_heavy: bool) -> list[Result]:
    params = {name: value for name, value in PARAMS.items() if name in names}
    dataset = Dataset([log]).subset([len(log) - 1] * frames)
    with ExitStack() as stack:
        work: dict[str, Callable[[], Any]] = {}
        for workers in (1, 2):
            loader = stack.enter_context(pc.Loader(dataset, names, params=params, batch_size=BATCH, workers=workers))
            work[f"{workers} workers"] = lambda loader=loader: _epoch(loader)
        for name, theirs in _theirs(dataset, names, params).items():
            work[name] = lambda theirs=theirs: _epoch(theirs)
        times = compare(rounds, work, warm=1)
    batches = frames // BATCH

    def each(name: str) -> str:
        own = [seconds / batches * 1e3 for seconds in times[name]]
        return f"{median(own):.2f} ms a batch (least {min(own):.2f})"

    found = []
    wanted = {"1 workers": SCALING, PICKLED: AGAINST_PICKLING, SHARED: 0.0}
    for peer, least in wanted.items():
        factor = ratio(times, peer, "2 workers")
        peer_words = "1 worker" if peer == "1 workers" else peer
        found.append(
            Result(
                f"an epoch, {what}, 2 workers",
                each("2 workers"),
                f"{peer_words} {each(peer)}",
                f"{factor:.2f} times as fast",
                f"{least:g}" if is_heavy and least else "-",
                factor >= least or not is_heavy,
            )
        )
    return found


def _epoch(batches: Iterable[Any]) -> float:
    total = 0.0
    for batch in batches:
        # one look at each, as a model's first layer would have many
        total += sum(float(array.reshape(-1)[0]) for array in batch.values())
    return total


def _theirs(dataset: Dataset, names: list[str], params: dict[str, Any]) -> dict[str, Iterable[Any]]:
    from torch.utils.data import DataLoader

    options: dict[str, Any] = {"batch_size": BATCH, "num_workers": 2, "persistent_workers": True, "shuffle": False}
    loader = pc.Loader(dataset, names, params=params)
    tensors = loader.torch_dataset()
    return {
        PICKLED: DataLoader(_Arrays(dataset, names, params), collate_fn=_as_it_is, **options),
        SHARED: DataLoader(tensors, collate_fn=tensors.collate, **options),
    }


class _Arrays:
    """What many write first: a dataset of numpy arrays."""

    def __init__(self, dataset: Dataset, names: list[str], params: dict[str, Any]) -> None:
        self._dataset = dataset
        self._builder = pc.InputBuilder(names, params=params, training=True)

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Any]:
        return dict(self._builder.build_batch([self._dataset[index] for index in indices]))


def _as_it_is(batch: Any) -> Any:
    return batch


def _first(log: Log, method: StartMethod) -> Result:
    """How long from making a loader to its first batch, with two workers, the kernels compiled."""
    names = SPECS["pictures and voxels of BEVFusion"][0]
    params = {name: value for name, value in PARAMS.items() if name in names}
    took_s = []
    for _ in range(3):
        begin_s = perf_counter()
        with pc.Loader([log], names, params=params, batch_size=1, workers=2, start_method=method) as loader:
            next(iter(loader))
            took_s.append(perf_counter() - begin_s)
    words = f"{median(took_s):.2f} s (least {min(took_s):.2f})"
    met = median(took_s) <= FIRST_S
    return Result(f"the first batch of two new workers, {method}", words, "-", "-", f"{FIRST_S:g} s", met)


if __name__ == "__main__":
    for result in run():
        print(result)
