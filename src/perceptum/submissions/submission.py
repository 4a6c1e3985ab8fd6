"""Writes results in the format of a public benchmark."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from perceptum.errors import SpecError, UsageError
from perceptum.features.classes import CLASS_LISTS
from perceptum.inputs import Dataset, Log
from perceptum.output_file import check_ending
from perceptum.plural import counted
from perceptum.results import ENDINGS
from perceptum.spelling import did_you_mean

from .detected import Detected, OutputNames, frame_keys, read_detected

__all__ = ["FORMATS", "Written", "write_submission"]

FORMATS = ("argoverse2", "kitti", "nuscenes")
"""Each is the module of its name beside this one."""

_SHOWN = 5


@dataclass(frozen=True)
class Written:
    """What went into a file."""

    path: Path
    frames: int
    boxes: int
    """Given, with those that are left out."""
    left_out: Mapping[str, int]
    """Boxes by the reason."""


def write_submission(
    format: str,
    results: Iterable[Detected] | str | Path | Sequence[str | Path],
    logs: Dataset | Log | Sequence[Dataset | Log],
    out: str | Path,
    *,
    classes: str | Sequence[str] | None = None,
    mapped: Mapping[str, str] | None = None,
    uses: Iterable[str] | None = None,
    names: OutputNames | None = None,
    missing_are_empty: bool = False,
) -> Written:
    """Writes what a model found in the frames of logs, each of which must have results.

    Args:
        format: one of FORMATS.
        results: of each frame a Detected, whose labels are the format's own names; or files that `perceptum infer
            --out` wrote, or a folder of them.
        logs: the frames of the split, as `open_dataset` or `open_log` opens it: each is in the file, also where nothing
            was found.
        out: a file; for KITTI a folder.
        classes: the names behind the numbers of the labels in files, from 0: a list of classes by name, or names.
            None: nuScenes' and Argoverse 2's list is the dataset's own; KITTI's is Car, Pedestrian, Cyclist.
        mapped: class -> the format's own name; to "" for a class that is left out. Others keep their name.
        uses: nuScenes only: what the model looks at, of camera, lidar, radar, map, external.
        names: what the outputs in files are called.
        missing_are_empty: a frame without results is one in which nothing was found.

    Raises UsageError for results without labels, of unknown classes, of other frames, that are not finite, and where
    frames have none.
    """
    if format not in FORMATS:
        raise UsageError(f"no format '{format}'; there are {', '.join(FORMATS)}{did_you_mean(format, FORMATS)}")
    module: Any = importlib.import_module(f"{__package__}.{format}")
    path = Path(out)
    if module.ENDING:
        check_ending(path, (module.ENDING,), f"{format} takes a {module.ENDING} file")
    dataset = Dataset.of(logs)
    files = _files(results)
    names_of_classes = _class_names(format if classes is None else classes)
    official = _whole_map(module.CLASSES, [] if files is None else names_of_classes, mapped or {})
    found: Any = results
    if files is not None:
        found = read_detected(files, dataset, names_of_classes, module.ATTRIBUTES, names)
    passing = _Counted(_of_every_frame(found, dataset, official, missing_are_empty))
    left_out = module.write(path, passing, uses)
    return Written(path, passing.frames, passing.boxes, {why: n for why, n in left_out.items() if n})


class _Counted:
    """Passes on what was found, and counts it."""

    def __init__(self, found: Iterable[Detected]) -> None:
        self._found = found
        self.frames = self.boxes = 0

    def __iter__(self) -> Iterator[Detected]:
        for one in self._found:
            self.frames, self.boxes = self.frames + 1, self.boxes + len(one)
            yield one


def _files(results: object) -> list[Path] | None:
    """Returns the files of results; None where what was found is given itself."""
    if isinstance(results, str | Path):
        path = Path(results)
        if path.is_dir():
            found = sorted(file for file in path.iterdir() if file.suffix.lower() in ENDINGS)
            if not found:
                raise UsageError(
                    f"{path}: no results in this folder; `perceptum infer LOG MODEL --out FILE` makes them"
                )
            return found
        if not path.is_file():
            raise UsageError(f"{path}: no such file; `perceptum infer LOG MODEL --out FILE` makes results")
        return [path]
    if isinstance(results, list | tuple) and results and all(isinstance(one, str | Path) for one in results):
        return [file for one in results for file in _files(one) or ()]
    return None


def _class_names(classes: str | Sequence[str]) -> list[str]:
    if not isinstance(classes, str):
        return list(classes)
    if classes in CLASS_LISTS:
        return [one.name for one in CLASS_LISTS[classes]]
    names = [name.strip() for name in classes.split(",")]
    if not all(names):
        raise SpecError(f"classes must be names joined by commas, or one of {', '.join(CLASS_LISTS)}, got '{classes}'")
    return names


def _whole_map(official: Sequence[str], classes: Sequence[str], mapped: Mapping[str, str]) -> dict[str, str]:
    """Returns class -> the format's own name, of all classes that are known; raises UsageError for a name of none."""
    for name, own in mapped.items():
        if own and own not in official:
            raise UsageError(
                f"'{name}' cannot be '{own}', which the format does not have; it has {', '.join(official)}"
            )
        if classes and name not in classes:
            raise UsageError(f"'{name}' is mapped and is not one of the classes {', '.join(classes)}")
    return {**{name: name for name in official}, **mapped}


def _of_every_frame(
    found: Iterable[Detected], dataset: Dataset, official: Mapping[str, str], missing_are_empty: bool
) -> Iterator[Detected]:
    """Yields what was found with the format's own names, and where that is asked for the other frames as empty; raises
    UsageError for frames that are not in the dataset or come twice, for other classes, and last for missing frames."""
    wanted = {key: index for index, key in enumerate(frame_keys(dataset))}
    for one in found:
        frame = one.frame
        if wanted.pop((frame.log.source.location, frame.id, frame.time_ns), None) is None:
            raise UsageError(f"{frame} of {frame.log.source.location} came twice, or is not in {dataset.name}")
        yield _named(one, official)
    if wanted and not missing_are_empty:
        shown = ", ".join(frame_id for _, frame_id, _ in list(wanted)[:_SHOWN])
        has, it = ("has", "it") if len(wanted) == 1 else ("have", "them")
        raise UsageError(
            f"{counted(len(wanted), 'frame')} of the {len(dataset)} of {dataset.name} {has} no results: {shown}"
            f"{', ...' if len(wanted) > _SHOWN else ''}; run the model on {it}, or take {it} as empty: "
            "missing_are_empty=True, --missing-are-empty"
        )
    nothing = np.zeros(0)
    for index in wanted.values():
        yield Detected(dataset[index], nothing.reshape(0, 7), nothing, nothing.astype(np.str_))


def _named(one: Detected, official: Mapping[str, str]) -> Detected:
    """Returns what was found with the format's own names, without classes that are left out."""
    unknown = sorted(set(one.labels.tolist()) - official.keys())
    if unknown:
        known = ", ".join(dict.fromkeys(filter(None, official.values())))
        raise UsageError(
            f"{one.frame} has the class '{unknown[0]}', which the format does not have; say which of its own it is, "
            f"--map {unknown[0]}=NAME, or --map {unknown[0]}= to leave it out; there are {known}"
        )
    labels = np.array([official[name] for name in one.labels.tolist()], np.str_)
    named = replace(one, labels=labels)
    return named if (labels != "").all() else named.taken(labels != "")
