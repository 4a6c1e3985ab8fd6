"""The catalogue: what `pc.features()` shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from .canonical import canonical
from .feature import Feature
from .group import Group
from .parameter import parameters_of
from .schema import Schema

__all__ = ["Catalogue"]


class Catalogue(Mapping[str, Feature]):
    """Name -> Feature, and readable when printed."""

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

    def to_rows(self) -> list[dict[str, Any]]:
        """Returns one plain dict per feature: name, group, dtypes, shape, units, frame, params, prose, ...

        "parameters" has what each parameter may be, its default, its unit and what it means; "presets" the values of
        each preset, those that differ in training, and the public configuration that it follows.
        """
        return [_row(group, feature) for group in self.schema.groups for feature in group]

    def __str__(self) -> str:
        wide = max(len(name) for name in self)
        lines = [f"schema {self.schema.name} {self.schema.version} ({self.schema.fingerprint})"]
        for group in self.schema.groups:
            for f in group:
                shape = ", ".join(str(d) for d in f.axes(group.params))
                lines.append(f"{f.name:<{wide}}  {'|'.join(f.dtypes):<13}  ({shape})  {f.prose}")
        return "\n".join(lines)

    __repr__ = __str__


def _row(group: Group, feature: Feature) -> dict[str, Any]:
    said = feature.to_dict(group.params)
    first = {key: said.pop(key) for key in ("dtypes", "shape", "units", "frame")}
    prose = said.pop("prose")
    return {
        "name": said.pop("name"),
        "group": group.name,
        **first,
        "params": group.params.to_dict(),
        **said,
        "prose": prose,
        "parameters": [msgspec.to_builtins(parameter) for parameter in parameters_of(group.params)],
        "presets": {name: msgspec.to_builtins(group.preset(name)) for name in group.presets},
    }
