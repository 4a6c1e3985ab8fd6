"""The catalogue: what `pc.features()` shows."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from perceptum.plural import counted
from perceptum.spelling import did_you_mean

from .canonical import canonical
from .description import describe, first_sentence, folded
from .errors import SpecError
from .family import families_of
from .feature import Feature
from .group import Group
from .schema import Schema

__all__ = ["Catalogue"]

_WIDE = 100
"""Letters of a line, where nobody says how wide the terminal is."""


class Catalogue(Mapping[str, Feature]):
    """Name -> Feature, and readable when printed, family by family."""

    def __init__(self, schema: Schema | None = None) -> None:
        self.schema = schema or canonical()

    def __getitem__(self, name: str) -> Feature:
        return self.schema[name]

    def get(self, name: str, default: Any = None) -> Any:
        """Returns the feature, or `default` where no feature has the name."""
        # Mapping's own would let UnknownFeature through, which is not a KeyError
        if name not in self:
            return default
        return self[name]

    def __iter__(self) -> Iterator[str]:
        return (f.name for f in self.schema)

    def __len__(self) -> int:
        return len(self.schema)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self.schema

    @property
    def families(self) -> dict[str, tuple[str, ...]]:
        """Family -> the names of its features: lidar, ego, ...; the features of a plug-in are a family of its name."""
        grouped = families_of(self.schema.groups)
        return {family: tuple(f.name for group in groups for f in group) for family, groups in grouped.items()}

    def to_rows(self, family: str | None = None) -> list[dict[str, Any]]:
        """Returns one plain dict per feature: name, family, group, dtypes, shape, units, frame, params, prose, ...

        "parameters" has what each parameter may be, its default, its unit and what it means; "presets" the values of
        each preset, those that differ in training, and the public configuration that it follows; "used_by" the
        published models that take it. Raises SpecError for a family that is not there.
        """
        return [describe(group, feature) for group in self._groups(family) for feature in group]

    def describe(self, name: str, preset: str | None = None) -> dict[str, Any]:
        """Returns the row of one feature, by the parameters of a preset where one is named; raises SpecError."""
        group = self.schema.group_of(name)
        if preset is not None:
            self.schema.preset(group, preset)
        return describe(group, self[name], preset)

    def text(self, family: str | None = None, wide: int | None = _WIDE, *, sentences: bool = True) -> str:
        """Returns the list for people, with a sentence on each feature in lines of at most `wide` letters if not None.

        Raises SpecError for a family that is not there.
        """
        families = families_of(self._groups(family))
        return "\n\n".join(_family_text(name, groups, wide, sentences) for name, groups in families.items())

    def _groups(self, family: str | None) -> tuple[Group, ...]:
        families = families_of(self.schema.groups)
        if family is None:
            return self.schema.groups
        if family not in families:
            hint = did_you_mean(family, families) or f"; there are {', '.join(families)}"
            raise SpecError(f"no family '{family}'{hint}")
        return families[family]

    def __str__(self) -> str:
        return f"{self._title()}\n\n{self.text()}"

    def __repr__(self) -> str:
        more = "print(pc.features()) says what each is, and `perceptum features NAME` all of one"
        return f"{self._title()}\n\n{self.text(sentences=False)}\n\n{more}"

    def _title(self) -> str:
        return f"schema {self.schema.name} {self.schema.version} ({self.schema.fingerprint})"


def _family_text(family: str, groups: tuple[Group, ...], wide: int | None, sentences: bool) -> str:
    table = [["feature", "dtype", "shape", "unit", "frame"]]
    rows = [(group, feature) for group in groups for feature in group]
    for group, f in rows:
        shape = ", ".join(str(d) for d in f.axes(group.params))
        table.append([f.name, "|".join(f.dtypes), f"({shape})", f.units, f.frame])
    # a shape for which a line has no room is below it
    others = sum(max(len(row[column]) for row in table) + 2 for column in (0, 1, 3, 4)) - 2
    room = max(len("shape"), (wide or sys.maxsize) - others - 2)
    below = ["" if len(row[2]) <= room else f"\n    {row[2]}" for row in table]
    table = [[*row[:2], "" if more else row[2], *row[3:]] for row, more in zip(table, below, strict=True)]
    size = [max(len(row[column]) for row in table) for column in range(5)]
    cells = ["  ".join(cell.ljust(n) for cell, n in zip(row, size, strict=True)).rstrip() for row in table]
    lines = [line + more for line, more in zip(cells, below, strict=True)]
    only = ", in training only" if all(feature.target for _, feature in rows) else ""
    said = [f"{family}: {counted(len(rows), 'feature')}{only}", lines[0]]
    for line, (_, feature) in zip(lines[1:], rows, strict=True):
        said += [line, folded(first_sentence(feature.prose, feature.target), wide)] if sentences else [line]
    return "\n".join(said)
