"""What a builder will do, and what it did: stages, sharing, sizes, owners, copies, times."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from perceptum.features import FRAMES, UNITS, Params, Resolved
from perceptum.plural import counted

from .camera.decoded import DecodedPictures
from .errors import OURS, stage_failed
from .handover import Owner
from .lane import Lane, Wanted
from .plan import Plan
from .pool import Allocate
from .stage import Stage
from .tensors import Tensors

__all__ = ["BlockLine", "Explanation", "LastBuild", "StageLine", "TensorLine", "explain"]


@dataclass(frozen=True)
class LastBuild:
    """What is shown of the last build that ended. It is kept apart from the lane, which may build another frame
    while this is looked at."""

    lane: Lane
    times_s: Mapping[str, float]
    shapes: Mapping[Wanted, tuple[int, ...]]
    """Of the tensors of which the frame decided a size."""
    dropped: Mapping[Stage, Mapping[str, int]]
    once_s: Mapping[str, float]
    """Over the builder's life so far."""
    into: Mapping[str, Owner]
    """Those who owned the memory in the place of the builder's own."""
    found: frozenset[Wanted]
    """What came from the cache."""

    @classmethod
    def of(
        cls, lane: Lane, built: Mapping[str, Tensors], once_s: Mapping[str, float], into: Mapping[str, Owner]
    ) -> LastBuild:
        """built: model -> what the lane made of the frame, alone or as the last of a batch."""
        shapes = {wanted: built[wanted.model][wanted.name].shape for wanted in lane.ragged}
        dropped = {stage: dict(stage.dropped) for stage in lane.stages if stage in lane.ran and stage.dropped}
        for wanted, lost in lane.cut.items():
            dropped.setdefault(wanted.filler, {}).update(lost)
        found = frozenset(wanted for wanted in lane.wanted if wanted.found is not None)
        return cls(lane, next(iter(built.values())).times_s, shapes, dropped, once_s, into, found)


@dataclass(frozen=True)
class StageLine:
    title: str
    serves: tuple[str, ...]
    """The tensors that need it."""
    scratch_bytes: int
    """In one lane."""
    dropped: dict[str, int]
    ms: float | None


@dataclass(frozen=True)
class TensorLine:
    name: str
    model: str
    """Whose it is; empty where the builder has one spec."""
    feature: str
    dtype: str
    shape: tuple[int | str, ...]
    """The last frame's, or with the names of the sizes that a frame decides."""
    nbytes: int | None
    most_bytes: int | None
    """What it takes at most, where the parameters bound every size that a frame decides; None: nothing bounds it."""
    stage: str
    owner: str
    """Who owns the memory: the builder's pool, the model, which may share it with its worker process, or the caller."""
    block_offset: int | None
    """Where it begins in the block of small tensors; None: it has memory of its own."""
    copies: str
    """none, or why the framework makes one."""
    params: dict[str, Any]
    meaning: str
    """What it is, and in which axes, in words."""
    said: dict[str, Any]
    """The parameters that differ from the schema's own, whoever said them: the row, its preset, or the builder."""
    stands_for: dict[str, Any]
    """Of those the ones that are said by a name -> what it stands for, such as a norm in numbers."""
    preset: str | None
    ms: float | None
    cached: bool
    """Whether the last build had it from the cache."""


@dataclass(frozen=True)
class BlockLine:
    """The block in which a model's small tensors of fixed size lie."""

    model: str
    tensors: int
    nbytes: int


@dataclass(frozen=True)
class Explanation:
    """Print it, or take `to_dict()`."""

    schema: str
    fingerprint: str
    stages: tuple[StageLine, ...]
    tensors: tuple[TensorLine, ...]
    writable: bool
    threads: int
    """How many threads one build may use."""
    lanes: int
    """How many frames were in flight at once so far; each has the stages' scratch once."""
    parts: dict[str, dict[str, Any]]
    """Which rows -> what they agree on, as plain data; of an object what differs from its defaults."""
    blocks: tuple[BlockLine, ...]
    training: bool
    """Whether presets give their training values."""
    by_frame: dict[str, int | None]
    """Sizes that a frame decides -> the most that they can be, None where nothing bounds them."""
    built: bool
    """Whether a frame has been built, so that sizes, scratch and times are its own."""
    once_ms: dict[str, float]
    """What first builds of this builder took besides, and no later one: loading kernels, compiling them."""
    built_fingerprints: dict[str, str]
    """Model -> the fingerprint of what is built for it, training values included; `fingerprint` is the schema's."""
    augmentation: str
    """What may happen to samples that have a draw; empty: nothing."""
    cache: str
    """The folder in which tensors are kept; empty: they are built each time."""
    pictures: int | None
    """Bytes of a frame's decoded pictures, as they are kept there; 0 before a frame is built; None: none are kept."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        lines = [f"schema {self.schema} ({self.fingerprint})"]
        lines += [
            f"{rows} agree on " + ", ".join(_agreed(name, value) for name, value in parts.items())
            for rows, parts in self.parts.items()
        ]
        if self.training:
            lines.append("presets give their training values")
        if self.augmentation:
            lines.append(f"augmentation, of samples with a draw: {self.augmentation}")
        prints = [f"{model}: {own}" if model else own for model, own in self.built_fingerprints.items()]
        lines.append(f"fingerprint of these tensors: {', '.join(prints)}")
        lines += ["stages, each once per frame:", *_table([_stage_cells(s, self.built) for s in self.stages])]
        lines += ["tensors:", *_table([_tensor_cells(t) for t in self.tensors])]
        lines += ["what they are:", *_meaning_lines(self.tensors, self._objects())]
        if not self.built:
            lines.append("known once a frame is built, as by `explain --log`: " + ", ".join(self._open()))
        lines += [
            f"{f'{b.model}: ' if b.model else ''}{counted(b.tensors, 'small tensor')} in one block of {_size(b.nbytes)}"
            for b in self.blocks
        ]
        lines.append(
            f"{counted(self.threads, 'thread')} per build; {counted(self.lanes, 'lane')}, one per frame in flight"
            + (f", of {_size(sum(s.scratch_bytes for s in self.stages))} scratch" if self.built else "")
        )
        if self.cache:
            lines.append(f"tensors are kept in {self.cache}, and found again while nothing that they came from changes")
        if self.pictures is not None:
            each = f"{_size(self.pictures)} a frame, {_size(1000 * self.pictures)} of 1000 frames"
            lines.append(
                f"so are pictures as they are decoded: {each if self.pictures else 'height x width x 3 bytes each'}"
            )
        lines += [f"once, and in none of these times: {what} {ms:.1f} ms" for what, ms in self.once_ms.items()]
        lines.append(f"tensors are {'writable' if self.writable else 'read-only'}, 64-byte aligned")
        return "\n".join(lines)

    def _objects(self) -> set[str]:
        """Returns the parts that are objects: said once, above the stages."""
        agreed = [named for parts in self.parts.values() for named in parts.items()]
        return {name for name, value in agreed if isinstance(value, dict)}

    def _open(self) -> list[str]:
        sizes = [name if most is None else f"{name} (at most {most})" for name, most in self.by_frame.items()]
        return [*sizes, "scratch", "what is dropped", "times"]

    # a notebook shows it without print
    __repr__ = __str__


def explain(
    plan: Plan,
    lane: Lane,
    owners: Mapping[str, Owner],
    lanes: int,
    last: LastBuild | None,
) -> Explanation:
    """lane: that of `last`, where a frame has been built."""
    labels = lane.labels
    times_s = last.times_s if last is not None else {}
    dropped = last.dropped if last is not None else {}
    once_s = last.once_s if last is not None else {}
    stages = tuple(
        StageLine(
            labels[stage],
            tuple(wanted.label for wanted in lane.serves(stage)),
            _scratch_bytes(stage),
            {reason: count for reason, count in dropped.get(stage, {}).items() if count},
            _ms(times_s.get(labels[stage])),
        )
        for stage in lane.stages
    )
    copies = {model: _copies(owners[model], own) for model, own in lane.by_model.items()}
    tensors = tuple(
        _tensor(w, labels, owners[w.model].words, copies[w.model].get(w.name, "none"), last) for w in lane.wanted
    )
    blocks = tuple(
        BlockLine(model, len(layout.places), layout.nbytes) for model, layout in plan.layouts.items() if layout.places
    )
    return Explanation(
        f"{plan.schema.name} {plan.schema.version}",
        plan.schema.fingerprint,
        stages,
        tensors,
        plan.options.writable,
        plan.options.threads,
        lanes,
        {rows: {name: _plain(value) for name, value in parts.items()} for rows, parts in plan.parts.items()},
        blocks,
        plan.options.training,
        {size: most for wanted in lane.wanted for size, most in _by_frame(wanted.row).items()},
        last is not None,
        {what: round(seconds * 1e3, 3) for what, seconds in once_s.items()},
        plan.fingerprints,
        "" if plan.options.augment is None else plan.options.augment.said(),
        "" if plan.options.cache is None else str(plan.options.cache.folder),
        max((s.frame_bytes for s in lane.stages if isinstance(s, DecodedPictures)), default=None)
        if plan.options.keeps_pictures
        else None,
    )


def _scratch_bytes(stage: Stage) -> int:
    try:
        return stage.nbytes
    except OURS:
        raise
    except BaseException as error:
        raise stage_failed(stage, "nbytes", error) from error


def _by_frame(row: Resolved) -> dict[str, int | None]:
    """Returns the sizes that a frame decides of a row, and the most that its parameters let them be."""
    sizes = zip(row.fixed, row.sizes, strict=True)
    return {str(size): row.cap(str(size)) for fixed, size in sizes if fixed is None}


def _copies(owner: Owner, tensors: list[Wanted]) -> Mapping[str, str]:
    """Returns why the model's framework will copy a tensor, for those that it will; the model says it."""
    tell = getattr(owner.model(), "copies", None)
    if tell is None:
        return {}
    reasons: Mapping[str, str] = tell({wanted.row.name: _like(wanted, owner.allocate) for wanted in tensors})
    return reasons


def _like(wanted: Wanted, allocate: Allocate) -> NDArray[Any]:
    """Returns an array in memory such as the pool gives, with one row where the frame decides; it is never touched."""
    shape = tuple(1 if n is None else n for n in wanted.row.fixed)
    nbytes = prod(shape) * wanted.dtype.itemsize
    # at least a byte: an empty tensor lies somewhere too. Over a memoryview, as in the pool, which keeps the memory
    memory = memoryview(allocate(wanted.row.name, max(nbytes, 1)))
    array: NDArray[Any] = np.frombuffer(memory, wanted.dtype, prod(shape))
    return array.reshape(shape)


def _tensor(
    wanted: Wanted,
    labels: Mapping[Stage, str],
    owner: str,
    copies: str,
    last: LastBuild | None,
) -> TensorLine:
    row = wanted.row
    said = _said(row)
    with row.group.asking("meaning"):
        meant = row.params.meaning()
    sizes = tuple(s if n is None else n for n, s in zip(row.fixed, row.sizes, strict=True))
    shape: tuple[int | str, ...] = sizes if last is None else last.shapes.get(wanted, sizes)
    known = [n for n in shape if isinstance(n, int)]
    return TensorLine(
        name=row.name,
        model=wanted.model,
        feature=row.feature.name,
        dtype=row.row.dtype,
        shape=shape,
        nbytes=prod(known) * wanted.dtype.itemsize if len(known) == len(shape) else None,
        most_bytes=_most_bytes(wanted),
        stage=labels[wanted.filler],
        owner=owner,
        block_offset=None if wanted.place is None else wanted.place[0],
        copies=copies,
        params=row.params.to_dict(),
        meaning=_meaning(row),
        said=said,
        stands_for={
            name: meant[name]
            for name, value in said.items()
            if isinstance(value, str) and meant.get(name, value) != value
        },
        preset=(row.row.params or {}).get("preset"),
        ms=_ms(last.times_s.get(wanted.label)) if last is not None else None,
        cached=last is not None and wanted in last.found,
    )


def _most_bytes(wanted: Wanted) -> int | None:
    caps = _by_frame(wanted.row)
    sizes = [caps[str(size)] if n is None else n for n, size in zip(wanted.row.fixed, wanted.row.sizes, strict=True)]
    known = [size for size in sizes if size is not None]
    return prod(known) * wanted.dtype.itemsize if len(known) == len(sizes) else None


_MEASURES = ("m", "m/s", "rad", "deg", "s", "ns", "px", "cell")
"""Units that a tensor is in."""
_CODES = ("flag", "index", "ratio")
"""Units that a value is: "1 for yes, 0 for no"."""


def _meaning(row: Resolved) -> str:
    """Returns the first sentence of what the feature is, its unit and its axes."""
    feature = row.feature
    first = feature.prose.partition(". ")[0].removesuffix(".")
    frame = row.parts.get("frame", "reference") if feature.frame == "reference" else feature.frame
    words = [UNITS[feature.units]] if feature.units in _MEASURES else []
    words += [FRAMES[frame]] if frame not in ("none", "reference") else []
    said = [first, *([f"In {', in '.join(words)}"] if words else [])]
    if feature.units in _CODES:
        said.append(f"A value is {UNITS[feature.units]}")
    return ". ".join(said) + "."


def _said(row: Resolved) -> dict[str, Any]:
    """Returns the parameters that differ from the schema's own; of a cloud that they hold those of it that do."""
    own = row.group.params.to_dict()
    said = _differing(own, row.params.to_dict())
    clouds = [name for name in said if isinstance(getattr(row.params, name), Params)]
    return said | {name: _differing(own[name], said[name]) for name in clouds}


def _differing(own: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in params.items() if value != own.get(key)}


def _plain(value: Any) -> Any:
    """Returns what rows agree on as plain data: of an object what differs from its defaults, as a spec says it."""
    plain = msgspec.to_builtins(value)
    if not isinstance(value, msgspec.Struct):
        return plain
    required = any(field.required for field in msgspec.structs.fields(value))
    return plain if required else _differing(msgspec.to_builtins(type(value)()), plain)


def _agreed(name: str, value: Any) -> str:
    if value == {}:
        return f"the default {name}"
    return f"{name} {value if isinstance(value, str) else json.dumps(value)}"


def _meaning_lines(tensors: Iterable[TensorLine], elsewhere: Container[str]) -> Iterator[str]:
    """Yields what each tensor is, and the parameters that are not the schema's own, once for all that share them.

    elsewhere: the parameters that are said in another line.
    """
    first: dict[str, str] = {}
    for t in tensors:
        name = f"{t.model}/{t.name}" if t.model else t.name
        yield f"  {name}: {t.meaning}"
        said = ", ".join(
            f"{key} {json.dumps(value)}" + (f" = {json.dumps(t.stands_for[key])}" if key in t.stands_for else "")
            for key, value in t.said.items()
            if key not in elsewhere
        )
        named = [] if t.preset is None else [f"preset {t.preset}"]
        line = ": ".join([*named, said] if said else named)
        if line:
            like = first.setdefault(line, name)
            yield f"    {line}" if like == name else f"    with the params of {like}"


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e3, 3)


def _stage_cells(s: StageLine, built: bool) -> list[str]:
    said = (f"{n} {reason}" + ("" if "dropped" in reason else " dropped") for reason, n in s.dropped.items())
    dropped = ", ".join(said)
    shared = "shared by" if len(s.serves) > 1 else "for"
    scratch = _size(s.scratch_bytes) + " scratch" if built else ""
    return [s.title, _time(s.ms), scratch, f"{shared} {', '.join(s.serves)}", dropped]


def _tensor_cells(t: TensorLine) -> list[str]:
    shape = f"({', '.join(map(str, t.shape))})"
    name = f"{t.model}/{t.name}" if t.model else t.name
    where = f"in {t.owner}" + ("" if t.block_offset is None else f", byte {t.block_offset} of the block")
    most = "by frame" if t.most_bytes is None else f"up to {_size(t.most_bytes)}"
    size = most if t.nbytes is None else _size(t.nbytes)
    cells = [name, f"{shape} {t.dtype}", size, _time(t.ms), where, f"copies: {t.copies}"]
    return [*cells, "from the cache"] if t.cached else cells


def _time(ms: float | None) -> str:
    return "" if ms is None else f"{ms:.2f} ms"


_UNITS = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


def _size(nbytes: int) -> str:
    if nbytes < 2**10:
        return f"{nbytes} B"
    unit, word = next((unit, word) for unit, word in _UNITS if nbytes >= unit)
    return f"{nbytes / unit:.1f} {word}"


def _table(rows: list[list[str]]) -> list[str]:
    columns = max(map(len, rows), default=0)
    rows = [[*row, *[""] * (columns - len(row))] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(columns)]
    return ["  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
