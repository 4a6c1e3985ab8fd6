"""Opens a dataset: all logs of a folder, or of a split of it, as one sequence of frames, classes by name."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from perceptum.datasets import open_collection
from perceptum.errors import SpecError
from perceptum.features.classes import CLASS_LISTS, LabelClass, check_classes, class_of, classes_of
from perceptum.inputs import Dataset
from perceptum.spelling import did_you_mean

__all__ = ["ClassMap", "class_map", "open_dataset"]

_SHOWN = 6


def open_dataset(
    path: str | os.PathLike[str],
    *,
    split: str | None = None,
    classes: str | Mapping[str, Sequence[str]] | Sequence[str | LabelClass] | None = None,
    format: str | None = None,
    camera_sync: Literal["nearest", "before"] = "nearest",
    camera_tolerance_ns: int = 60_000_000,
    sweep_tolerance_ns: int | None = None,
    on_error: Literal["raise", "skip"] = "raise",
    cache_bytes: int = 512 * 2**20,
    most_open_logs: int = 128,
    **options: Any,
) -> Dataset:
    """Opens all logs of a folder as one sequence of frames; a log is opened when a frame of it is first asked for.

    `path` is a dataset's root, a folder that holds logs, or a log; "synthetic" with `logs=4` is made up. Options may
    stand behind the path: "nuscenes/:split=val,version=v1.0-mini". split: one that the dataset publishes, such as
    train, val or test; None: all. classes: what the labels' categories are called: the name of a list, such as
    road_users, or class -> the categories that are of it, in which a last * stands for any ending; a category of no
    class keeps its name. `on_error="skip"` leaves out logs that cannot be opened, in `dataset.left_out`, beside broken
    records.
    `cache_bytes` is kept for all logs together, and the `most_open_logs` last used stay open. The others are as for
    `open_log`, and `options` are the dataset's own. Raises NotALog, LogError or SpecError.
    """
    mapped = None if classes is None else class_map(classes)
    return open_collection(
        path,
        split=split,
        format=format,
        camera_sync=camera_sync,
        camera_tolerance_ns=camera_tolerance_ns,
        sweep_tolerance_ns=sweep_tolerance_ns,
        on_error=on_error,
        cache_bytes=cache_bytes,
        most_open_logs=most_open_logs,
        category_of=mapped,
        check_categories=None if mapped is None else partial(_check_some, mapped),
        **options,
    )


@dataclass(frozen=True)
class ClassMap:
    """Gives the class that a log's category is of, or the category itself where it is of none."""

    classes: tuple[LabelClass, ...]

    def __call__(self, category: str) -> str:
        number = class_of(category, self.classes)
        return category if number < 0 else self.classes[number].name


def class_map(classes: str | Mapping[str, Sequence[str]] | Sequence[str | LabelClass]) -> ClassMap:
    """Returns the map of a list by its name, of class -> categories, or of classes in full. Raises SpecError."""
    if isinstance(classes, str):
        if classes not in CLASS_LISTS:
            hint = did_you_mean(classes, CLASS_LISTS)
            raise SpecError(f"classes: no list '{classes}'; there are {', '.join(CLASS_LISTS)}{hint}")
        return ClassMap(CLASS_LISTS[classes])
    if isinstance(classes, Mapping):
        for name, of in classes.items():
            if isinstance(of, str):
                raise SpecError(
                    f"classes: '{name}' must have a list of categories, got the text '{of}'; write ['{of}']"
                )
        classes = [LabelClass(name=name, of=tuple(of)) for name, of in classes.items()]
    whole = classes_of(tuple(classes))
    check_classes("classes", whole)
    return ClassMap(whole)


def _check_some(mapped: ClassMap, where: str, categories: tuple[str, ...]) -> None:
    """Raises SpecError where none of a dataset's categories is of a class: then the names are another dataset's."""
    if not categories or any(class_of(one, mapped.classes) >= 0 for one in categories):
        return
    wanted = [pattern for one in mapped.classes for pattern in one.of]
    raise SpecError(
        f"classes: no category of {where} is of one of the classes, which are of {_first(wanted)}; its categories are "
        f"{_first(categories)}"
    )


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
