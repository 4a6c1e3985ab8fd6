"""What training saw: a few of its frames, and what they came to, to be recorded in a package."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import msgspec
import numpy as np
import xxhash
from numpy.typing import NDArray

from perceptum.builders import InputBuilder, Tensors
from perceptum.features import Row, Schema, Spec, canonical
from perceptum.inputs import Dataset, Frame, Log
from perceptum.neuropod.package.training import SeenFrame, SeenTensor, Training
from perceptum.plural import a_or_an

from .building import build_frames
from .errors import LogError, UsageError
from .testing.differences import seen

__all__ = [
    "frames_of",
    "has_targets",
    "records_of",
    "seen_tensors",
    "standing_alone",
    "training_of",
    "without_targets",
]

_FEW = 3


def frames_of(training: Any) -> list[Frame]:
    """Returns the frames to record. training: frames, all of which are taken; a log, a dataset or what has one as
    `.dataset`, a loader: the first, the middle and the last; None: none."""
    if training is None:
        return []
    if isinstance(training, Frame):
        return [training]
    dataset = training if isinstance(training, Log | Dataset) else getattr(training, "dataset", None)
    if dataset is not None:
        if len(dataset) == 0:
            raise UsageError("seen: the dataset has no frames")
        last = len(dataset) - 1
        return [dataset[index] for index in sorted({last * part // (_FEW - 1) for part in range(_FEW)})]
    frames = list(training) if isinstance(training, Iterable) else []
    if not frames or not all(isinstance(frame, Frame) for frame in frames):
        raise UsageError(f"seen must be a loader, a dataset, a log or frames, got {a_or_an(type(training).__name__)}")
    return frames


def training_of(schema: Schema, rows: Spec, frames: Iterable[Frame]) -> Training:
    """Returns what a package records. rows: as training had them, targets too."""
    from perceptum import __version__

    inputs = without_targets(schema, rows)
    builder = InputBuilder(rows, schema=schema, training=has_targets(schema, rows))
    stored = standing_alone(schema, inputs)
    return Training(
        rows=[row.to_dict() for row in stored],
        fingerprint=canonical().fingerprint_of(stored),
        perceptum=__version__,
        # a frame that cannot be built is left out where its log skips what is broken
        frames=tuple(_seen_frame(one.frame, one.tensors, inputs) for one in build_frames(builder, frames)),
    )


def has_targets(schema: Schema, rows: Spec) -> bool:
    """Whether rows are of targets too, so that only a training builder makes them."""
    return any(_is_target(schema, row) for row in rows)


def without_targets(schema: Schema, rows: Spec) -> Spec:
    """Returns the rows that a model is given."""
    return Spec(tuple(row for row in rows if not _is_target(schema, row)))


def _is_target(schema: Schema, row: Row) -> bool:
    name = row.name.partition("__")[0]
    return name in schema and schema[name].target


def standing_alone(schema: Schema, rows: Spec) -> Spec:
    """Returns the rows of a schema with all their parameters, where they do not mean the same under the built-in one
    without: a package is loaded where only that is known."""
    return rows if schema is canonical() else Spec(tuple(_standing_alone(schema, row) for row in rows))


def _standing_alone(schema: Schema, row: Row) -> Row:
    name = row.name.partition("__")[0]
    if name not in schema or name not in canonical():
        return row
    own, theirs = (one.record([row])["features"][row.name]["fingerprint"] for one in (schema, canonical()))
    if own == theirs:
        return row
    return msgspec.structs.replace(row, params=schema.resolve(Spec((row,)))[0].params.to_dict())


def _seen_frame(frame: Frame, tensors: Tensors, inputs: Spec) -> SeenFrame:
    source = frame.log.source
    own = seen_tensors({row.name: tensors[row.name] for row in inputs})
    return SeenFrame(source.dataset, source.name, frame.id, frame.time_ns, own, records_of(frame, inputs))


def seen_tensors(tensors: Mapping[str, NDArray[Any]]) -> dict[str, SeenTensor]:
    """Returns what each tensor is; of equal dtype, shape and bytes are equal."""
    return {name: SeenTensor(*seen(array)) for name, array in tensors.items()}


def records_of(frame: Frame, inputs: Iterable[Row]) -> dict[str, str]:
    """Returns sensor -> the digest of its record, of those kinds of sensor that the inputs look at, and of the pose.

    Only a frame's own records: those of earlier sweeps are not read again. A record that is broken has no digest.
    """
    words = {word for row in inputs for word in row.name.partition("__")[0].split("_")}
    found: dict[str, str] = {}
    with suppress(LogError):
        found["pose"] = _digest({"world_from_ego": frame.world_from_ego})
    if words & {"lidar", "camera"}:
        with suppress(LogError):
            found |= {f"lidar/{sweep.sensor}": _digest(vars(sweep)) for sweep in frame.sweeps(1)}
    if "radar" in words:
        with suppress(LogError):
            found |= {f"radar/{name}": _digest(vars(cycle)) for name, cycle in frame.radars.items()}
    if "camera" in words:
        with suppress(LogError):
            for name, picture in frame.cameras.items():
                encoded = np.frombuffer(picture.encoded, np.uint8)
                found[f"camera/{name}"] = _digest({**vars(picture), "encoded": encoded})
    return found


def _digest(record: dict[str, Any]) -> str:
    """Returns 32 hex digits over the arrays of a record, by name."""
    arrays = {name: value for name, value in record.items() if isinstance(value, np.ndarray)}
    whole = xxhash.xxh3_128()
    for name, array in sorted(arrays.items()):
        whole.update(f"{name} {' '.join(map(str, seen(array)))}\n".encode())
    return whole.hexdigest()
