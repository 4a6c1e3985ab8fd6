"""What commands take: logs, ranges of frames, specs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import quote

import msgspec
import typer

from perceptum.errors import UsageError

if TYPE_CHECKING:
    from perceptum.inputs import Frame, Log

__all__ = [
    "Frames",
    "LogPath",
    "OnBroken",
    "OnError",
    "Threads",
    "check_some",
    "file_name",
    "frame_indices",
    "one_frame",
    "open_named",
    "open_rows",
    "typed",
]


class OnError(StrEnum):
    stop = "raise"
    skip = "skip"


LogPath = Annotated[
    str,
    typer.Argument(
        metavar="LOG",
        help='A log, or "synthetic"; options behind a colon: "synthetic:frames=20", "nuscenes/:scene=scene-0061".',
    ),
]
Frames = Annotated[str, typer.Option("--frames", metavar="A:B[:STEP]", help="Which frames, as Python slices them.")]
Threads = Annotated[int, typer.Option("--threads", min=1, help="Threads within a build; no byte depends on it.")]
OnBroken = Annotated[
    OnError, typer.Option("--on-error", help="Stop at a broken record, or leave it out, and what cannot be without it.")
]


def open_named(log: str, on_error: Literal["raise", "skip"] = "raise") -> Log:
    """Opens the log that was named; an option of it that cannot be is a UsageError, spelled as it is typed."""
    from perceptum.datasets import open_log

    with typed(log):
        return open_log(log, on_error=on_error)


@contextmanager
def typed(log: str) -> Iterator[None]:
    """Turns a bad option of the log into a UsageError that spells options as a command line does: LOG:scene=..."""
    from perceptum.inputs import BadOption

    try:
        yield
    except BadOption as error:
        from perceptum.datasets.options import split_options

        raise UsageError(error.typed(split_options(log)[0])) from error


def file_name(frame: Frame, suffix: str) -> str:
    """Returns the name of a file for a frame: its id, escaped, for an id may hold anything, a slash too."""
    return f"{quote(frame.id, safe='')}{suffix}"


def one_frame(log: Log, index: int) -> Frame:
    """Returns frame `index`, from the end where negative; raises UsageError where the log has no such frame."""
    try:
        return log[index]
    except IndexError as error:
        raise UsageError(str(error)) from error


def frame_indices(log: Log, frames: str) -> range:
    """Returns the indices that `a:b:step`, or one number, picks; raises UsageError for nonsense and for no frame."""
    try:
        numbers = [int(part) if part.strip() else None for part in frames.split(":")]
        if len(numbers) == 1:
            only = int(frames)
            picked = range(len(log))[slice(only, None if only == -1 else only + 1)]
        else:
            picked = range(len(log))[slice(*numbers)]
    except (ValueError, TypeError):
        raise UsageError(f"--frames must be like 12, 0:50 or 0:50:5, got '{frames}'") from None
    if not picked:
        raise UsageError(f"--frames {frames} picks none of the log's {len(log)} frames")
    return picked


def check_some(done: Sequence[object], log: Log, wanted: int) -> None:
    """Raises LogError where not one of the `wanted` frames could be had from a log that skips what is broken."""
    from perceptum.inputs import LogError

    if not done:
        raise LogError(f"{log.source.location}: all {wanted} frames are broken, the last: {log.skipped[-1]}")


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

    package = open_package(path)
    try:
        package.metadata.check()
        return [row.to_dict() for row in package.config.inputs]
    except NeuropodError as error:
        raise NeuropodError(f"{path}: {error}") from error
    finally:
        package.files.close()
