"""The ways in which tensors may come about; each must give the bytes that a fresh builder gives."""

from __future__ import annotations

import gc
import pickle
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from math import prod
from tempfile import TemporaryDirectory
from threading import Barrier, BrokenBarrierError
from typing import Any

import msgspec
import numpy as np
from numpy.typing import DTypeLike, NDArray

from perceptum.builders import Filler, InputBuilder, Lease, Sample, Tensors, Written
from perceptum.features import Row
from perceptum.features.layout import ALIGNMENT
from perceptum.features.lidar import CloudParams
from perceptum.foreign import let_interrupts_pass
from perceptum.inputs import LogError

from .differences import difference, seen
from .held import Held
from .subject import Case, Subject

__all__ = ["WAYS"]

_CLEARED = (
    "the filler keeps something of the frame before: make it new in run(), and clear in fill() what `written` says "
    'was written before, or leave clearing() at "before"'
)
_ORDER = "what a tensor holds must not depend on which others are asked for, or on their order: look at want()"
_THREADS = "what threads do side by side must not depend on their number or order"
_SIDE_BY_SIDE = "what fill() works with must be of that call, or behind a lock: work it out in run()"
_LANES = "frames that are built at once share something: keep it on self, not on a class, a module or the parameters"
_KEPT = (
    "what a stage reads it must ask of the frame and the draw that run() is given, not of what it has seen elsewhere"
)
_PATIENCE_S = 20.0


def one_builder(subject: Subject) -> None:
    """Builds all frames, there and back, in memory that comes back and is cleared where it was written."""
    builder, how = subject.builder(), "built after other frames"
    for case in (*subject.cases, *reversed(subject.cases)):
        subject.expect(case, subject.build(builder, case, how), how, _CLEARED)


def one_piece_of_memory(subject: Subject) -> None:
    """Each tensor is written where the one before it was."""
    builder, memory, how = subject.builder(), _OnePiece(), "built where the frame before it was"
    for case in (*subject.cases, *reversed(subject.cases)):
        subject.expect(case, subject.build(builder, case, how, into=memory), how, _CLEARED)


def dirty_memory(subject: Subject) -> None:
    """Someone wrote into the tensors."""
    builder, how = subject.builder(writable=True), "built in writable memory that somebody had written to"
    for case in (*subject.cases, *reversed(subject.cases)):
        found = subject.build(builder, case, how)
        subject.expect(case, found, how, _CLEARED)
        for array in () if isinstance(found, LogError) else found.values():
            array[...] = 77


def alone(subject: Subject) -> None:
    """Each tensor without the others of its group. What a frame lacks may be needed by those others only."""
    for row in subject.spec:
        builder, how = subject.builder([row]), f"'{row.name}' built alone"
        for case in subject.cases:
            found = subject.build(builder, case, how)
            if isinstance(found, LogError) or case in subject.works():
                subject.expect(case, found, how, _ORDER)


def another_order(subject: Subject) -> None:
    builder, how = subject.builder(reversed(subject.spec.rows)), "built in another order"
    for case in subject.cases:
        subject.expect(case, subject.build(builder, case, how), how, _ORDER)


def asked_for_twice(subject: Subject) -> None:
    """A second instance with the same parameters comes from the same filler, which fills twice."""
    second = _second(subject)
    builder, how = subject.builder([*subject.spec, *second]), "asked for twice in one spec"
    for case in subject.cases:
        found = subject.build(builder, case, how)
        if isinstance(found, LogError):
            subject.expect(case, found, how, _ORDER)
            continue
        for names in (subject.names, [row.name for row in second]):
            own = {name.removesuffix("__b"): found[name] for name in names}
            subject.expect(case, own, how, "fill() must leave what run() has worked out as it is")


def beside_points(subject: Subject) -> None:
    """lidar_points of the same cloud, which the filler may read, and must not write to."""
    params = subject.rows[0].params
    known = "lidar_points" in subject.schema and subject.group.name != "lidar_points"
    if not known or not isinstance(params, CloudParams):
        return
    points = subject.schema.spec(["lidar_points"], {"lidar_points": params.cloud().to_dict()}).rows
    builder, how = subject.builder([*subject.spec, *points]), "built beside lidar_points"
    alone = subject.builder(points)
    for case in subject.works():
        found = subject.build(builder, case, how)
        if isinstance(found, LogError):
            subject.expect(case, found, how, _ORDER)
            continue
        subject.expect(case, {name: found[name] for name in subject.names}, how, _ORDER)
        wanted = subject.build(alone, case, "lidar_points alone")
        assert not isinstance(wanted, LogError)
        changed = difference(found["lidar_points"], wanted["lidar_points"])
        if changed:
            raise AssertionError(
                f"{subject.of(case)}, {how}: 'lidar_points' {changed}; the filler writes to what a stage that it "
                "shares has worked out: copy it first"
            )


def side_by_side(subject: Subject) -> None:
    """The same, and a tensor of each feature is filled while the filler stops before one of the lines of another."""
    case, how = subject.works()[0], "filled side by side with another tensor of the same"
    modules = tuple({"perceptum.builders", *(kind.__module__ for kind in subject.filler.__mro__[:-1])})
    line, lines, wrong = 0, 1, []  # type: int, int, list[str]

    def holding(filler: type[Filler]) -> type[Filler]:
        def fill(self: Filler, feature: str, out: NDArray[Any], written: Written) -> None:
            nonlocal lines
            other = np.full_like(out, subject.schema[feature].fill)
            with Held(line, lambda: filler.fill(self, feature, other, Written()), modules) as held:
                filler.fill(self, feature, out, written)
            lines = max(lines, held.lines)
            if held.lines >= line and seen(other) != seen(out):
                wrong.append(feature)

        return type(filler.__name__, (filler,), {"fill": fill})

    builder = subject.builder([*subject.spec, *_second(subject)], schema=subject.with_filler(holding))
    while line < lines:
        line += 1
        found = subject.build(builder, case, how)
        if not isinstance(found, LogError):
            found = Tensors({name: found[name] for name in subject.names})
        subject.expect(case, found, how, _SIDE_BY_SIDE)
        if wrong:
            raise AssertionError(f"{subject.of(case)}, {how}: the other '{wrong[0]}' differs; {_SIDE_BY_SIDE}")


def _second(subject: Subject) -> list[Row]:
    return [msgspec.structs.replace(row, name=f"{row.name}__b") for row in subject.spec]


def threads(subject: Subject) -> None:
    for n in (2, 4):
        builder, how = subject.builder(threads=n), f"built with {n} threads"
        for case in (*subject.cases, *reversed(subject.cases)):
            subject.expect(case, subject.build(builder, case, how), how, _THREADS)


def several_lanes(subject: Subject) -> None:
    """Two callers at once, who wait for each other between run() and fill()."""
    barrier, how = Barrier(2), "built while another frame was"

    def waiting(filler: type[Filler]) -> type[Filler]:
        def run(self: Filler, sample: Sample) -> None:
            filler.run(self, sample)
            barrier.wait(_PATIENCE_S)

        return type(filler.__name__, (filler,), {"run": run})

    builder = subject.builder(schema=subject.with_filler(waiting))

    def build(case: Case) -> Tensors | LogError:
        try:
            return subject.attempt(lambda: builder.build(case.frame, draw=case.draw), f"{subject.of(case)}, {how}")
        except AssertionError as error:
            barrier.abort()
            if _waited_in_vain(error):
                # the other one is to blame, and says so
                return LogError()
            raise

    with ThreadPoolExecutor(2) as pool:
        for pair in pairwise(subject.works()):
            for case, found in zip(pair, list(pool.map(build, pair)), strict=True):
                subject.expect(case, found, how, _LANES)


def _waited_in_vain(error: BaseException | None) -> bool:
    return error is not None and (isinstance(error, BrokenBarrierError) or _waited_in_vain(error.__cause__))


def handed_over(subject: Subject) -> None:
    """on_ready sees each tensor once, and as it will be."""
    builder, how = subject.builder(threads=2), "handed to on_ready"
    for case in subject.works():
        ready: list[tuple[str, NDArray[Any]]] = []

        def keep(_: str, name: str, array: NDArray[Any], ready: list[tuple[str, NDArray[Any]]] = ready) -> None:
            ready.append((name, array.copy()))

        subject.build(builder, case, how, on_ready=keep)
        if sorted(name for name, _ in ready) != sorted(subject.names):
            raise AssertionError(f"{subject.of(case)}, {how}: got {sorted(name for name, _ in ready)}")
        subject.expect(case, dict(ready), how, "fill() must not write to a tensor that it has filled before")


def let_go(subject: Subject) -> None:
    """Nobody keeps a tensor but whoever was given it: else its memory never comes back."""
    builder = subject.builder()
    for case in subject.works()[:2]:
        memory = _Watched()
        subject.build(builder, case, "built in memory of its own", into=memory)
        # a cycle may hold it for a while; beside a framework a collection takes half a second
        if memory.kept():
            gc.collect()
        if kept := memory.kept():
            raise AssertionError(
                f"{subject.of(case)}: the memory of '{kept[0]}' is still in use when nobody has the tensor any more; "
                "the filler must not keep `out`, or a view of it"
            )


def pickled(subject: Subject) -> None:
    how = "built by a builder that was pickled"
    try:
        builder: InputBuilder[Tensors] = pickle.loads(pickle.dumps(subject.builder()))
    # pickling calls code of the parameters' class, and finds classes by name
    except Exception as error:
        let_interrupts_pass(error)
        raise AssertionError(
            f"{subject.group.name}: a builder of it cannot be pickled, for workers: {type(error).__name__}: {error}; "
            "its classes, and a function for a shape, must be a module's"
        ) from error
    for case in subject.cases:
        subject.expect(case, subject.build(builder, case, how), how, "parameters must arrive as they left")


def from_a_cache(subject: Subject) -> None:
    """Kept by one builder and found by another; some frames of a piece of memory are found, and others built there."""
    with TemporaryDirectory() as folder:
        memory = _OnePiece()
        for how, cases in (("built beside a cache", subject.cases[::2]), ("found in a cache", subject.cases)):
            builder = subject.builder(cache=folder)
            for case in cases:
                subject.expect(case, subject.build(builder, case, how, into=memory), how, _KEPT)


class _OnePiece:
    """One piece of memory per tensor, given again every time."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[NDArray[np.uint8], Written]] = {}

    def take(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> Lease:
        need = prod(shape) * np.dtype(dtype).itemsize
        if name not in self._kept or len(self._kept[name][0]) < need:
            self._kept[name] = _aligned(np.zeros(2 * need + ALIGNMENT, np.uint8)), Written()
        piece, written = self._kept[name]
        return Lease(piece[:need].view(dtype).reshape(shape), written)


class _Watched:
    """New memory for every tensor, of which it knows whether somebody still has it."""

    def __init__(self) -> None:
        self.lent: dict[str, weakref.ref[NDArray[np.uint8]]] = {}

    def take(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> Lease:
        need = prod(shape) * np.dtype(dtype).itemsize
        # numpy keeps the array that lies over foreign memory alive under every view, and skips those between
        root = np.frombuffer(memoryview(bytearray(need + ALIGNMENT)), np.uint8)
        self.lent[name] = weakref.ref(root)
        return Lease(_aligned(root)[:need].view(dtype).reshape(shape), Written())

    def kept(self) -> list[str]:
        """Returns whose memory somebody still has."""
        return [name for name, ref in self.lent.items() if ref() is not None]


def _aligned(memory: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return memory[-memory.ctypes.data % ALIGNMENT :]


WAYS: tuple[Callable[[Subject], None], ...] = (
    one_builder,
    one_piece_of_memory,
    dirty_memory,
    alone,
    another_order,
    asked_for_twice,
    beside_points,
    side_by_side,
    threads,
    several_lanes,
    handed_over,
    let_go,
    pickled,
    from_a_cache,
)
