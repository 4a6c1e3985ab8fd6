"""A schema: a versioned, fingerprinted set of features with their parameters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

import msgspec

from .authoring import spec_of
from .errors import SchemaMismatch, SpecError, UnknownFeature
from .feature import Feature, fingerprint
from .group import Group, check_references
from .models import taken_by
from .params import merge
from .preset import Preset
from .resolve import Resolved, fingerprint_of, params_of, resolve_spec
from .spec import Row, Spec, as_params

__all__ = ["Schema"]


class Schema(msgspec.Struct, frozen=True):
    """The features that specs may name, in groups. The built-in one is `canonical`."""

    name: str
    version: str
    groups: tuple[Group, ...]

    def __post_init__(self) -> None:
        for group in self.groups:
            if not isinstance(group, Group):
                raise SpecError(f"schema '{self.name}': groups holds {group!r}, which is not a Group")
        self._check_once("group", [group.name for group in self.groups])
        self._check_once("feature", [feature.name for feature in self.features])
        check_references({feature.name: feature for feature in self.features})
        # in `params=` one key names either
        for name in sorted(self.parts & {group.name for group in self.groups}):
            raise SpecError(f"schema '{self.name}': the group '{name}' has the name of a part; rename it")

    def _check_once(self, what: str, names: list[str]) -> None:
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise SpecError(f"schema '{self.name}': the {what} '{twice[0]}' is listed twice")

    def __repr__(self) -> str:
        return f"<Schema {self.name} {self.version}: {len(self)} features in {len(self.groups)} groups>"

    @property
    def features(self) -> tuple[Feature, ...]:
        return tuple(feature for group in self.groups for feature in group.features)

    @property
    def parts(self) -> set[str]:
        """The names of the parameters on which rows of several groups must agree: "frame"."""
        return {part for group in self.groups for part in group.parts}

    def __iter__(self) -> Iterator[Feature]:
        return iter(self.features)

    def __len__(self) -> int:
        return len(self.features)

    def __contains__(self, name: object) -> bool:
        return any(f.name == name for f in self.features)

    def __getitem__(self, name: str) -> Feature:
        """Returns the feature; raises UnknownFeature with the nearest name."""
        return next(feature for feature in self.group_of(name).features if feature.name == name)

    def group(self, name: str) -> Group:
        """Returns the group; raises UnknownFeature with the nearest name."""
        for group in self.groups:
            if group.name == name:
                return group
        raise UnknownFeature.of("group", name, [group.name for group in self.groups])

    def group_of(self, feature: str) -> Group:
        """Returns the group of a feature; raises UnknownFeature with the nearest name, or with what the name is of
        else: a preset, a published model."""
        for group in self.groups:
            if any(f.name == feature for f in group.features):
                return group
        groups = self._groups_with_preset(feature)
        if groups:
            shown = f"perceptum features {groups[0].features[0].name} --preset {feature}"
            raise UnknownFeature(f"no feature '{feature}'; it is a preset of {_names(groups)}: {shown}")
        model, takes = taken_by(feature)
        taken = [name for name in takes if name in self]
        if taken:
            raise UnknownFeature(
                f"no feature '{feature}'; {model} is a model, versions of which take {', '.join(taken)}"
            )
        raise UnknownFeature.of("feature", feature, [f.name for f in self.features])

    def _groups_with_preset(self, name: object) -> list[Group]:
        return [group for group in self.groups if isinstance(name, str) and name in group.presets]

    def preset(self, group: Group, name: object) -> Preset:
        """Returns a preset of the group; raises SpecError with the groups that have it, or with the nearest names."""
        others = self._groups_with_preset(name)
        if others and name not in group.presets:
            raise SpecError(f"no preset '{name}' of {group.name}; it is a preset of {_names(others)}")
        return group.preset(name)

    def presets(self, group: str) -> Mapping[str, Preset]:
        """Returns the presets for the features of a group."""
        found = self.group(group)
        return {name: found.preset(name) for name in found.presets}

    @property
    def fingerprint(self) -> str:
        """16 hex digits over the meaning of every feature; prose does not count."""
        return _fingerprint(self.groups)

    def fingerprint_of(self, spec: Spec) -> str:
        """Returns 16 hex digits over what a builder makes of a spec: each row's name, dtype, fixed sizes and meaning.

        The order of the rows does not count. A training builder's spec says its values, so that its fingerprint is
        another wherever they differ.
        """
        return fingerprint_of(self.resolve(spec))

    def with_params(self, name: str, version: str, params: Mapping[str, Mapping[str, Any]]) -> Schema:
        """Returns a schema of that name and version in which groups have other parameters: {group: {...}}."""
        for key in params:
            self.group(key)
        groups = (group.with_params(params[group.name]) if group.name in params else group for group in self.groups)
        return Schema(name, version, tuple(groups))

    def spec(
        self,
        rows: Iterable[str | Row | Mapping[str, Any]],
        params: Mapping[str, Any] | None = None,
        *,
        training: bool = False,
    ) -> Spec:
        """Returns the spec of rows, or of feature names alone: those take their default dtype and own shape.

        `params` gives parameters to the rows that bring none: {group: parameters or a preset's name} to those of a
        group, {part: value}, such as {"frame": "lidar"}, to all that have the part. `training` writes the values
        that a row's preset has in training beside the preset, where the row does not say them itself. Each row of the
        spec then stands alone. Raises SpecError for a key that would do nothing.
        """
        return spec_of(self, rows, params or {}, training)

    def resolve(self, spec: Spec) -> tuple[Resolved, ...]:
        """Returns what each row comes to under this schema; raises SpecError that names the row."""
        return resolve_spec(self, spec)

    def record(self, rows: Iterable[Row | Mapping[str, Any]]) -> dict[str, Any]:
        """Returns what a package stores beside its spec: this schema, and what each canonical row means.

        The schema's fingerprint covers of plug-ins' groups those that rows are of, so that a package is the same
        whatever else is installed.

        Rows that name no feature are the model's own business and are left out, if they have no params. Raises
        SpecError for what a builder would refuse: better found when packing than when running.
        """
        known = [row for row in map(Row.of, rows) if row.params is not None or row.name.partition("__")[0] in self]
        resolved = resolve_spec(self, Spec(tuple(known)))
        for row in resolved:
            if row.feature.target:
                raise SpecError(
                    f"input '{row.name}' is a target, what a model is to learn, and no input of one that is packed"
                )
        used = {r.group.name for r in resolved}
        # of plug-ins, whose groups bring their fillers, those that the rows are of: what else is installed where a
        # model is packed changes nothing of the package
        groups = tuple(group for group in self.groups if group.filler is None or group.name in used)
        return {
            "schema": {"name": self.name, "version": self.version, "fingerprint": _fingerprint(groups)},
            "features": {
                r.name: {"fingerprint": fingerprint(meaning), "params": r.row.params, "meaning": meaning}
                for r in resolved
                for meaning in [r.feature.meaning(r.params)]
            },
        }

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
            feature = self[name.partition("__")[0]]
            meaning = feature.meaning(params_of(self, name, as_params(name, params)))
        except SpecError as error:
            raise SchemaMismatch(f"{where}, but under {self.name} {self.version}: {error}") from None
        if fingerprint(meaning) != stored:
            whole = fingerprint(old) == stored
            old = _with_later_params(old, self.group_of(feature.name)) if whole else old
            if whole and fingerprint(old) == fingerprint(meaning):
                return
            changes = "; ".join(_differences(old, meaning)) or "the fingerprint differs"
            raise SchemaMismatch(
                f"{where} and means something else under {self.name} {self.version}: {changes}; "
                "give the row its old params, or train and pack again"
            )

    def to_json(self) -> str:
        plain = {"name": self.name, "version": self.version, "groups": [group.to_dict() for group in self.groups]}
        return msgspec.json.format(msgspec.json.encode(plain), indent=2).decode()

    def from_json(self, text: str | bytes) -> Self:
        """Returns the schema in `text`; this one gives each group's type of parameters, presets and filler.

        Raises SpecError for whatever else `text` holds.
        """
        try:
            plain = msgspec.json.decode(text)
            parts = msgspec.convert(plain["groups"], list[dict[str, Any]])
            groups = tuple(self.group(part["name"]).from_dict(part) for part in parts)
            name, version = (msgspec.convert(plain[key], str) for key in ("name", "version"))
            return type(self)(name, version, groups)
        except SpecError:
            raise
        # a string may hold half a character (UnicodeEncodeError is a ValueError), or brackets without end
        except (msgspec.MsgspecError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise SpecError(f"not a schema: {error}") from None


def _names(groups: Iterable[Group]) -> str:
    return " and ".join(group.name for group in groups)


def _fingerprint(groups: Iterable[Group]) -> str:
    return fingerprint({f.name: f.meaning(group.params) for group in groups for f in group.features})


def _with_later_params(old: Any, group: Group) -> Any:
    """Returns a recorded meaning with the parameters that the group has got since, at the values its code gives them.

    A parameter that is added keeps, by its default, what there was before: where it does not, `definition` goes up.
    """
    try:
        added = type(group.params)().meaning()
    except TypeError:
        added = group.params.meaning()
    return {**old, "params": merge(added, old["params"])} if isinstance(old, dict) else old


def _differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            yield from _differences(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    elif fingerprint(old) != fingerprint(new):
        yield f"{path} was {old}, is {new}"
