"""What commands take: logs, ranges of frames, specs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perceptum.errors import UsageError

if TYPE_CHECKING:
    from perceptum.inputs import Log

__all__ = ["Frames", "LogPath", "Threads", "frame_indices", "open_rows"]

LogPath = Annotated[
    str, typer.Argument(metavar="LOG", help='A dataset folder, or "synthetic", or "synthetic:frames=20,seed=3".')
]
Frames = Annotated[str, typer.Option("--frames", metavar="A:B[:STEP]", help="Which frames, as Python slices them.")]
Threads = Annotated[int, typer.Option("--threads", min=1, help="Threads within a build; no byte depends on it.")]


def frame_indices(log: Log, frames: str) -> range:
    """Returns the indices that `a:b:step`, or one number, picks; raises UsageError for nonsense and for no frame."""
    parts = frames.split(":")
    try:
        numbers = [int(part) if part.strip() else None for part in parts]
        if len(numbers) == 1:
            (only,) = numbers
            picked = range(len(log))[slice(only, None if only in (None, -1) else only + 1)]
        else:
            picked = range(len(log))[slice(*numbers)]
    except (ValueError, TypeError):
        raise UsageError(f"--frames must be like 12, 0:50 or 0:50:5, got '{frames}'") from None
    if not picked:
        raise UsageError(f"--frames {frames} picks none of the log's {len(log)} frames")
    return picked


def open_rows(spec: str) -> Sequence[Any]:
    """Returns spec rows: of a package, of a JSON file with rows, or of feature names joined by commas."""
    path = Path(spec)
    if path.suffix == ".json" and path.is_file():
        from perceptum.features import Spec

        return Spec.from_json(path.read_bytes()).rows
    if path.exists():
        from perceptum.neuropod.package import open_package

        package = open_package(path)
        package.files.close()
        return [row.to_dict() for row in package.config.inputs]
    return [name.strip() for name in spec.split(",") if name.strip()]
