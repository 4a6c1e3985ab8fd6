"""The commands about the cache of tensors that builders keep."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from perceptum.plural import counted

from .arguments import bytes_of
from .output import Json, print_json, print_table, track

__all__ = ["add_to"]

_AGE = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

Folder = Annotated[
    Path | None,
    typer.Argument(
        metavar="[FOLDER]", help="The cache's folder; else tensors in $PERCEPTUM_CACHE or in ~/.cache/perceptum."
    ),
]

app = typer.Typer(help="What builders keep of built tensors.", no_args_is_help=True)


def add_to(commands: typer.Typer) -> None:
    commands.add_typer(app, name="cache")


@app.command("ls")
def list_tensors(folder: Folder = None, json: Json = False) -> None:
    """List what is kept, by feature and by log, and how much of what was asked for was found."""
    from perceptum.builders.cache.tending import list_cache

    found = list_cache(_folder(folder))
    if json:
        print_json(asdict(found))
        return
    if found.features:
        print_table(
            [
                {
                    "feature": part.name,
                    "tensors": part.tensors,
                    "MB": part.bytes / 1e6,
                    "found": _share(part.hits, part.misses),
                }
                for part in found.features
            ]
        )
        print_table([{"log": part.name, "tensors": part.tensors, "MB": part.bytes / 1e6} for part in found.logs])
    for line in found.broken:
        typer.echo(f"broken: {line}", err=True)
    typer.echo(f"{found.folder}: {counted(found.bundles, 'bundle')}, {found.bytes / 1e6:.1f} MB")


@app.command()
def verify(folder: Folder = None, json: Json = False) -> None:
    """Compare every tensor that is kept with its checksum; exit status 1 where one is not as it was written."""
    from perceptum.builders.cache.tending import verify_cache

    found = verify_cache(_folder(folder), lambda bundles, what: track(bundles, what, len(bundles)))
    if json:
        print_json(asdict(found))
    else:
        for line in found.broken:
            typer.echo(f"broken: {line}")
        whole = f"{counted(found.tensors, 'tensor')} in {counted(found.bundles, 'bundle')}, {found.bytes / 1e6:.1f} MB"
        typer.echo(f"{found.folder}: {whole} as written, {len(found.broken)} broken")
    if found.broken:
        raise typer.Exit(1)


@app.command()
def gc(
    folder: Folder = None,
    most: Annotated[
        str | None, typer.Option("--most", metavar="SIZE", help="Keep no more than this, such as 200GB.")
    ] = None,
    older_than: Annotated[
        str | None, typer.Option("--older-than", metavar="AGE", help="Remove what was not used for so long: 12h, 30d.")
    ] = None,
    stale: Annotated[
        bool, typer.Option("--stale", help="Remove what the code that is installed here cannot use any more.")
    ] = False,
    json: Json = False,
) -> None:
    """Remove what is broken, too old, of other code, or, from what was not used for longest on, beyond a size."""
    from perceptum.builders.cache.tending import clean

    most_bytes = None if most is None else bytes_of("--most", most)
    older_than_s = None if older_than is None else _seconds(older_than)
    found = clean(_folder(folder), most_bytes=most_bytes, older_than_s=older_than_s, stale=stale)
    if json:
        print_json(asdict(found))
        return
    typer.echo(
        f"{found.folder}: {counted(found.bundles, 'bundle')} removed, {found.bytes / 1e6:.1f} MB; "
        f"{counted(found.kept_bundles, 'bundle')} kept, {found.kept_bytes / 1e6:.1f} MB"
    )


def _folder(given: Path | None) -> Path:
    from perceptum.builders.cache.folder import default_folder
    from perceptum.errors import UsageError

    folder = default_folder() if given is None else given
    if given is not None and not folder.is_dir():
        raise UsageError(f"{folder}: is not a folder")
    return folder


def _share(hits: int, misses: int) -> str:
    return f"{hits / (hits + misses):.1%} of {hits + misses}" if hits + misses else ""


def _seconds(text: str) -> float:
    from perceptum.errors import UsageError

    found = _AGE.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"--older-than must be an age such as 90m, 12h or 30d, got '{text}'")
    return float(found[1]) * _SECONDS[found[2]]
