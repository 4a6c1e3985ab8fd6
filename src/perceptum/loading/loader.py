"""Loader: batches of tensors for a training loop, from the builder, in an order that can be gone on with."""

from __future__ import annotations

import copy
import dataclasses
import math
import os
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal, get_args

from perceptum.builders import Augment, InputBuilder, TensorCache
from perceptum.builders.builder import Model, SpecLike
from perceptum.builders.plan import SINGLE
from perceptum.errors import LoaderError, UsageError
from perceptum.features import Schema, Spec
from perceptum.inputs import Log
from perceptum.inputs.dataset import Dataset
from perceptum.plural import a_or_an, counted
from perceptum.spelling import names_keywords

from .batch import Batch, Batches, Samples
from .messages import Job
from .order import EpochOrder
from .starting import StartMethod, starts_of
from .state import FORMAT, check_state, dataset_fingerprint
from .stats import Stats
from .work import Built, Work
from .workers import OnDeath, Workers

if TYPE_CHECKING:
    from .source import FrameSource
    from .torch_view import TorchBatches, TorchDataset

__all__ = ["Loader"]

_MOST_AHEAD = 128
_MOST_WORKERS = 256

Progress = bool | Callable[[int, int, int], object]
"""True: a bar on standard error; or called with the epoch, the batches delivered, and the batches of an epoch."""


class Loader:
    """Batches straight from the builder: `for batch in loader:` is one epoch, and the next loop is the next one.

    Args:
        logs: what `open_dataset` or `open_log` returns, or several of these.
        spec: what `InputBuilder` takes: rows, names, a model; or several of these by name, {"a": ..., "b": ...}.
        batch_size: frames in a batch, as `InputBuilder.build_batch` joins them. None: single samples, as `build` makes
            them.
        shuffle: the seed of an order that differs from epoch to epoch. None: the order of the dataset.
        workers: processes that build; 0: the loop builds for itself.
        shard: (rank, world): this process is one of `world`, which share each epoch in parts of equal length.
        drop_last: True: what does not fill a batch, or not the same batch of every rank, is left out of the epoch.
            False: the last batch is shorter, and ranks that would be a sample short begin again at the epoch's start.
        training: as of InputBuilder: presets' training values, and targets, such as gt_boxes.
        augment: what may happen at random to samples.
        seed: of the draws from which augmentation follows, where it is not to be that of `shuffle`.
        params, schema, threads, writable, cache: as of InputBuilder.
        prefetch: batches for each worker that are built or being built before they are asked for.
        prefetch_bytes: of all batches that are ready or held; no more are built ahead while they are more.
        start_method: "forkserver": one new Python is started, and forks the workers. "spawn": every worker is a new
            Python. "fork": workers are forks of this process. None: "forkserver". A program needs no
            `if __name__ == "__main__"` for any of them.
        on_error: what happens to a frame that cannot be built for lack of good records: "raise" its error, or "skip":
            it is left out of its batch, and listed in `stats().left_out`.
        on_worker_death: "raise"; "skip": the sample that it died of is left out; "retry": that batch is tried once
            more.
        timeout_s: how long a worker may be at one sample, while the loop waits; one that takes longer hangs, and is
            ended: that is a death. Loading and compiling kernels, which first builds do, does not count. None: for
            ever. Only workers can be ended, so it wants `workers`.
        progress: True: a bar with the rate and the time left; or a function that is called as progress(epoch, batches
            delivered, batches in all).

    What the n-th sample of an epoch is depends on (seed, epoch, n) alone, never on workers, threads, batch size or
    ranks, and so does its draw. Tensors are yours for as long as you hold them or a view of them.
    """

    @names_keywords
    def __init__(
        self,
        logs: Dataset | Log | Iterable[Dataset | Log],
        spec: Model | SpecLike | Mapping[str, Model | SpecLike],
        *,
        batch_size: int | None = 1,
        shuffle: int | None = None,
        workers: int = 0,
        shard: tuple[int, int] = (0, 1),
        drop_last: bool = False,
        training: bool = True,
        augment: Augment | None = None,
        seed: int | None = None,
        params: Mapping[str, Any] | None = None,
        schema: Schema | None = None,
        threads: int = 1,
        writable: bool = False,
        cache: TensorCache | str | os.PathLike[str] | None = None,
        prefetch: int = 2,
        prefetch_bytes: int = 2**31,
        start_method: StartMethod | None = None,
        on_error: Literal["raise", "skip"] = "raise",
        on_worker_death: OnDeath = "raise",
        timeout_s: float | None = None,
        progress: Progress = False,
    ) -> None:
        _check_number("batch_size", batch_size, 1, or_none=True)
        _check_number("shuffle", shuffle, 0, 2**64 - 1, or_none=True)
        _check_number("seed", seed, 0, 2**64 - 1, or_none=True)
        _check_number("workers", workers, 0, _MOST_WORKERS)
        _check_number("prefetch", prefetch, 1)
        _check_number("prefetch_bytes", prefetch_bytes, 1)
        _check_word("start_method", start_method, (None, *get_args(StartMethod)))
        _check_word("on_error", on_error, ("raise", "skip"))
        _check_word("on_worker_death", on_worker_death, get_args(OnDeath))
        _check_timeout(timeout_s, workers)
        rank, world = _checked_shard(shard)
        draws = shuffle if seed is None else seed
        if augment is not None and draws is None:
            raise UsageError("augment needs a seed from which its choices follow: shuffle=, or seed=")
        builder = InputBuilder(
            spec,
            schema=schema,
            params=params,
            threads=threads,
            writable=writable,
            training=training,
            augment=augment,
            cache=cache,
        )
        dataset = Dataset.of(logs)
        if not len(dataset):
            raise UsageError(f"{dataset.name}: the dataset has no frames to load")
        skips = on_error == "skip"
        self._work = Work(
            dataset, builder, EpochOrder(dataset, shuffle), draws, rank, world, batch_size, drop_last, skips
        )
        if not len(self):
            raise UsageError(
                f"drop_last leaves no batch: {counted(len(dataset), 'frame')} for batches of {batch_size}"
                + (f" on {world} ranks" if world > 1 else "")
            )
        self._worker_count = workers
        self._start_method: StartMethod = start_method or "forkserver"
        self._most_ahead = min(workers * prefetch, _MOST_AHEAD)
        self._prefetch_bytes = prefetch_bytes
        self._on_worker_death: OnDeath = on_worker_death
        self._timeout_s = math.inf if timeout_s is None else float(timeout_s)
        self._progress = progress
        self._stats = Stats(workers)
        self._workers: Workers | None = None
        self._end: weakref.finalize[..., Loader] | None = None
        self._epoch, self._position = 0, 0
        self._is_begun = False
        self._loop = 0
        self._fingerprint = ""

    def __repr__(self) -> str:
        work = self._work
        size = "single samples" if work.batch_size is None else f"batches of {work.batch_size}"
        rank = f", rank {work.rank} of {work.world}" if work.world > 1 else ""
        workers = counted(self._worker_count, "worker")
        return f"<Loader {work.dataset.name}: {counted(len(self), 'batch')}, {size}{rank}, {workers}>"

    def __getstate__(self) -> dict[str, Any]:
        # the workers are this one's; a copy, here or in another process, starts its own and is at the same place
        return {**vars(self), "_workers": None, "_end": None, "_stats": Stats(self._worker_count)}

    def __len__(self) -> int:
        """Batches of an epoch, for this rank; the same for all ranks."""
        return len(self._work.share(0))

    def __iter__(self) -> Iterator[Any]:
        """Begins an epoch, or goes on with the one that `load_state_dict` named; a loop that was left has ended its."""
        if self._is_begun:
            self._epoch, self._position = self._epoch + 1, 0
        self._is_begun = True
        self._loop += 1
        return self._shown(self._batches(self._epoch, self._position, self._loop))

    @property
    def epoch(self) -> int:
        """The epoch of the loop that goes on, or of the next one."""
        return self._epoch

    @property
    def dataset(self) -> Dataset:
        return self._work.dataset

    @property
    def batch_size(self) -> int | None:
        return self._work.batch_size

    @property
    def leaves_out(self) -> bool:
        """Whether an epoch may have fewer batches than `len` says: frames that cannot be built are left out."""
        return self._work.skips or self._on_worker_death == "skip"

    @property
    def builder(self) -> InputBuilder[Any]:
        """What builds; a package's parameters, its schema and its fingerprint come from here."""
        return self._work.builder

    @property
    def spec(self) -> Spec:
        """The spec with the parameters that training saw; for several models, see `specs`."""
        return self._work.builder.spec

    @property
    def specs(self) -> Mapping[str, Spec]:
        return self._work.builder.specs

    @property
    def schema(self) -> Schema:
        """What the spec's names mean."""
        return self._work.builder.schema

    def set_epoch(self, epoch: int) -> None:
        """The next loop is that epoch; where a loaded state is in the middle of it, it goes on there."""
        _check_number("epoch", epoch, 0, 2**64 - 1)
        if epoch != self._epoch or self._is_begun:
            self._epoch, self._position = epoch, 0
        self._is_begun = False

    def state_dict(self) -> dict[str, Any]:
        """Returns where the run is, as plain data: what was yielded counts, what was built ahead of it does not.

        Save it on every rank, or on one: all ranks are at the same place.
        """
        return {"format": FORMAT, **self._identity(), "epoch": self._epoch, "position": self._position}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The next loop goes on where the state was saved, at once, however far that is.

        The number of workers, threads, ranks and the batch size may be others than then: `position` counts samples of
        all ranks. Raises StateMismatch for a state of another dataset, spec or order.
        """
        check_state(state, self._identity())
        self._epoch, self._position = state["epoch"], state["position"]
        self._is_begun = False
        self._loop += 1

    def stats(self) -> Stats:
        """Returns what was delivered, how long it took, and what waited for what, since the loader was made."""
        return self._stats

    def close(self) -> None:
        """Ends the workers. Tensors that somebody holds stay; a new loop starts new workers."""
        if self._workers is not None:
            self._workers.close()
        # last: after Ctrl-C in the middle of it the rest is done by the next call, or when the loader dies
        if self._end is not None:
            self._end.detach()
        self._workers = self._end = None

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def torch(self) -> TorchBatches:
        """Returns the batches as torch tensors over the same memory: `for batch in loader.torch():`."""
        from .torch_view import TorchBatches

        self._make_writable()
        return TorchBatches(self)

    def torch_dataset(self) -> TorchDataset:
        """Returns the frames as a map-style dataset, for torch's own DataLoader and samplers."""
        from .torch_view import TorchDataset

        self._make_writable()
        return TorchDataset(self._work)

    def tf_dataset(self, inputs: Iterable[str] | None = None, targets: Iterable[str] | None = None) -> Any:
        """Returns a tf.data.Dataset over the same memory, each iteration of which is an epoch.

        inputs, targets: names of tensors: elements are then ({input}, {target}), as Keras' fit takes them. Without
        targets an element is one dict.
        """
        from .tensorflow_view import tf_dataset

        return tf_dataset(self, inputs, targets)

    def source(self) -> FrameSource:
        """Returns the frames by their number, as numpy arrays: a random-access source, such as Grain's
        `MapDataset.source` takes."""
        from .source import FrameSource

        return FrameSource(self._work)

    def _make_writable(self) -> None:
        """A torch tensor can always be written to; what was written must not be in a later batch."""
        builder = self._work.builder
        if builder.plan.options.writable:
            return
        self.close()
        options = dataclasses.replace(builder.plan.options, writable=True)
        builder = copy.copy(builder)
        builder.plan = dataclasses.replace(builder.plan, options=options)
        self._work = dataclasses.replace(self._work, builder=builder)

    def _identity(self) -> dict[str, Any]:
        work = self._work
        if not self._fingerprint:
            self._fingerprint = dataset_fingerprint(work.dataset)
        fingerprints = dict(work.builder.fingerprints)
        return {
            "seed": work.order.seed,
            "draws": work.seed,
            "frames": len(work.order),
            "dataset": self._fingerprint,
            "spec": fingerprints.get(SINGLE, fingerprints),
            "drop_last": work.drop_last,
        }

    def _shown(self, batches: Iterator[Any]) -> Iterator[Any]:
        if self._progress is False:
            return batches
        total = len(self._work.share(self._position))
        if self._progress is True:
            # typer and rich, which only people need
            from perceptum.cli.output import track

            return track(batches, f"epoch {self._epoch}", total)
        return self._counted(batches, self._progress, self._epoch, total)

    @staticmethod
    def _counted(
        batches: Iterator[Any], progress: Callable[[int, int, int], object], epoch: int, total: int
    ) -> Iterator[Any]:
        for number, batch in enumerate(batches, 1):
            progress(epoch, number, total)
            yield batch

    def _batches(self, epoch: int, start: int, loop: int) -> Iterator[Any]:
        share, stats = self._work.share(start), self._stats
        # before the workers hear of it: they would forget what they build for the loop that goes on
        self._check_goes_on(loop)
        asked_s = perf_counter()
        with closing(self._built(epoch, start, range(len(share)))) as built_batches:  # type: ignore[type-var]
            for number, built in enumerate(built_batches):
                self._position = share.after(number + 1)
                batch = self._finished(built, epoch)
                del built
                stats.elapsed_s += perf_counter() - asked_s
                asked_s = perf_counter()
                if batch is not None:
                    yield batch
                del batch
                # before it waits for what the workers have forgotten since
                self._check_goes_on(loop)
        if loop == self._loop:
            self._epoch, self._position, self._is_begun = epoch + 1, 0, False

    def _check_goes_on(self, loop: int) -> None:
        if loop != self._loop:
            raise LoaderError("this loop is over: another one over the same loader has begun since")

    def _built(self, epoch: int, start: int, numbers: range) -> Iterator[Built]:
        if self._worker_count:
            starts, begin_s = self._workers is None or not self._workers.is_usable, perf_counter()
            for built in self._started().built(epoch, start, numbers):
                if starts:
                    self._stats.started_s += perf_counter() - begin_s
                    starts = False
                yield built
                del built
            return
        for number in numbers:
            begin_s = perf_counter()
            built = self._work.build(Job(0, epoch, start, number))
            self._stats.waited_s += perf_counter() - begin_s
            yield built
            del built

    def _started(self) -> Workers:
        if self._workers is None or not self._workers.is_usable:
            starts = starts_of(self._start_method, self._work, self._prefetch_bytes)
            self._workers = Workers(
                self._work,
                starts,
                self._worker_count,
                self._stats,
                most_ahead=self._most_ahead,
                most_bytes=self._prefetch_bytes,
                on_death=self._on_worker_death,
                timeout_s=self._timeout_s,
            )
            self._end = weakref.finalize(self, self._workers.close)
            self._end.atexit = False
        return self._workers

    def _finished(self, built: Built, epoch: int) -> Any:
        """Returns what is yielded for a batch; None where all of its frames were left out."""
        work, stats = self._work, self._stats
        indices = [work.order.frame(epoch, position) for position in built.positions.tolist()]
        for position, why in built.left_out:
            stats.left_out.append(f"{work.frame_name(work.order.frame(epoch, position))}: {why}")
        if not indices:
            if work.world > 1:
                raise LoaderError(
                    "no frame of a batch could be built, and the other ranks are not a batch short: "
                    f"{stats.left_out[-1]}"
                )
            return None
        stats.batches += 1
        stats.samples += len(indices)
        stats.built_s += built.took_s
        first = next(iter(built.tensors.values()))
        stats.add_times(first.times_s, first.once_s, {})
        for tensors in built.tensors.values():
            stats.add_times({}, {}, tensors.dropped)
        samples = Samples.of(work.dataset, epoch, indices, built.positions, work.seed)
        if SINGLE in built.tensors:
            return Batch(built.tensors[SINGLE], samples)
        return Batches(built.tensors, samples)


def _check_number(name: str, value: object, least: int, most: int | None = None, *, or_none: bool = False) -> None:
    if value is None and or_none:
        return
    fits = isinstance(value, int) and not isinstance(value, bool)
    if not fits or value < least or (most is not None and value > most):  # type: ignore[operator]
        wanted = f"a number of {least} or more" if most is None else f"a number from {least} to {most}"
        hint = "; it is the seed of the order" if name == "shuffle" and isinstance(value, bool) else ""
        raise UsageError(f"{name} must be {wanted}{', or None' if or_none else ''}, got {value!r}{hint}")


def _check_timeout(timeout_s: object, workers: int) -> None:
    if timeout_s is None:
        return
    if isinstance(timeout_s, bool) or not isinstance(timeout_s, int | float) or not 0 < timeout_s < math.inf:
        raise UsageError(f"timeout_s must be a number of seconds above 0, or None, got {timeout_s!r}")
    if not workers:
        raise UsageError("timeout_s ends a worker that hangs, and with workers=0 there is none; use workers=1 or more")


def _check_word(name: str, value: object, words: tuple[str | None, ...]) -> None:
    if value not in words:
        raise UsageError(f"{name} must be {', '.join(map(repr, words[:-1]))} or {words[-1]!r}, got {value!r}")


def _checked_shard(shard: object) -> tuple[int, int]:
    if not isinstance(shard, tuple) or len(shard) != 2:
        raise UsageError(f"shard must be (rank, world), got {a_or_an(type(shard).__name__)}: {shard!r}")
    rank, world = shard
    _check_number("shard's world", world, 1)
    _check_number("shard's rank", rank, 0, world - 1)
    return rank, world
