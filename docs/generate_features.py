"""Writes docs/features/, a page a family, from the schema: python docs/generate_features.py [--check]"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from perceptum.features import COLUMN_UNITS, FRAMES, UNITS, Catalogue, canonical
from perceptum.features.description import column_in_words, first_sentence, values_of

FOLDER = Path(__file__).with_name("features")

OBJECTS = {
    part for group in canonical().groups for part, value in group.parts.items() if isinstance(value, msgspec.Struct)
}
"""The parts that are objects, such as image."""

HEAD = """\
Written by `python docs/generate_features.py` from the schema itself. `perceptum features` lists the same,
`perceptum features NAME` shows one feature in full, and `perceptum features NAME --preset PRESET` what it is under the
parameters of a published model. `pc.features()` is the list in Python.

## What holds for all

- **Frame of reference.** The vehicle's: x forward, y left, z up, metres, at the frame's reference time. The parameter
  `frame` names another where a model was trained in one; all rows of a spec that belong together agree on it.
- **Precision.** Places, poses and times are worked with in float64 and int64, and narrowed last. Which cell a point
  lies in is floor((p - min) / voxel) in float32, as in the published pipelines.
- **Grids** are half-open: what lies on the lower edge is inside, on the upper edge outside. There are
  round((max - min) / voxel) cells along an axis.
- **Order.** Rows are in the order in which they were first seen. What is over a cap is left out, the first stay.
- **Not finite.** Points that are NaN or infinite are dropped and counted, never written.
- **Nothing there.** Padding and empty cells hold the fill value. A sensor that a log lacks gives an empty tensor, or an
  error where the row's params say `"required": true`.
- **Sizes.** A number in a shape follows from the parameters; a name is a size that the frame decides. Tensors have no
  batch axis: `build_batch` adds a first axis, or joins rows and says in `..._batch_ptr` where each frame begins.
- **Names** are family and thing: `lidar_voxels`. A second instance takes a suffix: `lidar_voxels__fine`.
- **Parameters** are given under the group that a section is about: `params={"lidar_points": {"num_sweeps": 5}}`, also
  those that several groups take. Headings over those, such as the cloud, are for reading and are not keys. `frame` and
  `image` alone may be said once for all rows: `params={"frame": "lidar"}`.
- **Presets** hold the values of testing and running; a builder made with `training=True` takes those in training
  instead, where a row does not say its own. Numbers are rounded to six digits in these pages.
- **Meaning.** A fingerprint covers all that decides a tensor's bytes: shape, closed words, parameters, and the version
  of its definition, which goes up when the same parameters give other bytes. It covers no prose.
"""


def pages() -> dict[str, str]:
    """File name -> text."""
    catalogue = Catalogue()
    families = {f"{family}.md": family_page(family, catalogue.to_rows(family)) for family in catalogue.families}
    return {"README.md": index_page(catalogue), **families}


def index_page(catalogue: Catalogue) -> str:
    schema = catalogue.schema
    lines = ["# Features", "", f"Schema `{schema.name}` {schema.version}, fingerprint `{schema.fingerprint}`.", HEAD]
    for family in catalogue.families:
        lines += [f"## [{family}]({family}.md)", "", *list_lines(catalogue.to_rows(family), f"{family}.md"), ""]
    return "\n".join([*lines, *word_lines()]) + "\n"


def list_lines(rows: Iterable[Mapping[str, Any]], page: str) -> list[str]:
    cells = [
        [
            f"[`{row['name']}`]({page}#{row['group']})",
            " or ".join(row["dtypes"]),
            _shape(row["shape"]),
            row["units"],
            row["frame"],
            first_sentence(row["prose"], row["target"]),
        ]
        for row in rows
    ]
    return table(["feature", "dtype", "shape", "unit", "frame", "is"], cells)


def family_page(family: str, rows: Sequence[Mapping[str, Any]]) -> str:
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["group"], []).append(row)
    lines = [
        f"# Features: {family}",
        "",
        "Written by `python docs/generate_features.py`. [What holds for all features](README.md#what-holds-for-all),",
        "and [what units and frames of reference mean](README.md#words).",
        "",
        *list_lines(rows, ""),
    ]
    # what one group takes from another is said there
    owners = {own[0]["parameter_set"]: f"Parameters of {group}" for group, own in groups.items()}
    for group, own in groups.items():
        lines += ["", *group_lines(group, own, owners)]
    return "\n".join([*lines, *shared_lines(list(groups.values()), owners)]) + "\n"


def group_lines(group: str, rows: Sequence[Mapping[str, Any]], owners: Mapping[str, str]) -> list[str]:
    """What is said of a group; its features have the same parameters, presets and drawing."""
    first = rows[0]
    lines = [f"## {group}"]
    for row in rows:
        lines += ["", f"**`{row['name']}`**: {row['prose']}", ""]
        lines += [f"- {word}: {text}" for word, text in row["in_words"].items() if word != "definition"]
    if columns := next((row["columns"] for row in rows if row["columns"]), None):
        cells = [[f"`{one['name']}`", one["unit"], one["prose"]] for one in columns]
        lines += ["", *table(["column", "unit", "holds"], cells)]
    if first["drawing"]:
        lines += ["", "```text", first["drawing"], "```"]
    titles = [owners.get(one["name"], _shared_title(one)) for one in first["shared"]]
    shared = [f"[{title.removeprefix('Parameters of ')}](#{_anchor(title)})" for title in titles]
    if own := [one for one in first["parameters"] if one["shared"] is None]:
        lines += ["", f"### Parameters of {group}", "", *parameter_lines(own)]
    if shared:
        *others, last = shared
        named = f"{', '.join(others)} and {last}" if others else last
        lines += ["", f"It {'also ' if own else ''}takes the parameters of {named}, given under `{group}` too."]
    if first["presets"]:
        lines += ["", f"### Presets of {group}", "", *preset_lines(rows)]
    return lines


def shared_lines(groups: Sequence[Sequence[Mapping[str, Any]]], owners: Mapping[str, str]) -> list[str]:
    """What several groups take is said once, at the end of the page; what is a group's own, in its section."""
    lines: list[str] = []
    for rows in groups:
        for one in rows[0]["shared"]:
            title = f"## {_shared_title(one)}"
            if title not in lines and one["name"] not in owners:
                own = [p for p in rows[0]["parameters"] if p["shared"] == one["name"]]
                lines += ["", title, "", *([one["prose"], ""] if one["prose"] else []), *parameter_lines(own)]
                parts = {p["name"].partition(".")[0] for p in own} & OBJECTS
                for part in sorted(parts):
                    if said := part_preset_lines(part, groups):
                        lines += ["", f"### {part} in the presets", "", *said]
    return lines


def part_preset_lines(part: str, groups: Iterable[Sequence[Mapping[str, Any]]]) -> list[str]:
    """What a preset says of a part on which all rows of a spec agree, for all groups that have it; [] if none does."""
    presets = {name: one for rows in groups for name, one in rows[0]["presets"].items() if part in one["params"]}
    said = {name: dict(values_of({part: one["params"][part]})) for name, one in presets.items()}
    if not said:
        return []
    names = list(dict.fromkeys(name for values in said.values() for name in values))
    cells = [[f"`{name}`", *(_value(values, {}, one) for one in names)] for name, values in said.items()]
    said_once = f'`params={{"{part}": {{"preset": NAME}}}}` names a preset of every group that has the part.'
    return [*table(["preset", *(f"`{name}`" for name in names)], cells), "", said_once]


def parameter_lines(parameters: Iterable[Mapping[str, Any]]) -> list[str]:
    cells = [
        [f"`{p['name']}`", p["allowed"], f"`{_json(p['default'])}`", p["unit"] or "", p["prose"]] for p in parameters
    ]
    return table(["parameter", "allowed", "default", "unit", "means"], cells)


def preset_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """One row a preset, one column a parameter that any of them sets; empty where it is the default."""
    catalogue, first = Catalogue(), rows[0]
    presets = {
        name: (dict(values_of(p["params"])), dict(values_of(p["training"]))) for name, p in first["presets"].items()
    }
    names = list(dict.fromkeys(name for params, training in presets.values() for name in (*params, *training)))
    # what all groups of a preset have is in a table of its own
    names = [name for name in names if name.partition(".")[0] not in OBJECTS]
    cells = []
    for preset, (params, training) in presets.items():
        sizes = _shape(catalogue.describe(first["name"], preset)["sizes"])
        values = [_value(params, training, name) for name in names]
        cells.append([f"`{preset}`", sizes, *values, first["presets"][preset]["follows"]])
    return table(["preset", f"`{first['name']}`", *(f"`{name}`" for name in names), "follows"], cells)


def _value(params: Mapping[str, Any], training: Mapping[str, Any], name: str) -> str:
    """What a preset says of a parameter: empty where it says nothing, null where that is what it says."""
    said = _plain(params[name]) if name in params else ""
    return f"{said} (in training {_plain(training[name])})".strip() if name in training else said


def _plain(value: Any) -> str:
    """Returns a value without JSON's marks: x y z; 0 -40 -3 70.4 40 1; lidar."""
    if isinstance(value, list | tuple):
        return " ".join(map(_plain, value))
    return f"{value:g}" if isinstance(value, float) else value if isinstance(value, str) else _json(value)


def word_lines() -> list[str]:
    """The closed words of the tables above."""
    units = [[name, unit, column_in_words(name)] for name, unit in COLUMN_UNITS.items()]
    return [
        "## Words",
        "",
        "Units and frames of reference are closed words: a fingerprint covers them, and no prose.",
        "",
        *table(["unit", "means"], UNITS.items()),
        "",
        *table(["frame", "means"], FRAMES.items()),
        "",
        'Columns and channels of features whose unit is "mixed":',
        "",
        *table(["column", "unit", "holds"], [[f"`{name}`", unit, prose] for name, unit, prose in units]),
    ]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [list(head), ["---"] * len(head), *([text.replace("|", "\\|") for text in row] for row in rows)]
    return ["|" + "|".join(f" {text} " if text else " " for text in line) + "|" for line in lines]


def _shape(axes: Sequence[Any]) -> str:
    return f"({', '.join(map(str, axes))}{',' * (len(axes) == 1)})"


def _shared_title(shared: Mapping[str, Any]) -> str:
    return f"Parameters of the {shared['name']}"


def _anchor(title: str) -> str:
    """As GitHub makes it of a heading."""
    return title.lower().replace(" ", "-")


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def main() -> int:
    wanted = pages()
    there = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.md")}
    if "--check" in sys.argv:
        return 0 if there == wanted else 1
    FOLDER.mkdir(exist_ok=True)
    for name in there.keys() - wanted.keys():
        (FOLDER / name).unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
