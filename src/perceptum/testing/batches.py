"""Several frames as one batch, and sizes that a spec fixes: the same numbers as frame by frame, where they belong."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from perceptum.builders import Tensors
from perceptum.builders.batch import check_collation
from perceptum.features import Concat, Resolved, Row, SpecError
from perceptum.inputs import LogError

from .differences import difference
from .subject import Case, Subject

__all__ = ["batched", "fixed_by_the_spec"]

_AT_ONCE = 6


def batched(subject: Subject) -> None:
    """Batches of changing size, by one builder, so that frames stand in places where others stood."""
    rows = _rows_for_batches(subject)
    if not rows:
        return
    spec = [row.row for row in rows]
    builder, apart = subject.builder(spec), subject.builder(spec)
    plain = [case for case in subject.works() if case.draw is None]
    drawn = [case for case in subject.works() if case.draw is not None]
    for picked in [*_chunks(plain), *_chunks(plain[::-1]), *_chunks(drawn), plain[:1]]:
        frames = [case.frame for case in picked]
        draws = [case.draw for case in picked if case.draw is not None] or None
        where = f"{subject.group.name}, a batch of {len(picked)} frames"
        batch = subject.attempt(partial(builder.build_batch, frames, draws=draws), where)
        if isinstance(batch, LogError):
            raise AssertionError(f"{where}: raised {type(batch).__name__}: {batch}; each of its frames can be built")
        alone = [subject.build(apart, case, "built alone") for case in picked]
        singles = [made for made in alone if not isinstance(made, LogError)]
        for row in rows:
            _check_row(where, row, batch, singles, picked)


def _chunks(cases: Sequence[Case]) -> list[Sequence[Case]]:
    return [cases[k : k + _AT_ONCE] for k in range(0, len(cases), _AT_ONCE)]


def _rows_for_batches(subject: Subject) -> list[Resolved]:
    """Returns the rows that can be made a batch as they are, with those whose rows they count."""
    rows = []
    for row in subject.rows:
        try:
            check_collation([row])
            rows.append(row)
        except SpecError:
            # a size that only a spec can fix
            continue
    present = {row.feature.name for row in rows}
    counted = {row.feature.collate.offset_of for row in rows if isinstance(row.feature.collate, Concat)} - {None}
    more = [name for name in sorted(map(str, counted)) if name not in present]
    return [*rows, *subject.schema.resolve(subject.schema.spec(more))] if more else rows


def _check_row(where: str, row: Resolved, batch: Tensors, singles: Sequence[Tensors], cases: Sequence[Case]) -> None:
    collate, array = row.feature.collate, batch[row.name]
    start = nodes = 0
    for place, made in enumerate(singles):
        wanted = made[row.name]
        if not isinstance(collate, Concat) or None not in row.fixed:
            found = array[place]
        else:
            stop = start + wanted.shape[collate.axis]
            found, start = np.moveaxis(np.moveaxis(array, collate.axis, 0)[start:stop], 0, collate.axis), stop
            if collate.index == "column":
                _check_numbers(where, row.name, place, found[:, 0])
                found = found[:, 1:]
            if collate.index == "offset":
                # -1 leads nowhere, in a batch too
                wanted = np.where(wanted >= 0, wanted + np.asarray(nodes, wanted.dtype), wanted)
                nodes += len(made[str(collate.offset_of)])
        said = difference(found, wanted)
        if said:
            raise AssertionError(
                f"{where}: '{row.name}' of frame {place} ('{cases[place].name}') {said}; `out` may be a place in a "
                "larger block, where another frame was: clear what `written` says was written before, and no more"
            )


def _check_numbers(where: str, name: str, place: int, column: NDArray[Any]) -> None:
    if (column != place).any():
        raise AssertionError(f"{where}: the first column of '{name}' must be {place} in frame {place}, got {column}")


def fixed_by_the_spec(subject: Subject) -> None:
    """A spec may fix a size that a frame decides: what is over is cut off, what is missing holds the fill value."""
    for row in subject.rows if subject.works() else ():
        if None not in row.fixed:
            continue
        by_size = sorted(subject.works(), key=lambda case: subject.shape(case, row.name))
        works = [by_size[k] for k in (0, len(by_size) // 2, -1)]
        shapes = [subject.shape(case, row.name) for case in works]
        whole = {case: subject.build(subject.builder([row.row]), case, "built alone") for case in works}
        most = [max((shape[axis] for shape in shapes), default=0) for axis in range(len(row.fixed))]
        for sizes in ([max(n // 2, 1) for n in most], [n + 3 for n in most]):
            dims = tuple(n if size is None else size for n, size in zip(sizes, row.fixed, strict=True))
            _check_fixed(subject, row, dims, whole)


def _check_fixed(
    subject: Subject, row: Resolved, dims: tuple[int, ...], wholes: dict[Case, Tensors | LogError]
) -> None:
    fixed: Row = msgspec.structs.replace(row.row, shape=dims)
    builder, how = subject.builder([fixed]), f"with '{row.name}' fixed to {dims} by the spec"
    for case in (*wholes, *reversed(wholes)):
        found, whole = subject.build(builder, case, how), wholes[case]
        assert not isinstance(whole, LogError)
        if isinstance(found, LogError):
            raise AssertionError(f"{subject.of(case)}, {how}: raised {type(found).__name__}: {found}")
        kept = tuple(slice(0, min(n, have)) for n, have in zip(dims, whole[row.name].shape, strict=True))
        wanted = np.full(dims, row.feature.fill, whole[row.name].dtype)
        wanted[kept] = whole[row.name][kept]
        said = difference(found[row.name], wanted)
        if said:
            raise AssertionError(
                f"{subject.of(case)}, {how}: '{row.name}' {said}; `out` may have fewer rows than sizes() said (write "
                "the first), or more (leave the fill value)"
            )
