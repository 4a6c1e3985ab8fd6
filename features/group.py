"""A group: the features that have one set of parameters and come from one filler."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import msgspec

from perceptum.foreign import foreign

from .collate import Concat
from .errors import SpecError
from .feature import Feature, check_name
from .params import Params
from .preset import Preset

__all__ = ["Group", "check_references"]


_FEW = 6
"""As many presets are listed in a message in any case."""


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """What belongs together, as one object: ours and those of plug-ins."""

    name: str = ""
    """Where nothing is said, that of its first feature."""
    params: Params
    """The defaults."""
    features: tuple[Feature, ...]
    presets: Mapping[str, Preset | dict[str, Any]] = {}
    """Name -> parameters that differ from the defaults, such as a published model's; a dict is a Preset of these."""
    filler: type | None = None
    """The class that fills it, a builder's stage. None: ours, whose fillers the builders know."""
    drawing: str | Callable[[Any], str] = ""
    """How the axes of its tensors lie, in plain ASCII; or a module's function that draws it for the parameters."""

    def __post_init__(self) -> None:
        if not self.name and isinstance(self.features, tuple) and self.features:
            msgspec.structs.force_setattr(self, "name", getattr(self.features[0], "name", ""))
        check_name("group", self.name)
        if not isinstance(self.params, Params):
            raise SpecError(f"group '{self.name}': params must be a Params, got {self.params!r}")
        if self.filler is not None and not isinstance(self.filler, type):
            raise SpecError(f"group '{self.name}': the filler must be a class, got {self.filler!r}")
        if not isinstance(self.drawing, str) and "<" in getattr(self.drawing, "__qualname__", "<"):
            # builders go to other processes with it
            raise SpecError(
                f"group '{self.name}': the drawing must be a text or a module's function, got {self.drawing!r}"
            )
        presets = {name: Preset(one) if isinstance(one, dict) else one for name, one in self.presets.items()}
        msgspec.structs.force_setattr(self, "presets", presets)
        self._check_features()
        self._check_parts()
        self._check_presets()

    def __repr__(self) -> str:
        return f"<Group {self.name}: {', '.join(feature.name for feature in self.features)}>"

    def __iter__(self) -> Iterator[Feature]:
        return iter(self.features)

    def __len__(self) -> int:
        return len(self.features)

    def asking(self, method: str) -> AbstractContextManager[None]:
        """The door to a method of the params, which may be a plug-in's: what it raises leaves as a SpecError that names
        the group."""
        where = f"{type(self.params).__module__}.{type(self.params).__qualname__}"
        return foreign(f"group '{self.name}': {method}() of its params ({where}) fails", SpecError)

    @property
    def parts(self) -> Mapping[str, Any]:
        """The fields of the default params on which all rows of one suffix must agree."""
        with self.asking("parts"):
            return dict(self.params.parts())

    def _check_features(self) -> None:
        if not isinstance(self.features, tuple) or not self.features:
            raise SpecError(f"group '{self.name}': features must be a tuple of one or more, got {self.features!r}")
        seen: set[str] = set()
        for feature in self.features:
            if not isinstance(feature, Feature):
                raise SpecError(f"group '{self.name}': features holds {feature!r}, which is not a Feature")
            if feature.name in seen:
                raise SpecError(f"group '{self.name}': the feature '{feature.name}' is listed twice")
            seen.add(feature.name)
            feature.axes(self.params)

    def _check_parts(self) -> None:
        parts = self.parts
        for part in parts:
            if part not in self.params.__struct_fields__:
                raise SpecError(f"group '{self.name}': the part '{part}' is not one of its params' fields")
        for feature in self.features:
            if feature.frame == "reference" and "frame" not in parts:
                raise SpecError(
                    f"group '{self.name}': the frame of '{feature.name}' is \"reference\", "
                    "so the params need the field and part `frame`"
                )

    def _check_presets(self) -> None:
        # against the class's own defaults where it has them: with other params (`Schema.with_params`) a preset may
        # no longer suit, and that is said to the one who uses it
        try:
            params = type(self.params)()
        except TypeError:
            params = self.params
        for name, preset in self.presets.items():
            if not isinstance(preset, Preset):
                raise SpecError(f"group '{self.name}': the preset '{name}' must be a dict of params, got {preset!r}")
            where = f"group '{self.name}': the preset '{name}'"
            params.replace(preset.params, where)
            params.replace(preset.values(training=True), f"{where} in training")

    def preset(self, name: object) -> Preset:
        """Returns the preset; raises SpecError with the nearest names, and with all where they are few."""
        found = self.presets.get(name) if isinstance(name, str) else None
        if isinstance(found, Preset):
            return found
        near, known = difflib.get_close_matches(str(name), self.presets, 3), ", ".join(self.presets)
        said = [f"did you mean {' or '.join(map(repr, near))}?"] if near else []
        if near and len(self.presets) > _FEW:
            said.append(f"`perceptum features {self.features[0].name}` lists all {len(self.presets)}")
        else:
            said.append(f"there are {known}" if known else "there are none for this feature")
        raise SpecError(f"no preset '{name}'; {' '.join(said)}")

    def draw(self, params: Params) -> str:
        """Returns the drawing of its tensors under `params`; an empty text where it has none."""
        return self.drawing if isinstance(self.drawing, str) else self.drawing(params)

    def with_params(self, changes: Mapping[str, Any]) -> Group:
        """Returns the group with other defaults; raises SpecError that names it."""
        return msgspec.structs.replace(self, params=self.params.replace(dict(changes), f"'{self.name}'"))

    def to_dict(self) -> dict[str, Any]:
        """Returns what it says of tensors as plain data, ready for JSON; presets, filler and drawing are code's."""
        features = [feature.to_dict(self.params) for feature in self.features]
        return {"name": self.name, "params": self.params.to_dict(), "features": features}

    def from_dict(self, plain: dict[str, Any]) -> Group:
        """Returns the group that `plain` describes; this one gives the params' type, the presets, the filler and
        the drawing.

        Raises msgspec.ValidationError, KeyError, TypeError or SpecError.
        """
        known = {feature.name: feature for feature in self.features}
        params = type(self.params).of(plain["params"], f"not a schema: '{self.name}'")
        features = []
        for part in msgspec.convert(plain["features"], list[dict[str, Any]]):
            if part["name"] not in known:
                raise SpecError(f"group '{self.name}' has no feature '{part['name']}'; it has {', '.join(known)}")
            features.append(known[part["name"]].from_dict(part, params))
        return msgspec.structs.replace(self, params=params, features=tuple(features))


def check_references(features: Mapping[str, Feature]) -> None:
    """Raises SpecError where a feature counts, or points into, one that is not there."""
    for feature in features.values():
        points_into = feature.collate.offset_of if isinstance(feature.collate, Concat) else None
        for field, other in (
            ("counts", feature.counts),
            ("rows_of", feature.rows_of),
            ("offset_of", points_into),
        ):
            if other is not None and other not in features:
                raise SpecError(f"feature '{feature.name}': {field} names '{other}', which is not a feature here")
