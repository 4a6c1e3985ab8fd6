"""Whether a feature keeps to what a builder relies on."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from perceptum.builders import Draw
from perceptum.features import Group, Row, Schema, SpecError, canonical
from perceptum.inputs import Frame
from perceptum.quiet import logs_only

from .batches import batched, fixed_by_the_spec
from .declared import clearing, declarations, sizes, values
from .frames import drive_frames, hostile_frames
from .subject import Case, Subject
from .ways import WAYS

__all__ = ["check_feature"]

_CHECKS = (declarations, values, sizes, clearing, *WAYS, batched, fixed_by_the_spec)


def check_feature(
    feature: str | Group,
    params: Mapping[str, Any] | str | None = None,
    *,
    frames: Iterable[Frame] = (),
    schema: Schema | None = None,
) -> None:
    """Builds a feature, and all others of its group, in every way there is, and compares the bytes.

    A fresh builder's bytes must come back after other frames, in used and in dirty memory, alone and together, beside
    lidar_points of the same cloud, while another tensor of the same is filled, on several threads, in several lanes at
    once, in `on_ready`, from a builder that was pickled, and in batches; on a small made-up drive, with and without a
    draw, which also turns, mirrors, scales and shifts the frame of reference, and on frames without a lidar or points,
    with numbers that are not finite, with odd dtypes (`hostile_frames`).
    A frame may also be refused with a LogError, then always. `sizes`, `clearing`, `cap`, `counts`, units and parameters
    must be as declared.

    Args:
        feature: the name of an installed feature, or a Group, which need not be installed.
        params: as in a spec: parameters that differ from the group's, or the name of a preset.
        frames: more frames, such as those of a dataset whose records the feature needs.
        schema: where the feature is; the canonical schema, with all plug-ins, if not given.

    Raises AssertionError that says what differs, in which frame, and what to look at; SpecError where the feature is
    unknown or its parameters are wrong.
    """
    group, schema = _find(feature, schema or canonical())
    cases = list(_cases(frames))
    # each of hundreds of builders would say once that a frame has no lidar
    with logs_only(logging.ERROR, "perceptum"):
        for rows in _by_dtype(group, schema, params):
            subject = Subject(group, schema, schema.spec(rows), cases)
            subject.require_works()
            for check in _CHECKS:
                check(subject)


def _find(feature: str | Group, schema: Schema) -> tuple[Group, Schema]:
    if isinstance(feature, str):
        return schema.group_of(feature), schema
    others = (group for group in schema.groups if group.name != feature.name)
    return feature, Schema(schema.name, schema.version, (*others, feature))


def _by_dtype(group: Group, schema: Schema, params: Mapping[str, Any] | str | None) -> Iterator[list[Row]]:
    """Yields the group's rows, in the first dtype of each feature, in the second, and so on while there is another."""
    given = {} if params is None else {group.name: params}
    rows = schema.spec([feature.name for feature in group], given).rows
    for k in range(max(len(feature.dtypes) for feature in group)):
        dtypes = [feature.dtypes[min(k, len(feature.dtypes) - 1)] for feature in group]
        if "string" in dtypes:
            raise SpecError(f"group '{group.name}': texts cannot be checked")
        yield [msgspec.structs.replace(row, dtype=dtype) for row, dtype in zip(rows, dtypes, strict=True)]


def _cases(frames: Iterable[Frame]) -> Iterator[Case]:
    drive = drive_frames()
    yield from (Case(f"synthetic {frame.index}", frame) for frame in drive)
    yield from (Case(f"synthetic {frame.index}", frame, Draw(0, 1, frame.index)) for frame in drive[:3])
    yield from (Case(what, frame) for what, frame in hostile_frames().items())
    yield from (Case(str(frame), frame) for frame in frames)
