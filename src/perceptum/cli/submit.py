"""`perceptum submit`: results in the format of a public benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from perceptum.errors import UsageError
from perceptum.plural import counted

from .arguments import OfSplit
from .opening import open_logs
from .output import Json, print_json, working

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    app.command()(submit)


def submit(
    format: Annotated[str, typer.Argument(metavar="FORMAT", help="kitti, nuscenes or argoverse2.")],
    results: Annotated[
        Path, typer.Argument(metavar="RESULTS", help="What `infer --out` wrote: a file, or a folder of them.")
    ],
    logs: Annotated[
        list[str],
        typer.Argument(metavar="LOG...", help='The frames of the split, such as "nuscenes/:split=val": all are in it.'),
    ],
    out: Annotated[Path, typer.Option(help="The file to write; for KITTI a folder.")],
    split: OfSplit = None,
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES", help="The classes behind the labels' numbers, from 0: a list by its name, or names: a,b,c."
        ),
    ] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option(
            "--map", metavar="CLASS=NAME", help="What the format calls a class; nothing: left out. May be repeated."
        ),
    ] = None,
    uses: Annotated[
        str | None,
        typer.Option(metavar="KINDS", help="nuScenes: what the model looks at: camera,lidar,radar,map,external."),
    ] = None,
    missing_are_empty: Annotated[
        bool, typer.Option("--missing-are-empty", help="Frames without results are those in which nothing was found.")
    ] = False,
    json: Json = False,
) -> None:
    """Write results as KITTI, nuScenes or Argoverse 2 takes them, in its own axes and with its own names."""
    from perceptum.submissions import write_submission

    mapped = dict(_pair(word) for word in map_ or ())
    kinds = None if uses is None else [word.strip() for word in uses.split(",") if word.strip()]
    dataset = open_logs(logs, split=split)
    with working(f"writing {out}"):
        written = write_submission(
            format,
            results,
            dataset,
            out,
            classes=classes,
            mapped=mapped,
            uses=kinds,
            missing_are_empty=missing_are_empty,
        )
    if json:
        about = {"frames": written.frames, "boxes": written.boxes, "left_out": dict(written.left_out)}
        print_json({"out": str(written.path), **about})
        return
    kept = written.boxes - sum(written.left_out.values())
    typer.echo(f"{written.path}: {counted(kept, 'box')} of {counted(written.frames, 'frame')}")
    for why, number in written.left_out.items():
        typer.echo(f"left out: {counted(number, 'box')} {why}")


def _pair(word: str) -> tuple[str, str]:
    name, equals, own = (part.strip() for part in word.partition("="))
    if not equals or not name:
        raise UsageError(f"--map must be like vehicle=car, or cyclist= to leave a class out, got '{word}'")
    return name, own
