"""What commands take: logs, ranges of frames, specs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import msgspec
import typer

from perceptum.errors import UsageError

from .named import check_no_other

if TYPE_CHECKING:
    from perceptum.builders import Augment, Draw
    from perceptum.inputs import Dataset, Frame, Log

__all__ = [
    "AugmentOf",
    "CacheOf",
    "DrawOf",
    "Frames",
    "LogPath",
    "OnBroken",
    "OnError",
    "OfSplit",
    "OneFrame",
    "ParamsOf",
    "Threads",
    "Training",
    "bytes_of",
    "check_some",
    "file_name",
    "frame_indices",
    "frames_of_all",
    "one_frame",
    "one_in_words",
    "open_rows",
    "read_augment",
    "read_params",
]


_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)")
"""A number as one writes it; what begins with zeros is an id."""


_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMGT]?)(i?)B?", re.IGNORECASE)


class OnError(StrEnum):
    stop = "raise"
    skip = "skip"


LogPath = Annotated[
    str,
    typer.Argument(
        metavar="LOG",
        help='A log, a folder with logs, or "synthetic"; options after a colon: "synthetic:frames=20", '
        '"nuscenes/:scene=scene-0061", "nuscenes/:split=val".',
    ),
]
OfSplit = Annotated[
    str | None,
    typer.Option("--split", metavar="NAME", help="Only the logs of a dataset's split, such as train, val or test."),
]
Frames = Annotated[
    str,
    typer.Option(
        "--frames", metavar="A:B[:STEP]", help="Which frames, as Python slices them; A and B are numbers or ids."
    ),
]
OneFrame = Annotated[
    str,
    typer.Option("--frame", metavar="N|ID", help="Which frame: its number, negative from the end, or its id."),
]
Threads = Annotated[int, typer.Option("--threads", min=1, help="Threads within a build; they never change the result.")]
ParamsOf = Annotated[
    list[str] | None,
    typer.Option(
        "--params",
        metavar="GROUP=VALUE",
        help="Parameters for rows that bring none: GROUP=PRESET, GROUP=JSON, such as "
        "'lidar_points={\"num_sweeps\": 5}', or for all rows at once frame=lidar and image=PRESET or JSON; may be "
        "repeated.",
    ),
]
CacheOf = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        metavar="FOLDER",
        help="Keep built tensors in this folder, and take those that are there; `perceptum cache` looks after it.",
    ),
]
Training = Annotated[
    bool,
    typer.Option(
        "--training",
        help="Allow targets, such as gt_boxes, and use the presets' training values, such as fewer voxels.",
    ),
]
AugmentOf = Annotated[
    str | None,
    typer.Option(
        "--augment",
        metavar="JSON|FILE",
        help="What may happen at random, as Augment's fields: '{\"rotate\": 0.78}' or a file of that; needs --draw.",
    ),
]
DrawOf = Annotated[
    str | None,
    typer.Option(
        "--draw",
        metavar="SEED,EPOCH,INDEX",
        help="Which draw of --augment the first frame has; the next ones have the next indices.",
    ),
]
OnBroken = Annotated[
    OnError, typer.Option("--on-error", help="Stop at a broken record, or leave it out, and all that needs it.")
]


def bytes_of(option: str, text: str) -> int:
    """Returns the number of bytes that a size such as 500MB or 4GiB says; raises UsageError that names the option."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"{option} must be a size such as 500MB or 200GB, got '{text}'")
    number, unit, binary = found.groups()
    power = " kmgt".index(unit.lower() or " ")
    return int(float(number) * (1024 if binary else 1000) ** power)


def file_name(frame: Frame, suffix: str) -> str:
    """Returns the name of a file for a frame: its id, escaped, for an id may hold anything, a slash too."""
    return f"{quote(frame.id, safe='')}{suffix}"


def one_frame(log: Log, frame: str) -> Frame:
    """Returns the frame of a number, from the end where negative, or of an id; raises UsageError that names both."""
    index = _number_of(log, frame)
    if index is None or not -len(log) <= index < len(log):
        raise UsageError(f"{log.source.location}: no frame '{frame}'; {_frames_of(log)}")
    return log[index]


def _number_of(log: Log, text: str) -> int | None:
    """Returns the number of a frame that is given by number or id; None where it is neither.

    A number within the log is one, also where another frame has it for its id; "000134" is an id.
    """
    text = text.strip()
    number = int(text) if _NUMBER.fullmatch(text) else None
    if number is not None and -len(log) <= number < len(log):
        return number
    return log.ids.index(text) if text in log.ids else number


def _frames_of(log: Log) -> str:
    last = len(log) - 1
    if last == 0:
        return f"the log has one frame, number 0 (its position), id {log.ids[0]} (the dataset's name)"
    ids = f"{log.ids[0]} to {log.ids[last]}"
    return f"the log has {last + 1} frames, numbers 0 to {last} (their positions), ids {ids} (the dataset's names)"


def one_in_words(row: Mapping[str, Any]) -> str:
    """Returns "frame 2 (000134)" for a row that has the frame's number and id, as messages call it."""
    return f"frame {row['frame']} ({row['frame_id']})"


def frame_indices(log: Log, frames: str) -> range:
    """Returns the indices that `a:b:step`, or one frame, picks; raises UsageError for nonsense and for no frame.

    a and b are numbers or ids. An id may hold a colon: the whole is looked up first.
    """
    start = stop = _number_of(log, frames)
    step = 1
    if start is not None:
        stop = None if start == -1 else start + 1
    else:
        parts = [part.strip() for part in frames.split(":")]
        last = parts.pop() if len(parts) == 3 else ""
        if len(parts) == 1 and parts[0]:
            raise UsageError(f"--frames {frames}: no frame has that number or id; {_frames_of(log)}")
        if len(parts) != 2 or not re.fullmatch(r"(-?[1-9][0-9]*)?", last):
            raise UsageError(f"--frames must be like 12, 0:50, 0:50:5 or an id, got '{frames}'; {_frames_of(log)}")
        start, stop = (_end_of(log, frames, part) for part in parts)
        step = int(last or 1)
    picked = range(len(log))[start:stop:step]
    if not picked:
        raise UsageError(f"--frames {frames} picks no frame; {_frames_of(log)}")
    return picked


def frames_of_all(dataset: Dataset, frames: str) -> range:
    """Returns the numbers, among all frames of the logs, that --frames picks."""
    every: Any = _Every(dataset)
    return frame_indices(every, frames)


class _Every:
    """The frames of several logs, as `frame_indices` takes those of one; ids are read only where one is asked for."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self.source = SimpleNamespace(location=dataset.name)

    def __len__(self) -> int:
        return len(self._dataset)

    @cached_property
    def ids(self) -> list[str]:
        logs, numbers = self._dataset.places()
        return [self._dataset.logs[log].ids[number] for log, number in zip(logs, numbers, strict=True)]


def _end_of(log: Log, frames: str, part: str) -> int | None:
    number = _number_of(log, part) if part else None
    if part and number is None:
        raise UsageError(f"--frames {frames}: no frame '{part}'; {_frames_of(log)}")
    return number


def check_some(done: Sequence[object], log: Log, wanted: int) -> None:
    """Raises LogError where none of the `wanted` frames could be had from a log that skips what is broken."""
    from perceptum.inputs import LogError

    if not done:
        what = "the one frame asked for is broken" if wanted == 1 else f"all {wanted} frames are broken, the last"
        raise LogError(f"{log.source.location}: {what}: {log.skipped[-1]}")


def open_rows(spec: str) -> Sequence[Any]:
    """Returns spec rows: of feature names joined by commas, of a JSON file with rows, or of a package.

    A file that has a feature's name is "./lidar_points". Raises SpecError or NeuropodError, which name the file.
    """
    names = [name.strip() for name in spec.split(",") if name.strip()]
    path = Path(spec)
    if not names or _are_features(names) or not (path.exists() or _looks_like_a_path(spec)):
        return names
    if not path.exists():
        raise UsageError(f"{spec}: no such file; a spec is a package, a JSON file, or feature names joined by commas")
    return _json_rows(path) if path.suffix == ".json" and path.is_file() else _package_rows(path)


def read_params(words: Sequence[str] | None) -> dict[str, Any] | None:
    """Returns {group or part: value} of words like lidar_voxels=pointpillars_kitti or frame=lidar; None for none.

    A value is JSON where it is that, and else a text. Raises UsageError.
    """
    found: dict[str, Any] = {}
    for word in words or ():
        name, equals, text = (part.strip() for part in word.partition("="))
        if not equals or not name or not text:
            raise UsageError(f"--params must be like lidar_voxels=pointpillars_kitti or frame=lidar, got '{word}'")
        if name in found:
            raise UsageError(
                f"--params {name} is given twice; a preset with changes is {name}='{{\"preset\": NAME, ...}}'"
            )
        found[name] = _json_or_text(name, text)
    return found or None


def _json_or_text(name: str, text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    # brackets without end are a RecursionError
    except (msgspec.DecodeError, RecursionError) as error:
        if text[0] in '{["':
            raise UsageError(f"--params {name}: not the JSON that it begins as ({error}): {text[:60]}") from None
        return text


def read_augment(given: str | None, draw: str | None) -> tuple[Augment | None, Draw | None]:
    """Returns what --augment and --draw say, None for neither; raises UsageError, or SpecError for a field."""
    if given is None and draw is None:
        return None, None
    first = None if draw is None else _draw_of(draw)
    if given is None:
        raise UsageError("--draw is for --augment: without it nothing is random")
    if first is None:
        raise UsageError("--augment changes only samples that have a draw: add --draw SEED,EPOCH,INDEX, such as 0,0,5")
    from perceptum.builders.augment import augment_of

    return augment_of(_plain_augment(given.strip())), first


def _plain_augment(given: str) -> Any:
    where, text = "--augment", given.encode()
    if not given.startswith("{"):
        path = Path(given)
        if not path.is_file():
            raise UsageError(f"--augment {given}: not JSON such as '{{\"rotate\": 0.78}}', and no file is called that")
        where, text = f"--augment {given}", path.read_bytes()
    try:
        return msgspec.json.decode(text)
    # brackets without end are a RecursionError
    except (msgspec.DecodeError, RecursionError) as error:
        raise UsageError(f"{where}: not JSON ({error}): {text[:60].decode(errors='replace')}") from None


def _draw_of(given: str) -> Draw:
    from perceptum.builders import Draw

    words = [word.strip() for word in given.split(",")]
    if len(words) != 3 or not all(re.fullmatch(r"[0-9]+", word) for word in words):
        raise UsageError(f"--draw must be SEED,EPOCH,INDEX, three whole numbers of 0 or more, got '{given}'")
    try:
        return Draw(*map(int, words))
    except ValueError as error:
        raise UsageError(f"--draw {given}: {error}") from None


def _are_features(names: Sequence[str]) -> bool:
    from perceptum.features import Catalogue

    return all(name in Catalogue() for name in names)


def _looks_like_a_path(spec: str) -> bool:
    return "/" in spec or spec.endswith((".json", ".neuropod", ".zip"))


def _json_rows(path: Path) -> Sequence[Any]:
    from perceptum.features import Spec, SpecError

    try:
        return Spec.from_json(_inputs_of(path.read_bytes())).rows
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from error


def _inputs_of(text: bytes) -> bytes:
    """Returns the rows of a file that holds both specs, as `perceptum pack` takes it; other text as it is."""
    try:
        plain = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    both = isinstance(plain, dict) and "input_spec" in plain
    return msgspec.json.encode(plain["input_spec"]) if both else text


def _package_rows(path: Path) -> Sequence[Any]:
    from perceptum.neuropod import NeuropodError
    from perceptum.neuropod.package.package import open_package

    check_no_other(path, "a spec")
    package = open_package(path)
    try:
        package.metadata.check()
        return [row.to_dict() for row in package.config.inputs]
    except NeuropodError as error:
        raise NeuropodError(f"{path}: {error}") from error
    finally:
        package.files.close()
