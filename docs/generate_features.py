"""Writes docs/features.md from the schema: python docs/generate_features.py [--check]"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from perceptum.features import canonical

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
    groups = list(dict.fromkeys(feature.group for feature in schema))
    return "\n".join([*head, *(line for group in groups for line in group_lines(group))]) + "\n"


def group_lines(group: str) -> list[str]:
    schema = canonical()
    features = schema.group(group)
    lines = ["", f"## {group}", "", "| feature | dtype | shape | units | frame | fill |", "|---|---|---|---|---|---|"]
    for f in features:
        shape = ", ".join(map(str, f.shape))
        lines.append(f"| `{f.name}` | {' or '.join(f.dtypes)} | ({shape}) | {f.units} | {f.frame} | {f.fill:g} |")
    lines += [""] + [f"- `{f.name}`: {f.prose}" for f in features]
    params = features[0].params.to_dict()
    if params:
        lines += ["", "Parameters and defaults:", "", "```json no-run", _json(params), "```"]
    presets = schema.presets(group)
    if presets:
        lines += ["", f"Presets: {', '.join(f'`{name}`' for name in presets)}."]
    return lines


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
