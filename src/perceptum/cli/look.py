"""Commands that look: view, doctor."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from .arguments import LogPath, one_frame, open_named
from .output import Json, print_json, print_table

__all__ = ["add_to"]


class Viewer(StrEnum):
    png = "png"
    open3d = "open3d"


def add_to(app: typer.Typer) -> None:
    app.command()(view)
    app.command()(doctor)


def view(
    log: LogPath,
    frame: Annotated[int, typer.Option(help="Which frame.")] = 0,
    model: Annotated[list[Path] | None, typer.Option(help="Draw this detector's boxes too; may be repeated.")] = None,
    trust: Annotated[bool, typer.Option("--trust", help="Run packages that are code (platform python).")] = False,
    viewer: Annotated[Viewer, typer.Option(help="A picture from above, or a window in 3D.")] = Viewer.png,
    out: Annotated[Path, typer.Option(help="Where the picture goes.")] = Path("frame.png"),
) -> None:
    """Draw a frame: points, map, labels, and the boxes of models."""
    from perceptum.view import Scene

    scene = Scene.of(one_frame(open_named(log), frame), model or [], trust)
    if viewer is Viewer.open3d:
        scene.show()
    else:
        scene.draw(out)
        typer.echo(f"picture: {out}")


def doctor(json: Json = False) -> None:
    """Tell what is installed here, what is missing, and what would make trouble."""
    from perceptum.doctor import examine

    found: dict[str, Any] = examine()
    if json:
        print_json(found)
        return
    print_table([{"": key, "here": value} for key, value in found["machine"].items()])
    print_table(found["packages"])
    for advice in found["advice"]:
        typer.echo(f"advice: {advice}")
