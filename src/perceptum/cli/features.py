"""The command about what tensors mean: features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perceptum.errors import UsageError
from perceptum.features.canonical import own_families

from .output import Json, print_json, print_table, prose_width, terminal_width, visible

if TYPE_CHECKING:
    from perceptum.features import Catalogue

__all__ = ["add_to"]

_SHORT = 30
"""Letters of what a parameter may be, up to which those of all parameters are aligned."""
_LONG = 80
"""Letters of a list, beyond which it is folded."""


def add_to(app: typer.Typer) -> None:
    app.command()(features)


def features(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="One feature, in full; a suffix may follow: NAME__fine. Or a family."),
    ] = None,
    family: Annotated[
        str | None, typer.Option(help=f"Only this family: {', '.join(own_families())}, or a plug-in's name.")
    ] = None,
    preset: Annotated[str | None, typer.Option(help="With NAME: its parameters and shape under this preset.")] = None,
    json: Json = False,
) -> None:
    """List the features by family: what each tensor is. Or one family, or one feature, in full."""
    from perceptum.features import Catalogue

    catalogue = Catalogue()
    if name is not None and family is not None:
        raise UsageError(f"--family is for the list; leave it out to see '{name}'")
    if name is None and preset is not None:
        raise UsageError(f"--preset {preset} needs the feature to show: perceptum features NAME --preset {preset}")
    if name is None or (name in catalogue.families and name not in catalogue and preset is None):
        _list(catalogue, family or name, json)
        return
    _check_name(catalogue, name)
    if json:
        print_json(_named(catalogue, name, preset))
    else:
        _show(_named(catalogue, name, preset), preset)


def _check_name(catalogue: Catalogue, name: str) -> None:
    """Raises UsageError where a family is nearer to a name that nothing has than any feature is."""
    if name.partition("__")[0] in catalogue or get_close_matches(name, list(catalogue), n=1):
        return
    near = get_close_matches(name, catalogue.families, n=1)
    if near:
        raise UsageError(f"no feature or family '{name}'; did you mean '{near[0]}'?")


def _list(catalogue: Catalogue, family: str | None, json: bool) -> None:
    if json:
        print_json(catalogue.to_rows(family))
        return
    typer.echo(visible(catalogue.text(family, prose_width())))
    typer.echo("\nperceptum features NAME shows one in full, with its parameters and presets")


def _named(catalogue: Catalogue, name: str, preset: str | None) -> dict[str, Any]:
    """Returns the row of a feature; with a suffix, that of such an instance: its own sizes have the suffix too."""
    base, _, suffix = name.partition("__")
    row = catalogue.describe(base if suffix.isidentifier() else name, preset)
    if suffix:
        row["name"] = name
        row["sizes"] = [f"{size}__{suffix}" if isinstance(size, str) else size for size in row["sizes"]]
    return row


def _show(row: Mapping[str, Any], preset: str | None) -> None:
    from perceptum.features.description import folded

    own = {"is": row["prose"], "family": row["family"], "group": row["group"]}
    if preset is not None:
        follows = row["presets"][preset]["follows"]
        own["preset"] = _followed(preset, follows) if follows else f"{preset}, which follows nothing that is public"
    print_table([{"": word, row["name"]: text} for word, text in {**own, **row["in_words"]}.items()], prose=True)
    if row["columns"]:
        columns = [{"column": one["name"], "unit": one["unit"], "holds": one["prose"]} for one in row["columns"]]
        print_table(columns, prose=True)
    if row["drawing"]:
        typer.echo(f"\n{visible(row['drawing'])}\n")
    if _among(row, None):
        typer.echo(f"parameters of {row['group']}: what each may be, and is where nothing is said")
        typer.echo(_parameters(_among(row, None)))
    for shared in row["shared"]:
        title = f"parameters of the {shared['name']}, given under {row['group']} too. {shared['prose']}".rstrip()
        typer.echo(f"\n{visible(folded(title, prose_width(), '', ''))}")
        typer.echo(_parameters(_among(row, shared["name"])))
    if row["presets"] and preset is None:
        typer.echo(f"\npresets, which --preset shows one by one\n{visible(_presets(row['presets']))}")


def _among(row: Mapping[str, Any], shared: str | None) -> list[dict[str, Any]]:
    return [one for one in row["parameters"] if one["shared"] == shared]


def _parameters(said: Sequence[Mapping[str, Any]]) -> str:
    """Returns two lines for each parameter: what it may be and is where nothing is said, and what that means."""
    from perceptum.features.description import folded

    wide, longest = prose_width(), max(len(one["name"]) for one in said)
    allowed = max((len(one["allowed"]) for one in said if len(one["allowed"]) <= _SHORT), default=0)
    lines = []
    for one in said:
        default, value = (_foldable(_json(one[which])) for which in ("default", "value"))
        unit = f" {one['unit']}" if one["unit"] else ""
        now = f"  now {value}" if value != default else ""
        first = f"{one['name']:<{longest}}  {one['allowed']:<{allowed}}  {default}{unit}{now}"
        lines += [folded(first, wide, "", " " * 8), folded(one["prose"], wide)]
    return visible("\n".join(lines))


def _foldable(words: str) -> str:
    """Returns a list of words as JSON; a long one with spaces, where a line may end."""
    return words.replace('","', '", "') if len(words) > _LONG else words


def _presets(presets: Mapping[str, Mapping[str, Any]]) -> str:
    from perceptum.features.description import folded, values_of

    lines = []
    for name, said in presets.items():
        lines.append(folded(_followed(name, said["follows"]), prose_width(), "", " " * 8))
        for words, values in (("", said["params"]), ("in training ", said["training"])):
            if values:
                # a line is not broken between the two: no plain space; in a pipe, for programs, it is not broken at all
                shown = "  ".join(f"{key}:\u00a0{_json(value)}" for key, value in values_of(values))
                lines.append(folded(words + shown, terminal_width()).replace("\u00a0", " "))
    return "\n".join(lines)


def _followed(preset: str, follows: str) -> str:
    """Returns "second_kitti, after OpenPCDet ...", or "radarnet, in the style of ...", or the name alone."""
    if not follows:
        return preset
    return f"{preset}, {follows}" if follows.startswith("in the style of ") else f"{preset}, after {follows}"


def _json(value: Any) -> str:
    import msgspec

    return msgspec.json.encode(value).decode()
