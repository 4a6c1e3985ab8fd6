"""InputBuilder: turns a frame into the tensors of one spec."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from threading import Lock
from time import perf_counter
from typing import Any, Protocol

from numpy.typing import NDArray

from perceptum.features import Row, Schema, Spec, SpecError, UnknownFeature, canonical
from perceptum.inputs import Frame

from .collate import Batch
from .explain import Explanation, explain
from .plan import Plan, Planned, make_plan
from .pool import Allocate, Pool, allocate_pages
from .stage import Stage

__all__ = ["InputBuilder", "Model", "Tensors"]

Tensors = dict[str, NDArray[Any]]
"""Name -> array, 64-byte aligned, in the spec's order."""

SpecLike = Iterable[str | Row | Mapping[str, Any]]


class Model(Protocol):
    """Anything that says what it wants. It may also have `allocator`, which owns the memory to fill."""

    @property
    def inputs(self) -> Sequence[Mapping[str, Any]]: ...


class InputBuilder:
    """Builds only the tensors that one spec asks for; what several of them need is computed once.

    Args:
        wanted: a model (anything with `.inputs`), spec rows, or feature names.
        schema: what the names mean; the canonical schema if not given.
        params: parameters or a preset's name per group, for rows that bring none: {"lidar_voxels": "bevfusion"}.
        threads: stages and tensors that do not need each other are made side by side; no byte depends on it.
        writable: False: tensors are read-only, and reused memory is cleared only where it was written.
            True: they may be changed in place, and reused memory is cleared as a whole, which takes longer.

    Raises SpecError here, not later, for whatever cannot be built. One builder may be called from several threads;
    the calls wait for each other.
    """

    def __init__(
        self,
        wanted: Model | SpecLike,
        *,
        schema: Schema | None = None,
        params: Mapping[str, Any] | None = None,
        threads: int = 1,
        writable: bool = False,
    ) -> None:
        if threads < 1:
            raise SpecError(f"threads must be at least 1, got {threads}")
        self.schema = schema or canonical()
        self.plan = _plan(self.schema, wanted, params, threads)
        self._model = wanted if hasattr(wanted, "inputs") else None
        allocator: Allocate | None = getattr(self._model, "allocator", None)
        self.pool = Pool(allocator or allocate_pages)
        self._writable = writable
        self._levels = self.plan.levels
        self._threads = ThreadPoolExecutor(threads, "perceptum-build") if threads > 1 else None
        self._lock = Lock()
        self.times_s: dict[object, float] = {}
        """Seconds that each stage and tensor took in the last build."""

    @property
    def spec(self) -> Spec:
        return self.plan.spec

    def build(self, frame: Frame) -> Tensors:
        """Returns the frame's tensors. They are yours for as long as you hold them or a view of them."""
        with self._lock:
            self._run(frame)
            tensors: Tensors = {}
            work = [self._prepare(planned, tensors) for planned in self.plan.tensors]
            self._all(work)
        return tensors

    def build_batch(self, frames: Iterable[Frame]) -> Tensors:
        """Returns the tensors of several frames as one.

        Tensors whose size the frame decides stand one after the other, with `<group>_batch_ptr` (B + 1,) int32
        telling where each frame begins; voxel coordinates get the frame's number as their first column. All
        others get a new first axis.
        """
        frames = list(frames)
        if not frames:
            raise ValueError("a batch needs at least one frame")
        with self._lock:
            batch = Batch(self.plan, self.pool, len(frames), self._writable)
            for frame in frames:
                self._run(frame)
                batch.add()
            return batch.tensors()

    def explain(self) -> Explanation:
        """Returns the plan as it is, with sizes and times once a frame has been built. Print it."""
        return explain(self.plan, self.times_s, self._model, self._writable)

    @property
    def dropped(self) -> dict[str, int]:
        """What was left out of the last frame, by reason: points that are not finite, points over a limit."""
        total: dict[str, int] = {}
        for stage in self.plan.stages:
            for reason, count in stage.dropped.items():
                total[reason] = max(total.get(reason, 0), count)
        return total

    def _run(self, frame: Frame) -> None:
        for level in self._levels:
            self._all([self._timed(stage, partial(stage.run, frame)) for stage in level])

    def _prepare(self, planned: Planned, tensors: Tensors) -> Callable[[], None]:
        array, buffer = self.pool.take(planned.name, planned.name, planned.shape, planned.dtype)
        tensors[planned.name] = array
        if self._writable and buffer.dirty:
            buffer.zero()

        def fill() -> None:
            with buffer.filling():
                planned.fill(array, buffer.dirty)
            array.flags.writeable = self._writable

        return self._timed(planned.name, fill)

    def _timed(self, what: Stage | str, work: Callable[[], None]) -> Callable[[], None]:
        def timed() -> None:
            start = perf_counter()
            work()
            self.times_s[what] = perf_counter() - start

        return timed

    def _all(self, work: list[Callable[[], None]]) -> None:
        if self._threads is None or len(work) == 1:
            for one in work:
                one()
            return
        futures: list[Future[None]] = []
        try:
            futures.extend(self._threads.submit(one) for one in work)
            wait(futures)
        except BaseException:
            # an interrupt: nobody may still be writing when the stages start on another frame
            wait(futures)
            raise
        for future in futures:
            future.result()


def _plan(schema: Schema, wanted: Model | SpecLike, params: Mapping[str, Any] | None, threads: int) -> Plan:
    try:
        return make_plan(schema, schema.spec(_rows(wanted), params), threads)
    except UnknownFeature as error:
        if not hasattr(wanted, "inputs"):
            raise
        raise UnknownFeature(
            f"model '{getattr(wanted, 'name', '')}' takes what is no feature, so that no log fills it; "
            f"give it arrays of your own: {error}"
        ) from error


def _rows(wanted: Model | SpecLike) -> SpecLike:
    if isinstance(wanted, (str, bytes, Mapping)):
        raise SpecError(f"want a model, a list of spec rows or a list of feature names, got {wanted!r}")
    rows = getattr(wanted, "inputs", wanted)
    if not isinstance(rows, Iterable):
        raise SpecError(f"want a model, a list of spec rows or a list of feature names, got {type(wanted).__name__}")
    return rows
