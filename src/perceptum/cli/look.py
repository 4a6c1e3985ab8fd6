"""Commands that look: view, doctor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perceptum.errors import UsageError

from .arguments import (
    AugmentOf,
    DrawOf,
    LogPath,
    OnBroken,
    OneFrame,
    OnError,
    ParamsOf,
    Training,
    file_name,
    one_frame,
    open_rows,
    read_augment,
    read_params,
)
from .named import check_there
from .opening import open_first
from .output import Json, print_json, print_table, tell_skipped

if TYPE_CHECKING:
    from perceptum.builders import Augment, Draw
    from perceptum.inputs import Frame
    from perceptum.view import PictureRows

__all__ = ["add_to"]


class Viewer(StrEnum):
    png = "png"
    open3d = "open3d"


def add_to(app: typer.Typer) -> None:
    app.command()(view)
    app.command()(doctor)


def view(
    log: LogPath,
    frame: OneFrame = "0",
    model: Annotated[list[Path] | None, typer.Option(help="Draw this detector's boxes too; may be repeated.")] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Run packages that are code: Python, custom ops, graphs that touch files.")
    ] = False,
    cameras: Annotated[
        bool,
        typer.Option(
            "--cameras",
            help="Draw the cameras' pictures, with points, radar and boxes where they fall into them; "
            "in open3d's window, where the cameras are.",
        ),
    ] = False,
    spec: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC",
            help="Draw what this spec builds, a package's or as for build, a panel for each kind of tensor; with "
            "--cameras: the pictures as it has them.",
        ),
    ] = None,
    params: ParamsOf = None,
    training: Training = False,
    augment: AugmentOf = None,
    draw: DrawOf = None,
    viewer: Annotated[Viewer, typer.Option(help="A picture, or a window in 3D.")] = Viewer.png,
    range_m: Annotated[
        tuple[float, float, float, float] | None,
        typer.Option(
            "--range",
            metavar="X_MIN Y_MIN X_MAX Y_MAX",
            help="The ground in the picture, metres in the ego frame, of --spec in its own; if not given, 90 m where "
            "the points are, or what the tensors show.",
        ),
    ] = None,
    on_error: OnBroken = OnError.stop,
    out: Annotated[Path | None, typer.Option(help="The picture's file; if not given, the frame's ID.png.")] = None,
    json: Json = False,
) -> None:
    """Draw a frame: points, map, labels, and the boxes of models; from above, or in the cameras' pictures.

    Or what a spec builds of it, and as it was built: --spec.
    """
    from perceptum.output_file import check_ending, check_file_place
    from perceptum.view import Scene, pictures_of_log

    if out is not None:
        check_ending(out, (".png",), "pictures are PNG files")
        check_file_place(out)
    ground = None if range_m is None else _checked(range_m, viewer, cameras)
    changes = read_augment(augment, draw)
    if spec is not None and not cameras:
        if model or viewer is not Viewer.png:
            raise UsageError(f"{'--model' if model else '--viewer'} is for a frame as it is; leave it out, or --spec")
        opened = open_first(log, on_error.value)
        _view_built(
            one_frame(opened, frame), open_rows(spec), read_params(params), training, changes, ground, out, json
        )
        tell_skipped(opened.skipped)
        return
    for name, given in (("--training", training), ("--augment", augment)):
        if given:
            raise UsageError(f"{name} is for what a spec builds: add --spec" + ", and leave out --cameras" * cameras)
    of_spec = _pictures_of_spec(spec, params, cameras)
    opened = open_first(log, on_error.value)
    chosen = one_frame(opened, frame)
    for package in model or ():
        check_there(package)
    scene = Scene.of(chosen, model or [], trust, of_spec or (pictures_of_log(chosen) if cameras else ()))
    path = Path(file_name(chosen, ".cameras.png" if cameras else ".png")) if out is None else out
    if viewer is Viewer.open3d:
        scene.show()
    elif cameras:
        scene.draw_cameras(path)
    else:
        scene.draw(path, ground)
    if json:
        print_json({"picture": str(path) if viewer is Viewer.png else None, **scene.to_dict(ground)})
    elif viewer is Viewer.png:
        typer.echo(f"picture: {path}")
    tell_skipped(opened.skipped)


def _view_built(
    frame: Frame,
    rows: Sequence[Any],
    params: dict[str, Any] | None,
    training: bool,
    changes: tuple[Augment | None, Draw | None],
    ground: tuple[float, float, float, float] | None,
    out: Path | None,
    json: bool,
) -> None:
    from perceptum.view.built import BuiltScene

    augment, draw = changes
    scene = BuiltScene.of(frame, rows, params, training=training, augment=augment, draw=draw)
    path = Path(file_name(frame, ".spec.png")) if out is None else out
    said = scene.save(path, ground)
    if json:
        print_json({"picture": str(path), **said})
        return
    typer.echo(f"picture: {path}")
    for panel in said["panels"]:
        typer.echo(f"{panel['kind']}: {panel['shows']}")
    for kind, why in said["not_drawn"].items():
        typer.echo(f"not drawn: {kind}: {why}")


def _pictures_of_spec(spec: str | None, params: list[str] | None, cameras: bool) -> list[PictureRows]:
    """Returns the pictures that --spec and --params ask for, none where neither is given; raises UsageError."""
    from perceptum.view import pictures_of_spec

    given = read_params(params)
    if spec is None and given is None:
        return []
    if not cameras:
        raise UsageError("--params is for what a spec builds, or for the cameras' pictures: add --spec or --cameras")
    if spec is not None:
        return pictures_of_spec(open_rows(spec), given)
    # what is said of image says of matrices too whether the motion is taken out
    names = ["camera_images", "camera_projection"] if "image" in (given or {}) else ["camera_images"]
    return pictures_of_spec(names, given)


def _checked(
    range_m: tuple[float, float, float, float], viewer: Viewer, cameras: bool
) -> tuple[float, float, float, float]:
    """Returns the range; raises UsageError where it is none, or there is no picture to have it."""
    x_min, y_min, x_max, y_max = range_m
    if cameras:
        raise UsageError("--range is for the picture from above; leave it out, or --cameras")
    if viewer is not Viewer.png:
        raise UsageError(f"--range is for the picture from above; the {viewer} window is moved by hand")
    if not (-math.inf < x_min < x_max < math.inf and -math.inf < y_min < y_max < math.inf):
        told = " ".join(f"{side:g}" for side in range_m)
        raise UsageError(f"--range must be x_min y_min x_max y_max in metres, like -20 -40 100 40, got {told}")
    return range_m


def doctor(json: Json = False) -> None:
    """Show what is installed here, what is missing, and what would cause trouble."""
    from perceptum.doctor import examine

    found: dict[str, Any] = examine()
    if json:
        print_json(found)
        return
    print_table([{"": key, "here": value} for key, value in found["machine"].items()])
    print_table(found["packages"])
    if found["plug_ins"]:
        print_table([_plug_in(row) for row in found["plug_ins"]])
    else:
        typer.echo("plug-ins: none installed")
    for advice in found["advice"]:
        typer.echo(f"advice: {advice}")


def _plug_in(row: dict[str, Any]) -> dict[str, Any]:
    shown = {key: value for key, value in row.items() if key != "not used"}
    return {**shown, "loads": "yes" if row["not used"] is None else row["not used"]}
