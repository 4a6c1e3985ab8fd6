"""The command about objects: cut out of logs, to be pasted into training samples."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from perceptum.plural import counted

from .arguments import OnBroken, OnError
from .opening import check_whole, open_logs
from .output import Json, print_json, print_table, tell_skipped, track

if TYPE_CHECKING:
    from perceptum.features.classes import Classes

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    app.command()(objects)


def objects(
    logs: Annotated[list[str], typer.Argument(metavar="LOG...", help="Logs with labels, or datasets of them.")],
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="The new folder.")],
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Which objects: categories of the logs, with commas between; or a list of classes by its name, "
            "such as road_users. Without it all.",
        ),
    ] = None,
    min_points: Annotated[int, typer.Option(min=1, help="Objects with fewer points are left out.")] = 5,
    on_error: OnBroken = OnError.stop,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace objects that were cut out before.")] = False,
    json: Json = False,
) -> None:
    """Cut labelled objects out of logs, with their points, for Paste to put into training samples."""
    from perceptum.objects import make_objects

    opened = open_logs(logs, on_error.value)
    check_whole(", ".join(logs), opened)
    done = make_objects(
        opened.logs,
        out,
        classes=_classes(classes),
        min_points=min_points,
        on_error=on_error.value,
        overwrite=overwrite,
        track=track,
    )
    if json:
        print_json(done.to_dict())
        return
    print_table([{"category": name, "objects": count} for name, count in done.classes.items()])
    frames = f"{counted(done.labelled, 'labelled frame')} of {done.frames}"
    points = f"{counted(done.objects, 'object')} with {counted(done.points, 'point')} of {frames}"
    typer.echo(f"{done.path}: {points}, {done.bytes / 1e6:.1f} MB, {done.seconds:.1f} s")
    tell_skipped(done.skipped)


def _classes(given: str | None) -> Classes | None:
    from perceptum.features.classes import CLASS_LISTS

    if given is None:
        return None
    if given in CLASS_LISTS:
        return cast("Classes", given)
    return tuple(name for one in given.split(",") if (name := one.strip()))
