"""What observations have in common: texts in them, their order, and all frames' arrays as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptum.errors import UsageError

from ..metric import Curve, Observation

__all__ = [
    "check_counts",
    "frame_of_rows",
    "in_order",
    "per_class",
    "precision_curves",
    "seen",
    "stacked",
    "text_array",
    "text_of",
]


def check_counts(min_points: int, most_boxes: int) -> None:
    """Raises UsageError for limits that cannot be."""
    if min_points < 0:
        raise UsageError(f"min_points must be 0 or more, got {min_points}")
    if most_boxes < 1:
        raise UsageError(f"most_boxes must be at least 1, got {most_boxes}")


def seen(points: NDArray[np.int64], least: int) -> NDArray[np.bool_]:
    """Returns (n,) bool: whether a label has enough points; -1, as many as nobody counted, are enough."""
    return np.asarray((points < 0) | (points >= least))


def text_array(text: str) -> NDArray[np.uint8]:
    """Returns a text as (k,) uint8, UTF-8: an observation holds numbers alone."""
    return np.frombuffer(text.encode(errors="replace"), np.uint8).copy()


def text_of(array: NDArray[Any]) -> str:
    return np.asarray(array, np.uint8).tobytes().decode(errors="replace")


def in_order(observations: Sequence[Observation]) -> list[Observation]:
    """Returns observations by `log`, then `time_ns`, then what they hold: in whatever order they come, it is one."""
    keys = [(text_of(one["log"]), int(one["time_ns"][0])) for one in observations]
    if len(set(keys)) < len(keys):
        # frames of one name and time: equal ones may change places, and others are told apart
        whole = [(*key, _bytes(one)) for key, one in zip(keys, observations, strict=True)]
        return [observations[i] for i in sorted(range(len(whole)), key=whole.__getitem__)]
    return [observations[i] for i in sorted(range(len(keys)), key=keys.__getitem__)]


def _bytes(observation: Observation) -> bytes:
    return b"".join(np.asarray(observation[name]).tobytes() for name in sorted(observation))


def stacked(observations: Sequence[Observation], name: str, empty: NDArray[Any]) -> NDArray[Any]:
    """Returns the rows of one array of all frames; `empty` where there is no frame."""
    return np.concatenate([one[name] for one in observations]) if observations else empty


def frame_of_rows(observations: Sequence[Observation], name: str) -> NDArray[np.int64]:
    """Returns (n,) int64: the number of the frame that each row of `stacked` is of."""
    return np.repeat(np.arange(len(observations)), [len(one[name]) for one in observations])


def per_class(
    what: str, given: float | tuple[float, ...] | None, classes: Sequence[str], own: Mapping[str, float], other: float
) -> NDArray[np.float64]:
    """Returns (c,) float64: what is given, for all classes or for each, or what the metric says of them by name.

    other: for classes that the metric does not know. Raises UsageError for numbers that are not positive, or are not as
    many as the classes.
    """
    if given is None:
        return np.array([own.get(name, other) for name in classes], np.float64)
    many = np.asarray(given, np.float64)
    if many.size == 1:
        many = np.full(len(classes), many.item())
    if many.shape != (len(classes),):
        raise UsageError(f"{what} must be one number, or one for each of the {len(classes)} classes, got {given}")
    if not (many > 0).all():
        raise UsageError(f"{what} must be more than 0, got {given}")
    return many


def precision_curves(
    distances_m: Sequence[float], recall: NDArray[np.float64], precision: Mapping[str, NDArray[np.float64]]
) -> dict[str, dict[str, Curve]]:
    """Returns the lines of a page, a title for each distance at which a found box may lie.

    precision: of each class of which something is labelled, (distances, recall) float64.
    """
    return {
        f"precision over recall, centres within {limit_m:g} m": {
            name: Curve(recall, of[k], "recall", "precision") for name, of in precision.items()
        }
        for k, limit_m in enumerate(distances_m)
    }
