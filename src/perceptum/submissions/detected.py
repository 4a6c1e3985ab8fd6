"""What a model found in a frame, and how it is read from a file of results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.errors import UsageError
from perceptum.inputs import Dataset, Frame
from perceptum.inputs.arrays import Matrix
from perceptum.plural import counted
from perceptum.results import read_results, results_log

__all__ = ["Detected", "OutputNames", "frame_keys", "read_detected"]


@dataclass(frozen=True, eq=False)
class Detected:
    """The boxes that a model found in one frame, ego frame at its time. Raises UsageError for what cannot be."""

    frame: Frame
    boxes: Matrix
    """(n, 7): x y z (centre) length width height (metres) yaw (radians about +z, from +x)."""
    scores: NDArray[Any]
    """(n,)"""
    labels: NDArray[np.str_]
    """(n,) the names of the classes, as the format has them."""
    velocity: Matrix | None = None
    """(n, 2) m/s over ground, ego axes; NaN where it is not known."""
    attributes: NDArray[np.str_] | None = None
    """(n,) as nuScenes names them; "" for none, which is then worked out."""

    def __post_init__(self) -> None:
        n = len(self.boxes)
        kept: dict[str, tuple[Any, tuple[int, ...]]] = {
            "boxes": (np.asarray(self.boxes, np.float64), (n, 7)),
            "scores": (np.asarray(self.scores, np.float64), (n,)),
            "labels": (np.asarray(self.labels, np.str_), (n,)),
        }
        if self.velocity is not None:
            kept["velocity"] = np.asarray(self.velocity, np.float64), (n, 2)
        if self.attributes is not None:
            kept["attributes"] = np.asarray(self.attributes, np.str_), (n,)
        for name, (array, shape) in kept.items():
            if array.shape != shape:
                raise UsageError(f"{self.frame}: {name} must be {shape} for {counted(n, 'box')}, got {array.shape}")
            object.__setattr__(self, name, array)
        self._check()

    def _check(self) -> None:
        good = np.isfinite(self.boxes).all(axis=1) & (self.boxes[:, 3:6] > 0).all(axis=1) & np.isfinite(self.scores)
        if not good.all():
            row = int(np.argmin(good))
            raise UsageError(
                f"{self.frame}: {counted(int((~good).sum()), 'box')} of {len(good)} cannot be handed in, first box "
                f"{row}, {self.boxes[row].tolist()} with the score {self.scores[row]}; wanted finite numbers and sizes "
                "above 0"
            )

    def __len__(self) -> int:
        return len(self.boxes)

    def taken(self, rows: NDArray[Any]) -> Detected:
        """Returns those boxes alone."""
        more = (None if array is None else array[rows] for array in (self.velocity, self.attributes))
        return Detected(self.frame, self.boxes[rows], self.scores[rows], self.labels[rows], *more)


@dataclass(frozen=True)
class OutputNames:
    """What a model's outputs are called; those of the problem detection3d. velocity and attributes may be absent."""

    boxes: str = "boxes"
    scores: str = "scores"
    labels: str = "labels"
    velocity: str = "velocity"
    attributes: str = "attributes"


def read_detected(
    results: Sequence[Path],
    dataset: Dataset,
    classes: Sequence[str],
    attributes: Sequence[str] = (),
    names: OutputNames | None = None,
) -> Iterator[Detected]:
    """Yields what files of `perceptum infer --out` found in each frame that they have results of.

    classes: the names behind the numbers of labels, from 0; labels that are texts are names themselves. attributes: the
    names behind the numbers of the output `attributes`; a negative number is none. Raises UsageError for results of
    frames that are not in the dataset, that come twice, and for labels of no class.
    """
    names = names or OutputNames()
    files = _Files(names)
    places = _places(results, dataset)
    for i, (path, number) in places.items():
        yield _detected(path, dataset[i], files.row(path, number), names, classes, attributes)


def _places(results: Sequence[Path], dataset: Dataset) -> dict[int, tuple[Path, int]]:
    """Returns the dataset's frame -> the file that has its results, and the row in it."""
    frames: dict[tuple[str, int], list[int]] = {}
    for i, (_, frame_id, time_ns) in enumerate(frame_keys(dataset)):
        frames.setdefault((frame_id, time_ns), []).append(i)
    found: dict[int, tuple[Path, int]] = {}
    for path in results:
        location = results_log(path)
        for number, row in enumerate(read_results(path, outputs=())):
            own = frames.get((str(row.get("frame_id", row["time_ns"])), row["time_ns"]), [])
            if len(own) > 1:  # frames of several logs are called alike: the file says of which log it is
                own = [i for i in own if dataset[i].log.source.location == location]
            if len(own) != 1:
                raise UsageError(
                    f"{path}: frame {row['frame']} ({row.get('frame_id', row['time_ns'])}) of {location} is not in "
                    f"{dataset.name}; name the logs that the results are of"
                )
            if own[0] in found:
                raise UsageError(
                    f"{path}: {dataset[own[0]]} has results in {found[own[0]][0]} too; give those of one model, once"
                )
            found[own[0]] = path, number
    return found


def frame_keys(dataset: Dataset) -> list[tuple[str, str, int]]:
    """Returns of each frame, in order, where its log lies, its id and its time; raises UsageError where one is listed
    twice."""
    found: dict[tuple[str, str, int], None] = {}
    for log, number in zip(*(places.tolist() for places in dataset.places()), strict=True):
        own = dataset.logs[log]
        key = own.source.location, str(own.ids[number]), int(own.source.times_ns[number])
        if key in found:
            raise UsageError(
                f"{dataset.name}: frame {key[1]} of {key[0]} is listed twice; results have each frame once"
            )
        found[key] = None
    return list(found)


class _Files:
    """Rows of results by number; where they are asked for in order, each file is read once."""

    def __init__(self, names: OutputNames) -> None:
        self._names = names
        self._path: Path | None = None
        self._rows: Iterator[dict[str, Any]] = iter(())
        self._next = 0

    def row(self, path: Path, number: int) -> dict[str, Any]:
        if path != self._path or number < self._next:
            names = self._names
            self._path, self._next = path, 0
            self._rows = read_results(path, boxes=names.boxes, velocity=names.velocity)
        while True:
            row, self._next = next(self._rows), self._next + 1
            if self._next == number + 1:
                return row


def _detected(
    path: Path,
    frame: Frame,
    row: Mapping[str, Any],
    names: OutputNames,
    classes: Sequence[str],
    attributes: Sequence[str],
) -> Detected:
    for name in (names.boxes, names.scores):
        if row.get(name) is None:
            there = ", ".join(key for key, value in row.items() if isinstance(value, np.ndarray)) or "none"
            raise UsageError(f"{path}: {frame} has no '{name}'; its outputs are {there}")
    numbers = row.get(names.labels)
    if numbers is None and len(classes) != 1:
        raise UsageError(
            f"{path}: {frame} has no '{names.labels}', and there are {len(classes)} classes; a model of one class "
            "names it, --classes NAME"
        )
    if numbers is None:
        numbers = np.zeros(len(row[names.boxes]), np.int64)
    called = _named(f"{path}: {frame}: label", numbers, classes)
    said = row.get(names.attributes)
    if said is not None and said.dtype.kind in "iu":
        none = len(attributes)
        said = _named(f"{path}: {frame}: attribute", np.where(said < 0, none, said), [*attributes, ""])
    return Detected(frame, row[names.boxes], row[names.scores], called, row.get(names.velocity), said)


def _named(what: str, numbers: NDArray[Any], names: Sequence[str]) -> NDArray[np.str_]:
    """Returns the names behind numbers; texts are names already."""
    if numbers.dtype.kind == "U":
        return numbers
    if numbers.dtype.kind not in "iu":
        raise UsageError(f"{what}s are {numbers.dtype}; wanted whole numbers or names")
    wrong = (numbers < 0) | (numbers >= len(names))
    if wrong.any():
        raise UsageError(f"{what} {numbers[wrong][0]} is not one of the {len(names)}, {', '.join(names)}, from 0")
    return np.array(names, np.str_)[numbers] if len(numbers) else np.zeros(0, np.str_)
