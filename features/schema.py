"""A schema: a versioned, fingerprinted set of features with their parameters."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

import msgspec

from .errors import SchemaMismatch, SpecError, UnknownFeature
from .feature import Feature, fingerprint
from .presets import PRESETS
from .resolve import Resolved, resolve_row, resolve_spec
from .spec import Row, Spec, as_params

__all__ = ["Schema"]


class Schema(msgspec.Struct, frozen=True):
    """The features that specs may name. The built-in one is `canonical`."""

    name: str
    version: str
    features: tuple[Feature, ...]

    def __post_init__(self) -> None:
        names = [f.name for f in self.features]
        twice = {n for n in names if names.count(n) > 1}
        if twice:
            raise SpecError(f"schema '{self.name}': the feature '{sorted(twice)[0]}' stands twice")

    def __iter__(self) -> Iterator[Feature]:
        return iter(self.features)

    def __len__(self) -> int:
        return len(self.features)

    def __contains__(self, name: str) -> bool:
        return any(f.name == name for f in self.features)

    def __getitem__(self, name: str) -> Feature:
        """Returns the feature; raises UnknownFeature with the nearest name."""
        for feature in self.features:
            if feature.name == name:
                return feature
        known = [f.name for f in self.features]
        near = difflib.get_close_matches(name, known, 1)
        raise UnknownFeature(
            f"no feature '{name}'; did you mean '{near[0]}'?"
            if near
            else f"no feature '{name}'; there are {', '.join(known)}"
        )

    @property
    def fingerprint(self) -> str:
        """16 hex digits over the meaning of every feature; prose does not count."""
        return fingerprint({f.name: f.meaning() for f in self.features})

    def group(self, name: str) -> tuple[Feature, ...]:
        return tuple(f for f in self.features if f.group == name)

    def presets(self, group: str) -> Mapping[str, dict[str, Any]]:
        """Returns preset -> parameters for the features of a group."""
        return PRESETS.get(group, {})

    def with_params(self, name: str, version: str, params: Mapping[str, Mapping[str, Any]]) -> Schema:
        """Returns a schema of that name and version in which groups have other parameters: {group: {...}}."""
        self._check_groups(params)
        features = tuple(
            msgspec.structs.replace(f, params=f.params.replace(dict(params[f.group]), f"'{f.name}'"))
            if f.group in params
            else f
            for f in self.features
        )
        return Schema(name, version, features)

    def _check_groups(self, names: Iterable[str]) -> None:
        for name in names:
            if not self.group(name):
                raise UnknownFeature(f"no group '{name}'; there are {', '.join(dict.fromkeys(f.group for f in self))}")

    def spec(self, rows: Iterable[str | Row | Mapping[str, Any]], params: Mapping[str, Any] | None = None) -> Spec:
        """Returns the spec of rows, or of feature names alone: those take their default dtype and own shape.

        `params` gives parameters, or a preset's name, to all rows of a group that bring none: {group: ...}.
        """
        self._check_groups(params or {})
        given = {group: as_params(group, p) for group, p in (params or {}).items()}
        return Spec.of(self._row(row, given) for row in rows)

    def _row(self, row: str | Row | Mapping[str, Any], given: Mapping[str, dict[str, Any] | None]) -> Row:
        if not isinstance(row, str):
            checked = Row.of(row)
            base = checked.name.partition("__")[0]
            extra = given.get(self[base].group) if given and checked.params is None else None
            return checked if extra is None else msgspec.structs.replace(checked, params=extra)
        base, _, suffix = row.partition("__")
        feature = self[base]
        values = given.get(feature.group)
        bare = Row(row, feature.dtypes[0], (None,) * len(feature.shape), values)
        sizes = feature.sizes(resolve_row(self, bare).params)
        symbols = tuple(f"{d}__{suffix}" if suffix and isinstance(d, str) else d for d in sizes)
        return Row(row, bare.dtype, symbols, values)

    def resolve(self, spec: Spec) -> tuple[Resolved, ...]:
        """Returns what each row comes to under this schema; raises SpecError that names the row."""
        return resolve_spec(self, spec)

    def record(self, rows: Iterable[Row | Mapping[str, Any]]) -> dict[str, Any]:
        """Returns what a package stores beside its spec: this schema, and what each canonical row means.

        Rows that name no feature are the model's own business and are left out, if they have no params. Raises
        SpecError for what a builder would refuse: better said to the one who packs than to the one who runs.
        """
        known = [row for row in map(Row.of, rows) if row.params is not None or row.name.partition("__")[0] in self]
        resolve_spec(self, Spec(tuple(known)))
        return {
            "schema": {"name": self.name, "version": self.version, "fingerprint": self.fingerprint},
            "features": {
                row.name: {"fingerprint": fingerprint(meaning), "params": row.params, "meaning": meaning}
                for row in known
                for meaning in [self._meaning(row)]
            },
        }

    def _meaning(self, row: Row) -> dict[str, Any]:
        resolved = resolve_row(self, row)
        return resolved.feature.meaning(resolved.params)

    def check(self, record: Mapping[str, Any]) -> None:
        """Raises SchemaMismatch where a feature of a package's record means something else here."""
        try:
            made_with = f"{record['schema']['name']} {record['schema']['version']}"
            rows = {name: (r["params"], r["meaning"], r["fingerprint"]) for name, r in record["features"].items()}
        except (KeyError, TypeError, AttributeError) as error:
            raise SchemaMismatch(f"the record of the schema cannot be read ({error!r}); pack the model again") from None
        for name, (params, meaning, stored) in rows.items():
            self._check_meaning(f"'{name}' was packed under schema {made_with}", name, params, meaning, stored)

    def _check_meaning(self, where: str, name: str, params: Any, old: Any, stored: Any) -> None:
        try:
            meaning = self._meaning(Row(name, "uint8", (), as_params(name, params)))
        except SpecError as error:
            raise SchemaMismatch(f"{where}, but under {self.name} {self.version}: {error}") from None
        if fingerprint(meaning) != stored:
            changes = "; ".join(_differences(old, meaning)) or "the fingerprint differs"
            raise SchemaMismatch(
                f"{where} and means something else under {self.name} {self.version}: {changes}; "
                "give the row its old params, or train and pack again"
            )

    def to_json(self) -> str:
        plain = {"name": self.name, "version": self.version, "features": [f.to_dict() for f in self.features]}
        return msgspec.json.format(msgspec.json.encode(plain), indent=2).decode()

    def from_json(self, text: str | bytes) -> Self:
        """Returns the schema in `text`; this one gives the types of the features' parameters."""
        try:
            plain = msgspec.json.decode(text)
            parts = msgspec.convert(plain["features"], list[dict[str, Any]])
            features = tuple(self[f["name"]].from_dict(f) for f in parts)
            name, version = (msgspec.convert(plain[key], str) for key in ("name", "version"))
            return type(self)(name, version, features)
        except (msgspec.DecodeError, msgspec.ValidationError, KeyError, TypeError) as error:
            raise SpecError(f"not a schema: {error}") from None


def _differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            yield from _differences(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    elif fingerprint(old) != fingerprint(new):
        yield f"{path} was {old}, is {new}"
