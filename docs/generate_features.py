"""Writes docs/features.md from the schema: python docs/generate_features.py [--check]"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perceptum.features import COLUMN_UNITS, FRAMES, UNITS, Group, canonical

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
    if params := group.params.to_dict():
        lines += ["", "Parameters and defaults:", "", "```json no-run", _json(params), "```"]
    if group.presets:
        lines += ["", f"Presets: {', '.join(f'`{name}`' for name in group.presets)}."]
    return lines


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


def _json(params: dict[str, Any]) -> str:
    import msgspec

    rows = [f'  "{key}": {msgspec.json.encode(value).decode()}' for key, value in params.items()]
    return "{\n" + ",\n".join(rows) + "\n}"


def main() -> int:
    if "--check" in sys.argv:
        return 0 if PAGE.read_text(encoding="utf-8") == page() else 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
