"""Whether a package is served the tensors that training saw, to the byte.

Training is what the package records: the rows, and what a few frames came to, which no later version changes. The
model's side is what runs in the car: the package, loaded, and a builder that fills the model's own memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from perceptum.builders import InputBuilder, Tensors
from perceptum.features import Row, Spec, canonical
from perceptum.inputs import Dataset, Frame
from perceptum.neuropod import Model
from perceptum.neuropod.package.package import open_package
from perceptum.neuropod.package.training import SeenFrame, SeenTensor, Training

from .errors import LogError, SpecError
from .plural import counted
from .seen import records_of, seen_tensors
from .testing.differences import difference

__all__ = ["Difference", "Parity", "compare_with_training", "frames_to_compare", "in_words", "recorded_training"]

_OTHERS = 10
_MOST_KEPT = 100
"""Of differences: the first ones say what is wrong."""


@dataclass(frozen=True)
class Difference:
    """A tensor that the model is given, and that training did not see so."""

    frame: int
    frame_id: str
    tensor: str
    compared_with: Literal["record", "training builder"]
    """What the package records of the frame, or what a builder makes today of the rows that training had."""
    what: str
    first: tuple[int, ...] | None = None
    """The index of the first number that differs; None where there is none to compare with: a record is a digest."""
    served: float | None = None
    trained: float | None = None
    max_abs: float | None = None
    """The largest difference of two numbers."""


@dataclass(frozen=True)
class Parity:
    """What came of the frames that were compared."""

    frames: int
    recorded: int
    """Of the frames, those whose tensors the package records."""
    in_package: int
    """How many the package records."""
    trained_with: str | None
    """The version that built the recorded tensors; None where the package records nothing of training."""
    tensors: tuple[str, ...]
    rows: Mapping[str, Sequence[str]]
    """Input -> how its row differs from the one that training had: dtype, shape, parameters. Empty: they are equal."""
    differing: int
    """How many tensors of all frames differ."""
    differences: tuple[Difference, ...]
    """The first of them."""

    @property
    def equal(self) -> bool:
        return not self.rows and self.differing == 0

    def to_dict(self) -> dict[str, Any]:
        return {"equal": self.equal, **asdict(self)}


def recorded_training(package: Path) -> Training | None:
    """Returns what a package records of training; None where it was packed without that. Raises NeuropodError."""
    opened = open_package(package)
    try:
        return opened.metadata.training
    finally:
        opened.files.close()


def frames_to_compare(dataset: Dataset, training: Training | None) -> list[int]:
    """Returns the numbers of the frames that a package records, as far as they are in the dataset, and of ten more that
    are spread over it, in order."""
    found: set[int] = set()
    for seen in () if training is None else training.frames:
        with suppress(LogError):
            found.add(dataset.find(seen.frame_id, log=seen.log))
    others = min(_OTHERS, len(dataset))
    spread = (number * (len(dataset) - 1) // max(others - 1, 1) for number in range(others))
    return sorted(found.union(spread))


def compare_with_training(model: Model, training: Training | None, frames: Iterable[Frame], threads: int = 1) -> Parity:
    """Returns how what is built for a model differs from what training saw.

    training: what its package records; None: the model's own rows are built as in training, where presets may have
        other values. Nothing is random: a frame is compared as it is without a draw.
    Raises what a builder raises for frames that cannot be built.
    """
    served_rows = Spec.of(model.inputs)
    rows = canonical().spec(model.inputs, training=True) if training is None else Spec.of(training.rows)
    changed = _changed_rows(rows, served_rows)
    names = [row.name for row in served_rows if row.name in {other.name for other in rows}]
    trained_side = InputBuilder(rows, threads=threads)
    served_side = InputBuilder(model, threads=threads)
    known = {} if training is None else {seen.key: seen for seen in training.frames}
    done = recorded = differing = 0
    kept: list[Difference] = []
    for frame in frames:
        source = frame.log.source
        seen = known.get((source.name, frame.id, frame.time_ns))
        trained, served = trained_side.build(frame), served_side.build(frame)
        done, recorded = done + 1, recorded + (seen is not None)
        for found in _differences(frame, rows, names, trained, served, seen, training):
            differing += 1
            kept += [found] if len(kept) < _MOST_KEPT else []
    return Parity(
        frames=done,
        recorded=recorded,
        in_package=len(known),
        trained_with=None if training is None else training.perceptum,
        tensors=tuple(names),
        rows=changed,
        differing=differing,
        differences=tuple(kept),
    )


def _differences(
    frame: Frame,
    rows: Spec,
    names: Sequence[str],
    trained: Tensors,
    served: Tensors,
    seen: SeenFrame | None,
    training: Training | None,
) -> Iterator[Difference]:
    if seen is not None and training is not None:
        now = seen_tensors(served)
        others = [name for name in names if name in seen.tensors and seen.tensors[name] != now[name]]
        why = _why(frame, rows, seen, training) if others else ""
        for name in others:
            what = f"{_apart(now[name], seen.tensors[name])} {why}"
            yield Difference(frame.index, frame.id, name, "record", what)
    for name in names:
        apart = difference(served[name], trained[name])
        if apart is not None:
            numbers = _numbers(served[name], trained[name])
            yield Difference(frame.index, frame.id, name, "training builder", apart, *numbers)


def _apart(now: SeenTensor, then: SeenTensor) -> str:
    if now.dtype != then.dtype:
        return f"is {now.dtype}, training saw {then.dtype};"
    if now.shape != then.shape:
        return f"has the shape {now.shape}, training saw {then.shape};"
    return "has other bytes than training saw;"


def _why(frame: Frame, rows: Spec, seen: SeenFrame, training: Training) -> str:
    """Returns what may have made a recorded frame come out otherwise: another recording, or another version."""
    from perceptum import __version__

    here = records_of(frame, rows)
    others = sorted(sensor for sensor, digest in seen.records.items() if here.get(sensor) != digest)
    if others:
        return f"this log's records are not those of training: {', '.join(others)}"
    version = f"perceptum {training.perceptum} built it then, {__version__} now"
    return f"the frame's own records are the same; {version}"


def _numbers(
    served: NDArray[Any], trained: NDArray[Any]
) -> tuple[tuple[int, ...] | None, float | None, float | None, float | None]:
    """Returns the first index that differs, both numbers there, and the largest difference; None where shapes differ.

    NaN is like NaN; where one alone is not finite, the difference is infinite.
    """
    if served.shape != trained.shape or served.dtype != trained.dtype or served.dtype.kind not in "iuf":
        return None, None, None, None
    size = served.dtype.itemsize
    bytes_of = (np.ascontiguousarray(side).reshape(-1).view(np.uint8).reshape(-1, size) for side in (served, trained))
    differs = np.not_equal(*bytes_of).any(axis=1)
    at = int(np.argmax(differs))
    a, b = served.reshape(-1)[differs].astype(np.float64), trained.reshape(-1)[differs].astype(np.float64)
    with np.errstate(invalid="ignore"):
        apart = np.where(np.isnan(a) & np.isnan(b) | (a == b), 0.0, np.abs(a - b))
    most = float(np.where(np.isnan(apart), np.inf, apart).max())
    first = tuple(int(i) for i in np.unravel_index(at, served.shape))
    return first, float(a[0]), float(b[0]), most


def _changed_rows(trained: Spec, served: Spec) -> dict[str, list[str]]:
    """Returns input -> what its row says otherwise than the row of training did, without those that are alike."""
    before, after = {row.name: row for row in trained}, {row.name: row for row in served}
    found = {name: [f"the model takes '{name}', which training did not build"] for name in after if name not in before}
    for name, row in before.items():
        if name in after:
            changes = list(_changes(row, after[name]))
            found |= {name: changes} if changes else {}
    return found


def _changes(trained: Row, served: Row) -> Iterator[str]:
    if trained.dtype != served.dtype:
        yield f"dtype: training {trained.dtype}, served {served.dtype}"
    sizes = [[dim if isinstance(dim, int) else None for dim in row.shape] for row in (trained, served)]
    if sizes[0] != sizes[1]:
        yield f"shape: training {list(trained.shape)}, served {list(served.shape)}"
    try:
        meanings = [canonical().record([row])["features"][row.name]["meaning"] for row in (trained, served)]
    except SpecError as error:
        yield f"training's row cannot be built here: {error}"
        return
    yield from _apart_in(*meanings)


def _apart_in(trained: Any, served: Any, path: str = "") -> Iterator[str]:
    if isinstance(trained, dict) and isinstance(served, dict):
        for key in sorted({*trained, *served}):
            yield from _apart_in(trained.get(key), served.get(key), f"{path}.{key}" if path else key)
    elif trained != served:
        yield f"{path}: training {trained}, served {served}"


def in_words(parity: Parity) -> str:
    """Returns the verdict on a line."""
    tensors = f"{counted(len(parity.tensors), 'tensor')} of {counted(parity.frames, 'frame')}"
    if parity.equal:
        return f"equal: {tensors}, byte for byte"
    rows = f"{counted(len(parity.rows), 'row')} of the spec, " if parity.rows else ""
    return f"DIFFERENT: {rows}{counted(parity.differing, 'tensor')} of {parity.frames * len(parity.tensors)}"
