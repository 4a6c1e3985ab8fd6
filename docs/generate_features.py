"""Writes docs/features.md from the schema: python docs/generate_features.py [--check]"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perceptum.features import COLUMN_UNITS, FRAMES, UNITS, Group, Preset, canonical, parameters_of

PAGE = Path(__file__).with_name("features.md")


def page() -> str:
    schema = canonical()
    head = [
        "# Features",
        "",
        f"Schema `{schema.name}` {schema.version}, fingerprint `{schema.fingerprint}`. "
        "Written by `python docs/generate_features.py` from the schema itself.",
        "",
        "Grids are half-open, cells are floor((p - min) / voxel) in float32. Points that are not finite are dropped. "
        "Padding and empty cells hold the fill value.",
        "",
        "A preset's values are those of testing and running; a builder made with `training=True` takes those in "
        "training instead, where a row does not say its own. `perceptum features NAME` shows the same for one feature.",
    ]
    groups = [line for group in schema.groups for line in group_lines(group)]
    return "\n".join([*head, *groups, *word_lines()]) + "\n"


def group_lines(group: Group) -> list[str]:
    lines = [
        "",
        f"## {group.name}",
        "",
        "| feature | dtype | shape | units | frame | fill |",
        "|---|---|---|---|---|---|",
    ]
    for f in group:
        shape = ", ".join(map(str, f.axes(group.params)))
        lines.append(f"| `{f.name}` | {' or '.join(f.dtypes)} | ({shape}) | {f.units} | {f.frame} | {f.fill:g} |")
    lines += [""] + [f"- `{f.name}`: {f.prose}" for f in group]
    if parameters := parameters_of(group.params):
        lines += ["", "| parameter | allowed | default | unit | means |", "|---|---|---|---|---|"]
        lines += [
            f"| `{p.name}` | {_cell(p.allowed)} | `{_json(p.default)}` | {p.unit or ''} | {_cell(p.prose)} |"
            for p in parameters
        ]
    if group.presets:
        lines += ["", "| preset | values | in training | follows |", "|---|---|---|---|"]
        lines += [_preset_line(name, group.preset(name)) for name in group.presets]
    return lines


def _preset_line(name: str, preset: Preset) -> str:
    values, training = (
        ", ".join(f"`{key}` {_json(value)}" for key, value in part.items()) for part in (preset.params, preset.training)
    )
    return f"| `{name}` | {values} | {training or 'the same'} | {preset.follows} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def word_lines() -> list[str]:
    """The closed words of the tables above."""
    columns: dict[str, list[str]] = {}
    for column, unit in COLUMN_UNITS.items():
        columns.setdefault(unit, []).append(f"`{column}`")
    return [
        "",
        "## Words",
        "",
        "Units and frames of reference are closed words: a fingerprint covers them, and no prose.",
        *_table("unit", "means", UNITS),
        *_table("frame", "means", FRAMES),
        "",
        'Columns and channels of features whose unit is "mixed":',
        *_table("unit", "columns", {unit: ", ".join(names) for unit, names in columns.items()}),
    ]


def _table(key: str, value: str, rows: Mapping[Any, str]) -> list[str]:
    return ["", f"| {key} | {value} |", "|---|---|", *(f"| {word} | {text} |" for word, text in rows.items())]


def _json(value: Any) -> str:
    import msgspec

    return msgspec.json.encode(value).decode()


def main() -> int:
    if "--check" in sys.argv:
        return 0 if PAGE.read_text(encoding="utf-8") == page() else 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
