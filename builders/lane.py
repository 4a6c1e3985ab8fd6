"""A lane: one frame in flight. It holds a plan's stages with their scratch; a builder has one per caller at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.features import Layout, Resolved, SpecError
from perceptum.features.layout import BLOCK
from perceptum.foreign import foreign
from perceptum.inputs.first_calls import FirstCall, first_calls_since, latest, seconds

from .augment.paste.paster import Paster
from .batch import Batch, size_in
from .cache.reuse import Lookup, Reuse
from .cache.tensor_cache import Found
from .crew import Crew
from .errors import OURS, stage_failed
from .memory import Memory, take_checked
from .pages import allocate_pages
from .plan import Plan
from .pool import Pool
from .sample import Sample
from .stage import Filler, Stage, Stages, closure
from .table import filler_of
from .tensors import Tensors
from .written import Written

__all__ = ["Lane", "OnReady", "Wanted"]

OnReady = Callable[[str, str, NDArray[Any]], object]
"""(model, name, array): a tensor is written; other stages may still run."""

_log = logging.getLogger(__name__)

_CACHE = "cache"
"""Among the times of a build: to look tensors up, and to keep those that were built."""
_MOST_GRAPHS = 64


@dataclass(eq=False)
class Wanted:
    """One tensor of one model, and who fills it."""

    model: str
    row: Resolved
    filler: Filler
    place: tuple[int, tuple[int, ...]] | None
    """Where it lies in the block of small tensors: offset and shape."""

    def __post_init__(self) -> None:
        self.name = self.row.name
        self.label = f"{self.model}/{self.name}" if self.model else self.name
        self.feature = self.row.feature.name
        self.fill = self.row.feature.fill
        self.dtype = np.dtype(self.row.row.dtype)
        self.fixed = self.row.fixed
        self.ragged = None in self.fixed
        """Whether a frame decides a size."""
        self.cuts = _cuts(self.row)
        """Size -> how many of it are kept, where the spec fixes less than a frame can have."""
        self.layout = ("one", type(self.filler), self.feature, self.row.params, self.dtype)
        """By which `Written` knows whether it was this that wrote."""
        self.found: Found | None = None
        """What a cache had for the frame in flight; the filler has not run then."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape for the frame that the filler last ran on."""
        if not self.ragged:
            return self.fixed  # type: ignore[return-value]
        own = self.own_sizes
        return tuple(
            size_in(own, str(s), self.label) if n is None else n
            for n, s in zip(self.fixed, self.row.sizes, strict=True)
        )

    def beyond(self) -> dict[str, int]:
        """Returns what the fixed sizes cut from the frame that the filler last ran on, by reason."""
        own = self.own_sizes
        # a filler need not name a size that the spec fixes
        over = {size: size_in(own, size, self.label) - kept for size, kept in self.cuts.items() if size in own}
        what = f"'{self.name}' beyond its size"
        return {
            f"rows of {what}" if size == self.row.sizes[0] else f"{size} of {what}": n
            for size, n in over.items()
            if n > 0
        }

    @property
    def own_sizes(self) -> Mapping[str, int]:
        """What the filler says of the frame that it last ran on; raises BuildError where it cannot."""
        if self.found is not None:
            return self.found.sizes
        try:
            return dict(self.filler.sizes())
        except OURS:
            raise
        except BaseException as error:
            raise stage_failed(self.filler, "sizes", error) from error


class Lane:
    """The stages of a plan, shared by all that needs them, across models too."""

    def __init__(self, plan: Plan, crew: Crew, said: dict[Hashable, object]) -> None:
        self._crew = crew
        self._writable = plan.options.writable
        self._layouts = {model: layout for model, layout in plan.layouts.items() if layout.places}
        augment = plan.options.augment
        cache = plan.options.cache
        stages = Stages(crew, said, augment, cache if plan.options.keeps_pictures else None)
        self._paster = None if augment is None or augment.paste is None else Paster(augment.paste, Stages(crew, said))
        self.wanted = [
            _wanted(model, row, plan.layouts[model], stages) for model, rows in plan.rows.items() for row in rows
        ]
        self.ragged = [wanted for wanted in self.wanted if wanted.ragged]
        """Those of which a frame decides a size."""
        self._cuttable = [wanted for wanted in self.wanted if wanted.cuts]
        self.cut: dict[Wanted, dict[str, int]] = {}
        """What the sizes that specs fix cut from the last frame, by reason."""
        self._first_time = stages.first_time
        self.stages = stages.finish()
        self._needed_by = _needed_by(self.stages, self.wanted)
        self.by_model = {model: [w for w in self.wanted if w.model == model] for model in plan.specs}
        self._stages_of = {
            model: [stage for stage in self.stages if any(w.model == model for w in self._needed_by[stage])]
            for model in plan.specs
        }
        self.labels = dict(zip(self.stages, _labels(self.stages), strict=True))
        """Stage -> its title, with a number if others have the same."""
        self._graph = _Graph.of(self.stages, self.wanted, self.labels)
        self.step_labels = self._graph.labels
        self._pruned: dict[frozenset[Wanted], _Graph] = {}
        self._reuse = None if cache is None else Reuse(cache, self.wanted, augment is not None)
        self.ran: Collection[Stage] = self.stages
        """The stages that ran on the last frame; the others were not needed."""

    def __repr__(self) -> str:
        return f"<Lane: {len(self.stages)} stages for {len(self.wanted)} tensors>"

    def serves(self, stage: Stage) -> list[Wanted]:
        """Returns the tensors that need a stage."""
        return self._needed_by[stage]

    def run(
        self, sample: Sample, memories: Mapping[str, Memory], on_ready: OnReady | None, blocks: bool = True
    ) -> dict[str, Tensors]:
        """Returns each model's tensors for a sample.

        memories: model -> who owns its memory. blocks: small tensors lie in one block, as the plan's layout says.
        """
        if self._paster is not None:
            sample = self._paster.pasted(sample)
        lookup = None if self._reuse is None else self._looked_up(sample, self._reuse)
        graph = self._graph if lookup is None or not lookup.found else self._graph_without(lookup)
        flight = _Flight(self, graph, lookup, sample, memories, on_ready, self._layouts if blocks else {})
        self._crew.steps(flight.step, graph.needs, graph.then)
        return flight.land()

    def _looked_up(self, sample: Sample, reuse: Reuse) -> Lookup | None:
        lookup = reuse.look_up(sample)
        for wanted in self.wanted:
            wanted.found = None if lookup is None else lookup.found.get(wanted)
        self.ran = self.stages if lookup is None else lookup.stages
        return lookup

    def _graph_without(self, lookup: Lookup) -> _Graph:
        """Returns the steps without the stages that only tensors need which a cache had."""
        found = frozenset(lookup.found)
        graph = self._pruned.get(found)
        if graph is None:
            if len(self._pruned) >= _MOST_GRAPHS:
                self._pruned.clear()
            stages = [stage for stage in self.stages if stage in lookup.stages]
            graph = self._pruned[found] = _Graph.of(stages, self.wanted, self.labels, found)
        return graph

    def strided(self, model: str) -> set[str]:
        """Returns the tensors whose filler can write rows that do not lie side by side."""
        return {w.name for w in self.by_model[model] if w.feature in w.filler.strided}

    def sizes(self) -> dict[str, dict[str, Mapping[str, int]]]:
        """Returns model -> tensor -> the frame's own sizes, as its filler has them."""
        return {model: {w.name: w.own_sizes for w in own} for model, own in self.by_model.items()}

    def dropped(self, model: str) -> dict[str, int]:
        """Returns what was left out of the last frame, by reason: the most that a stage of this model left out."""
        total: dict[str, int] = {}
        dropped: list[Mapping[str, int]] = [s.dropped for s in self._stages_of[model] if s in self.ran]
        dropped += [wanted.found.dropped for wanted in self.by_model[model] if wanted.found is not None]
        for one in dropped:
            for reason, count in one.items():
                total[reason] = max(total.get(reason, 0), count)
        return total

    def count_cut(self) -> None:
        """Sees what the sizes that specs fix cut from the last frame, and reports it once."""
        self.cut = {wanted: lost for wanted in self._cuttable if (lost := wanted.beyond())}
        by_filler: dict[Filler, dict[Wanted, int]] = {}
        for wanted, lost in self.cut.items():
            by_filler.setdefault(wanted.filler, {})[wanted] = max(lost.values())
        for filler, cut in by_filler.items():
            names = ", ".join(wanted.label for wanted in cut)
            if self._first_time((Lane, "cut", filler.title, names)):
                _log.warning(
                    "%s: the frame has %d rows more than the spec fixes, and they are dropped (reported once; see "
                    "Tensors.dropped; a symbol instead of the number takes the frame's own size)",
                    names,
                    max(cut.values()),
                )


@dataclass(frozen=True, eq=False)
class _Graph:
    """The steps of a run, each stage directly followed by the tensors it fills, so they are ready early."""

    steps: list[Stage | Wanted]
    needs: list[int]
    """How many steps each waits for."""
    then: list[list[int]]
    """Which steps each is awaited by."""
    labels: list[str]

    @classmethod
    def of(
        cls,
        stages: Iterable[Stage],
        wanted: Sequence[Wanted],
        labels: Mapping[Stage, str],
        found: Collection[Wanted] = (),
    ) -> _Graph:
        """found: tensors that need no stage, and come first."""
        steps: list[Stage | Wanted] = [one for one in wanted if one in found]
        for stage in stages:
            steps.append(stage)
            steps += [one for one in wanted if one.filler is stage and one not in found]
        number = {step: k for k, step in enumerate(steps)}
        needs, then = [0] * len(steps), [[] for _ in steps]  # type: list[int], list[list[int]]
        for k, step in enumerate(steps):
            before: Iterable[Stage] = step.needs if isinstance(step, Stage) else (step.filler,)
            for need in () if step in found else before:
                needs[k] += 1
                then[number[need]].append(k)
        return cls(steps, needs, then, [s.label if isinstance(s, Wanted) else labels[s] for s in steps])


class _Flight:
    """One run of a lane."""

    def __init__(
        self,
        lane: Lane,
        graph: _Graph,
        lookup: Lookup | None,
        sample: Sample,
        memories: Mapping[str, Memory],
        on_ready: OnReady | None,
        layouts: Mapping[str, Layout],
    ) -> None:
        self._lane = lane
        self._graph = graph
        self._steps = graph.steps
        self._lookup = lookup
        self._sample = sample
        self._memories = memories
        self._on_ready = on_ready
        self._writable = lane._writable
        self._settling: list[Written] = []
        self._blocks = {model: self._block(memories[model], layout) for model, layout in layouts.items()}
        self._arrays: dict[Wanted, NDArray[Any]] = {}
        self._times_s = [0.0] * len(graph.steps)
        self._first_calls: list[FirstCall] = []

    def step(self, k: int) -> None:
        step = self._steps[k]
        start = perf_counter()
        if isinstance(step, Wanted):
            if step.found is None:
                self._fill(step)
            else:
                self._hand_out(step, step.found)
        else:
            try:
                step.run(self._sample if self._lookup is None else self._lookup.sample_for(step))
            except OURS:
                raise
            # a plug-in's may raise anything, SystemExit too
            except BaseException as error:
                raise stage_failed(step, "run", error) from error
        took_s = perf_counter() - start
        # one look at a number: a hundred small tensors are built in 0.15 ms
        if latest.end_s > start:
            calls = first_calls_since(start)
            self._first_calls += calls
            took_s -= sum(seconds(calls).values())
        self._times_s[k] = took_s

    def _block(self, memory: Memory, layout: Layout) -> NDArray[np.uint8]:
        array, written = take_checked(memory, BLOCK, (layout.nbytes,), np.dtype(np.uint8))
        array = array[: layout.nbytes]
        if not written.begin(array, BLOCK, self._writable):
            array[:] = 0
        self._settling.append(written)
        return array

    def _fill(self, wanted: Wanted) -> None:
        filler, fill, memory = wanted.filler, wanted.fill, self._memories[wanted.model]
        if wanted.place is not None and self._blocks:
            offset, shape = wanted.place
            array: NDArray[Any] = np.ndarray(shape, wanted.dtype, self._blocks[wanted.model], offset)
            # the block was cleared as a whole
            written, clean = Written(), True
        else:
            # a batch has checked its block, in which a place begins where the one before ends
            take = memory.take if isinstance(memory, Batch) else partial(take_checked, memory)
            array, written = take(wanted.name, wanted.shape, wanted.dtype)
            # a view of its own: it is made read-only when it is written
            array = array[: wanted.shape[0]] if wanted.shape else array[...]
            clean = written.begin(array, (*wanted.layout, array.shape[1:]), self._writable)
            self._settling.append(written)
        try:
            clearing = filler.clearing(wanted.feature)
        except OURS:
            raise
        except BaseException as error:
            raise stage_failed(filler, f"clearing('{wanted.feature}')", error) from error
        if clearing == "own" and fill and not clean and wanted.ragged:
            # rows beyond this tensor's end hold zeros, not the fill value
            clearing, written = "before", Written()
        if clearing != "whole" and (fill if clean else clearing == "before"):
            array[...] = fill
        try:
            filler.fill(wanted.feature, array, written)
        except OURS:
            raise
        except BaseException as error:
            raise stage_failed(filler, f"fill('{wanted.feature}')", error) from error
        if wanted.ragged and len(array) > (rows := wanted.shape[0]):
            array = array[:rows]
            if isinstance(memory, Batch):
                memory.cut(wanted.name, rows)
        self._done(wanted, array)

    def _hand_out(self, wanted: Wanted, found: Found) -> None:
        """Hands out what a cache had: as it is mapped, or copied once to where it is wanted."""
        memory = self._memories[wanted.model]
        if wanted.place is not None and self._blocks:
            offset, shape = wanted.place
            array: NDArray[Any] = np.ndarray(shape, wanted.dtype, self._blocks[wanted.model], offset)
        elif isinstance(memory, Pool) and memory.allocate is allocate_pages:
            # nobody's memory in particular: the mapped file is as good
            self._done(wanted, found.array[...])
            return
        else:
            take = memory.take_whole if isinstance(memory, Batch) else partial(take_checked, memory)
            array, written = take(wanted.name, found.array.shape, wanted.dtype)
            array = array[: len(found.array)] if found.array.ndim else array[...]
            # a layout of its own: what a filler notes of its memory does not hold for this
            written.begin(array, ("found", wanted.feature, wanted.dtype, array.shape[1:]), self._writable)
            self._settling.append(written)
        found.copy_into(array)
        self._done(wanted, array)

    def _done(self, wanted: Wanted, array: NDArray[Any]) -> None:
        if not self._writable:
            array.flags.writeable = False
        self._arrays[wanted] = array
        if self._on_ready is not None:
            self._on_ready(wanted.model, wanted.name, array)

    def land(self) -> dict[str, Tensors]:
        for written in self._settling:
            written.settle()
        lane, arrays = self._lane, self._arrays
        times_s = dict(zip(self._graph.labels, self._times_s, strict=True))
        if self._lookup is not None:
            start = perf_counter()
            self._lookup.keep(arrays)
            times_s[_CACHE] = self._lookup.took_s + perf_counter() - start
        once_s = seconds(self._first_calls)
        built = {
            model: Tensors({w.name: arrays[w] for w in own}, lane.dropped(model), times_s, once_s)
            for model, own in lane.by_model.items()
        }
        if lane._cuttable:
            lane.count_cut()
            for wanted, lost in lane.cut.items():
                built[wanted.model].dropped.update(lost)
        return built


def _cuts(row: Resolved) -> dict[str, int]:
    cuts = {}
    for dim, size in zip(row.row.shape, row.sizes, strict=True):
        if isinstance(dim, int) and isinstance(size, str):
            most = row.cap(size)
            if most is None or most > dim:
                cuts[size] = dim
    return cuts


def _wanted(model: str, row: Resolved, layout: Layout, stages: Stages) -> Wanted:
    kind = filler_of(row)
    what = f"input '{row.name}': the filler {kind.__qualname__} of group '{row.group.name}' fails"
    with foreign(what, SpecError, MemoryError):
        filler = stages.share(kind, row.params)
        filler.group = filler.group or row.group.name
        filler.want(row.feature.name, row.row.dtype)
    place = next((p for p in layout.places if p.name == row.name), None)
    return Wanted(model, row, filler, None if place is None else (place.offset, place.shape))


def _needed_by(stages: Iterable[Stage], tensors: Iterable[Wanted]) -> dict[Stage, list[Wanted]]:
    found: dict[Stage, list[Wanted]] = {stage: [] for stage in stages}
    for wanted in tensors:
        for stage in closure(wanted.filler):
            found[stage].append(wanted)
    return found


def _labels(stages: Iterable[Stage]) -> list[str]:
    """Returns the stages' titles; a second stage of the same title gets a number."""
    seen: dict[str, int] = {}
    labels = []
    for stage in stages:
        seen[stage.title] = seen.get(stage.title, 0) + 1
        labels.append(stage.title if seen[stage.title] == 1 else f"{stage.title} #{seen[stage.title]}")
    return labels
