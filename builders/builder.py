"""InputBuilder: turns frames into the tensors of one or several specs."""

from __future__ import annotations

import os
import weakref
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar, overload

from perceptum.features import Row, Schema, Spec, SpecError, UnknownFeature, canonical
from perceptum.foreign import foreign
from perceptum.inputs import Frame
from perceptum.plural import a_or_an, counted
from perceptum.spelling import names_keywords

from .augment import Augment
from .batch import Batch, check_collation
from .cache import TensorCache
from .crew import Crew
from .explain import Explanation, LastBuild, explain
from .handover import Handover, Owner, Receiver, allocator_of, is_memory, is_model, owner_of
from .lane import Lane, OnReady
from .memory import Memory
from .pages import allocate_pages
from .plan import SINGLE, Options, Plan
from .pool import Allocate, Pool
from .sample import Draw, Sample
from .tensors import Tensors

__all__ = ["Into", "InputBuilder", "Model", "SpecLike"]

SpecLike = Iterable[str | Row | Mapping[str, Any]]
Built = TypeVar("Built")
Of = TypeVar("Of")


class Model(Protocol):
    """Anything that says what it wants.

    It may also have `allocator`, an `Allocate` that gives the model's own memory to fill, and `seal(name, array)`, by
    which it hears that a tensor is written while others are still being made.
    """

    @property
    def inputs(self) -> Sequence[Mapping[str, Any]]: ...


Into = Memory | Model | Mapping[str, Memory | Model] | None
"""Who owns the memory of a build: a memory, or a model, which also gets each tensor as soon as it is ready."""


class InputBuilder(Generic[Built]):
    """Builds only the tensors that specs ask for; what several of them need is computed once.

    Args:
        wanted: a model (anything with `.inputs`), spec rows, or feature names; or several of these by name,
            {"a": model_a, "b": model_b}: then one plan serves all, and results come by the same names.
        schema: what the names mean; the canonical schema if not given.
        params: parameters or a preset's name per group, for rows that bring none: {"lidar_voxels": "bevfusion"}; or
            a part for all rows that have it: the frame of reference, {"frame": "lidar"}, or what is done to pictures,
            {"image": {"resize": 0.5}}.
        threads: how many threads one build may use, the caller's included; no byte depends on it.
        writable: False: tensors are read-only, and reused memory is cleared only where it was written.
            True: they may be changed in place, and reused memory is cleared as a whole, which takes longer.
        training: True: where a preset has other values in training, such as fewer voxels, those are taken, unless the
            row says its own; `spec` shows them. Only then may targets, such as gt_boxes, be asked for.
        augment: what may happen at random to samples that have a draw; fingerprints do not change.
        cache: where built tensors are kept and found again for as long as nothing that they came from changes: a
            TensorCache, or the path of its folder. It changes no byte.

    Raises SpecError here, not later, for whatever cannot be built. Any number of threads may call one builder at once:
    each call takes a lane of its own. It can be pickled and used in other processes, forked or spawned, where its
    memory is that process's own.
    """

    @overload
    def __init__(
        self: InputBuilder[dict[str, Tensors]],
        wanted: Mapping[str, Model | SpecLike],
        *,
        schema: Schema | None = None,
        params: Mapping[str, Any] | None = None,
        threads: int = 1,
        writable: bool = False,
        training: bool = False,
        augment: Augment | None = None,
        cache: TensorCache | str | os.PathLike[str] | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: InputBuilder[Tensors],
        wanted: Model | SpecLike,
        *,
        schema: Schema | None = None,
        params: Mapping[str, Any] | None = None,
        threads: int = 1,
        writable: bool = False,
        training: bool = False,
        augment: Augment | None = None,
        cache: TensorCache | str | os.PathLike[str] | None = None,
    ) -> None: ...

    @names_keywords
    def __init__(
        self,
        wanted: Any,
        *,
        schema: Schema | None = None,
        params: Mapping[str, Any] | None = None,
        threads: int = 1,
        writable: bool = False,
        training: bool = False,
        augment: Augment | None = None,
        cache: TensorCache | str | os.PathLike[str] | None = None,
    ) -> None:
        options = Options(threads, writable, training, augment, TensorCache.of(cache))
        schema = schema or canonical()
        several = _several(wanted)
        # a model's `inputs` and a plug-in's parameters are others' code
        with foreign("the plan cannot be made", SpecError, MemoryError):
            specs = _specs(schema, wanted if several else {SINGLE: wanted}, params, training)
            self.plan = Plan(schema, specs, options)
        models: dict[str, Any] = dict(wanted) if several else {SINGLE: wanted}
        allocators = {name: allocator_of(model) or allocate_pages for name, model in models.items()}
        self._start(models, allocators)
        # a stage may still have something to say against its parameters
        self._lanes.append(self._new_lane())

    def _start(self, models: Mapping[str, Any], allocators: Mapping[str, Allocate]) -> None:
        self._models = models
        self._crew = Crew(self.plan.options.threads)
        self._said: dict[Hashable, object] = {}
        self._lanes: deque[Lane] = deque()
        self._last: LastBuild | None = None
        self.pools = {name: Pool(allocators.get(name, allocate_pages)) for name in self.plan.specs}
        """Model -> its memory, which is the model's own where that has an allocator."""
        self._receivers: dict[int, Receiver] = {}
        """By the id of a model into which something was built."""
        _builders.add(self)

    def _start_in_child(self) -> None:
        """A forked child has its parent's builders, but not their threads, and nobody who would let go of a lane; the
        models' memory is the parent's."""
        self._start(self._models, {})

    def _new_lane(self) -> Lane:
        return Lane(self.plan, self._crew, self._said)

    def __getstate__(self) -> Plan:
        return self.plan

    def __setstate__(self, plan: Plan) -> None:
        self.plan = plan
        self._start({}, {})

    def __repr__(self) -> str:
        parts = [f"{model + ': ' if model else ''}{counted(len(spec), 'tensor')}" for model, spec in self.specs.items()]
        return f"<InputBuilder {', '.join(parts)}, schema {self.schema.name} {self.schema.version}>"

    @property
    def pool(self) -> Pool:
        """The memory of the only model; for several, see `pools`."""
        return self._only(self.pools, "pools")

    @property
    def cache(self) -> TensorCache | None:
        """Where tensors are kept; None: nowhere."""
        return self.plan.options.cache

    @property
    def schema(self) -> Schema:
        return self.plan.schema

    @property
    def spec(self) -> Spec:
        """The spec, if there is one; for several, see `specs`."""
        return self._only(self.specs, "specs")

    @property
    def fingerprint(self) -> str:
        """16 hex digits over what is built: equal where each tensor of that name, dtype and size means the same.

        Training values are part of it. For several models, see `fingerprints`.
        """
        return self._only(self.fingerprints, "fingerprints")

    @property
    def fingerprints(self) -> Mapping[str, str]:
        return self.plan.fingerprints

    @property
    def specs(self) -> Mapping[str, Spec]:
        return self.plan.specs

    def build(
        self,
        frame: Frame,
        *,
        draw: Draw | None = None,
        into: Into = None,
        on_ready: OnReady | None = None,
    ) -> Built:
        """Returns the frame's tensors. They are yours for as long as you hold them or a view of them.

        Args:
            draw: from which all random choices follow, in training; None: nothing is random.
            into: who owns the memory, where it is not the builder's pool or the model's allocator: a memory, or a
                model; of several models {name: memory or model}, for some or all. A model also gets each tensor as soon
                as it is written (`seal`, where it has that, and where tensors are not writable); `infer` takes what is
                returned as it is.
            on_ready: called as on_ready(model, name, array) for every tensor as soon as it is written, while others
                are still being made; in the thread that wrote it, `model` "" where there is only one.
        """
        _check_frame(frame, "build")
        _check_draw(draw, "build")
        if into is None:
            lane = self._take_lane()
            built = lane.run(Sample(frame, draw), self.pools, on_ready)
            self._keep(lane, built, built)
        else:
            built = self._build_into(Sample(frame, draw), into, on_ready)
        return built[SINGLE] if self.plan.single else built  # type: ignore[return-value]

    def _build_into(self, sample: Sample, into: Into, on_ready: OnReady | None) -> dict[str, Tensors]:
        memories, receivers, owners = self._targets(into)
        lane = self._take_lane()
        built = lane.run(sample, memories, Handover(receivers, on_ready))
        self._keep(lane, built, built, owners)
        return built

    def build_batch(
        self,
        frames: Iterable[Frame],
        *,
        draws: Iterable[Draw] | None = None,
        into: Into = None,
        on_frame: Callable[[int], object] | None = None,
    ) -> Built:
        """Returns the tensors of several frames as one.

        Tensors whose size the frame decides stand one after the other, with `<group>_batch_ptr` (B + 1,) int32
        saying where each frame begins; voxel coordinates get the frame's number as their first column. All
        others get a new first axis. draws: one per frame. into: as of build; but a batch, which is not what a model's
        spec says, is not handed over. on_frame: called with each frame's number in the batch, before it is built.
        """
        if not isinstance(frames, Iterable):
            raise TypeError(f"build_batch wants frames, got {a_or_an(type(frames).__name__)}; one frame goes to build")
        frames = list(frames)
        for frame in frames:
            _check_frame(frame, "build_batch")
        if not frames:
            raise ValueError("a batch needs at least one frame")
        if isinstance(draws, Draw):
            raise TypeError("build_batch wants draws, one for each frame, got one Draw; of one frame it goes to build")
        drawn = [None] * len(frames) if draws is None else list(draws)
        if len(drawn) != len(frames):
            raise ValueError(f"a batch of {counted(len(frames), 'frame')} needs as many draws, got {len(drawn)}")
        for draw in drawn:
            _check_draw(draw, "build_batch")
        for rows in self.plan.rows.values():
            check_collation(rows)
        writable = self.plan.options.writable
        memories, _, owners = self._targets(into)
        lane = self._take_lane()
        batches = {
            model: Batch(rows, memories[model], len(frames), lane.strided(model), writable)
            for model, rows in self.plan.rows.items()
        }
        out = {model: Tensors({}) for model in batches}
        last: dict[str, Tensors] = {}
        for number, (frame, draw) in enumerate(zip(frames, drawn, strict=True)):
            if on_frame is not None:
                on_frame(number)
            last = lane.run(Sample(frame, draw), batches, None, blocks=False)
            sizes = lane.sizes()
            for model, batch in batches.items():
                batch.end_frame(sizes[model])
                _add(out[model].dropped, last[model].dropped)
                _add(out[model].times_s, last[model].times_s)
                _add(out[model].once_s, last[model].once_s)
        for model, batch in batches.items():
            out[model].update(batch.tensors(writable))
        self._keep(lane, last, out, owners)
        return out[SINGLE] if self.plan.single else out  # type: ignore[return-value]

    def explain(self) -> Explanation:
        """Returns the plan, with sizes and times once a frame has been built. Print it."""
        last = self._last
        lane = last.lane if last is not None else self._new_lane()
        into = last.into if last is not None else {}
        owners = {
            name: into.get(name) or owner_of(self._models.get(name), pool.allocate) for name, pool in self.pools.items()
        }
        return explain(self.plan, lane, owners, len(self._lanes), last)

    def _take_lane(self) -> Lane:
        try:
            return self._lanes.pop()
        except IndexError:
            return self._new_lane()

    def _keep(
        self,
        lane: Lane,
        last: Mapping[str, Tensors],
        whole: Mapping[str, Tensors],
        into: Mapping[str, Owner] | None = None,
    ) -> None:
        """Only after all went well: what an interrupted lane's scratch holds nobody knows, so that it is let go."""
        once_s = dict(self._last.once_s) if self._last is not None else {}
        _add(once_s, next(iter(whole.values())).once_s)
        self._last = LastBuild.of(lane, last, once_s, into or {})
        self._lanes.append(lane)

    def _only(self, of_models: Mapping[str, Of], name: str) -> Of:
        if len(of_models) > 1:
            raise SpecError(f"this builder has the {name} of {', '.join(of_models)}; take builder.{name}[model]")
        return next(iter(of_models.values()))

    def _targets(self, into: Into) -> tuple[Mapping[str, Memory], Mapping[str, Receiver], Mapping[str, Owner]]:
        """Returns each spec's memory, the models that are handed tensors, and what is to be said of those in `into`."""
        if into is None:
            return self.pools, {}, {}
        if not isinstance(into, Mapping):
            if not self.plan.single:
                names = ", ".join(self.specs)
                raise ValueError(f"into must be {{name: memory}} for {names}, got {type(into).__name__}")
            into = {SINGLE: into}
        unknown = [model for model in into if model not in self.specs]
        if unknown:
            raise ValueError(f"into: there is no model '{unknown[0]}'; there are {', '.join(self.specs)}")
        memories: dict[str, Memory] = dict(self.pools)
        receivers: dict[str, Receiver] = {}
        owners: dict[str, Owner] = {}
        for name, one in into.items():
            if is_memory(one):
                memories[name], owners[name] = one, Owner("caller's memory")
            elif is_model(one):
                receiver = self._receiver(one)
                # of its own model the builder has the memory already; in a forked child that is the child's
                own = None if one is self._models.get(name) else receiver.pool
                memories[name] = pool = own or self.pools[name]
                owners[name] = owner_of(one, pool.allocate)
                # what may still be changed is not ready, and what lies elsewhere the model cannot begin with
                if not self.plan.options.writable and (receiver.pool is None or pool.allocate is not allocate_pages):
                    receivers[name] = receiver
            else:
                raise TypeError(f"into must be a memory, with `take`, or a model, got {a_or_an(type(one).__name__)}")
        return memories, receivers, owners

    def _receiver(self, model: object) -> Receiver:
        receiver = self._receivers.get(id(model))
        if receiver is None or receiver.model is not model:
            for number, other in list(self._receivers.items()):
                if other.model is None:
                    self._receivers.pop(number, None)
            # of two callers at once both get the same
            receiver = self._receivers.setdefault(id(model), Receiver(model))
        return receiver


def _check_frame(frame: object, door: str) -> None:
    if not hasattr(frame, "time_ns"):
        several = "; several go to build_batch" if door == "build" else ""
        wanted, found = "one frame" if several else "frames", a_or_an(type(frame).__name__)
        raise TypeError(f"{door} wants {wanted}, got {found}{several}")


def _check_draw(draw: object, door: str) -> None:
    if draw is not None and not isinstance(draw, Draw):
        wanted = "a Draw" if door == "build" else "a Draw for each frame"
        raise TypeError(f"{door} wants {wanted}, or None, got {draw!r}; Draw(seed, epoch, index) makes one")


_builders: weakref.WeakSet[InputBuilder[Any]] = weakref.WeakSet()


def _start_all_in_child() -> None:
    for builder in list(_builders):
        builder._start_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_all_in_child)


def _add(total: dict[str, Any], more: Mapping[str, Any]) -> None:
    for key, value in more.items():
        total[key] = total.get(key, 0) + value


def _is_spec(wanted: object) -> bool:
    return hasattr(wanted, "inputs") or (isinstance(wanted, Iterable) and not isinstance(wanted, (str, bytes, Mapping)))


def _several(wanted: object) -> bool:
    """Whether `wanted` is {name: model or spec}."""
    if not isinstance(wanted, Mapping) or hasattr(wanted, "inputs"):
        return False
    if not wanted or not all(isinstance(name, str) and name and _is_spec(one) for name, one in wanted.items()):
        raise SpecError(f"wanted a model, a list of spec rows or a list of feature names, got {wanted!r}")
    return True


def _specs(
    schema: Schema, wanted: Mapping[str, Any], params: Mapping[str, Any] | None, training: bool
) -> dict[str, Spec]:
    for one in wanted.values():
        if not _is_spec(one):
            shown = repr(one) if isinstance(one, (str, bytes, os.PathLike)) else type(one).__name__
            hint = _hint(str(one)) if isinstance(one, (str, os.PathLike)) else ""
            raise SpecError(f"wanted a model, a list of spec rows or a list of feature names, got {shown}{hint}")
    if params is not None and not isinstance(params, Mapping):
        raise SpecError(
            f"params must be a dict, {{group: params or a preset's name}} or {{part: value}}, got {params!r}"
        )
    rows = {name: list(getattr(one, "inputs", one)) for name, one in wanted.items()}
    taken = {name: _takes(schema, own) for name, own in rows.items()} if len(rows) > 1 and params else {}
    somewhere = set().union(*taken.values())
    specs = {}
    for name, own in rows.items():
        # what another model takes is not refused on account of this one
        others = somewhere - taken.get(name, set())
        its = None if params is None else {key: value for key, value in params.items() if key not in others}
        specs[name] = _spec(schema, name, wanted[name], own, its, training)
    return specs


def _hint(one: str) -> str:
    """Returns what to write in place of a text: a builder opens no files."""
    if one.endswith(".json"):
        return f"; the rows of that file are json.load(open({one!r}))"
    if one.endswith((".neuropod", ".zip")):
        return f"; a package is loaded first: load_neuropod({one!r})"
    return f"; one name is a list too: [{one!r}]"


def _takes(schema: Schema, rows: list[Any]) -> set[str]:
    """Returns the groups and parts for which a spec's rows take params from outside."""
    bare = [row for row in schema.resolve(schema.spec(rows)) if row.row.params is None]
    return {row.group.name for row in bare} | {part for row in bare for part in row.parts}


def _spec(
    schema: Schema, name: str, wanted: Any, rows: list[Any], params: Mapping[str, Any] | None, training: bool
) -> Spec:
    try:
        spec = schema.spec(rows, params, training=training)
        # an unknown feature is refused where it can be said whose it is
        schema.resolve(spec)
        return spec
    except UnknownFeature as error:
        if not hasattr(wanted, "inputs"):
            raise
        raise UnknownFeature(
            f"model '{getattr(wanted, 'name', '') or name}' takes inputs that are not features, so no log has them; "
            f"give it arrays of your own: {error}"
        ) from error
